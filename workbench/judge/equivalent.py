"""Mutants of the honest kernels that mean the same after all, and why.

Found by looking at every mutant that the whole judge accepts, one by one; the reason was written down before
it went onto this list. A mutant that is accepted and is not here is a mistake of the judge.
"""

REASONS: dict[str, tuple[str, ...]] = {
    "at the edge both sides are equal": (
        "relu, element by element: edge of a comparison, line 7",
        "row max: edge of a comparison, line 8",
        "softmax with a running maximum: edge of a comparison, line 10",
    ),
    "the work is done twice, with the same result": (
        "relu, blocks of eight with a tail: another constant, line 6 (4)",
        "relu, blocks of eight with a tail: another constant, line 7",
        "add twice, two lanes: condition ignored, line 9",
        "add twice, two lanes: another constant, line 6 (4)",
        "transpose in tiles: another constant, line 6 (4)",
        "transpose in tiles: another constant, line 7 (4)",
        "transpose in tiles: another constant, line 8",
        "transpose in tiles: another constant, line 9",
        "row max: another constant, line 7 (2)",
        "softmax in three passes: another constant, line 8 (2)",
        "first largest: another constant, line 6 (2)",
        "cross entropy: another constant, line 8 (2)",
    ),
    "index -1 is the last element, which is computed like any other": (
        "relu, blocks of eight with a tail: another constant, line 6 (2)",
        "add twice, two lanes: another constant, line 6 (2)",
        "transpose in tiles: another constant, line 6 (2)",
        "transpose in tiles: another constant, line 7 (2)",
    ),
    "the same terms, summed in another order": (
        "row sum from the left: neighbour's index, line 7",
        "row sum from the right: neighbour's index, line 7",
        "row sum in four lanes: neighbour's index, line 9",
        "row sum in four lanes: another constant, line 9 (2)",
        "row sum with carried errors: neighbour's index, line 9",
        "row sum in bfloat16, added in float32: neighbour's index, line 13",
        "row sum in bfloat16 throughout: neighbour's index, line 13 (2)",
        "softmax in three passes: neighbour's index, line 12",
        "cross entropy: neighbour's index, line 12",
    ),
    "the first float32 that is added makes a float32 of it": (
        "row sum with carried errors: narrower type, line 6",
        "row sum with carried errors: narrower type, line 7",
        "softmax in three passes: narrower type, line 10",
        "softmax with a running maximum: narrower type, line 8",
        "rms norm: narrower type, line 7",
        "matmul, inner products: narrower type, line 9",
        "running sum: narrower type, line 5",
        "running sum in blocks: narrower type, line 6",
        "running sum in blocks: narrower type, line 8",
        "cross entropy: narrower type, line 10",
    ),
    "what is lost is only the care for the last digit; a plain float32 sum is right": (
        "row sum with carried errors: line dropped, line 11",
        "row sum with carried errors: another operation, line 9",
    ),
    "a result with more digits than bfloat16 has": (
        "row sum in bfloat16, added in float32: line dropped, line 14",
    ),
    "never read": ("row sum in four lanes: another constant, line 7",),
    "the last round moves nothing": ("running sum by doubling: edge of a comparison, line 6",),
    "any negative size stands for the rest": ("relu, blocks of eight with a tail: another constant, line 4",),
}
EQUIVALENT = {name: reason for reason, names in REASONS.items() for name in names}
