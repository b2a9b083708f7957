"""How fast can it be? The lowest of all roofs, for a kernel that uses several levels of memory."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def attainable(flops: float, traffic: np.ndarray, peak: float, bandwidths: np.ndarray) -> float:
    roofs = [peak]
    for moved, bandwidth in zip(traffic, bandwidths, strict=True):
        if moved > 0:
            roofs.append(flops / moved * bandwidth)
    return min(roofs)


def by_time(flops: float, traffic: np.ndarray, peak: float, bandwidths: np.ndarray) -> float:
    """The slowest part takes the time."""
    return flops / max(flops / peak, *(np.asarray(traffic) / np.asarray(bandwidths)))


def with_arrays(flops: float, traffic: np.ndarray, peak: float, bandwidths: np.ndarray) -> float:
    moved = np.asarray(traffic, float)
    with np.errstate(divide="ignore"):
        return float(np.minimum(peak, np.min(flops * np.asarray(bandwidths) / moved)))


def only_the_peak(flops, traffic, peak, bandwidths):
    return peak


def the_best_roof(flops, traffic, peak, bandwidths):
    return max([peak, *(flops / m * w for m, w in zip(traffic, bandwidths, strict=True) if m > 0)])


def only_the_last_level(flops, traffic, peak, bandwidths):
    return attainable(flops, traffic[-1:], peak, bandwidths[-1:])


def only_the_first_level(flops, traffic, peak, bandwidths):
    return attainable(flops, traffic[:1], peak, bandwidths[:1])


def times_added(flops, traffic, peak, bandwidths):
    return flops / (flops / peak + sum(m / w for m, w in zip(traffic, bandwidths, strict=True)))


def the_slowest_memory(flops, traffic, peak, bandwidths):
    return min(peak, flops / sum(traffic) * min(bandwidths))


def multiply_adds(flops, traffic, peak, bandwidths):
    return attainable(flops / 2, traffic, peak, bandwidths)


def bytes_per_flop(flops, traffic, peak, bandwidths):
    return min([peak, *(m / flops * w for m, w in zip(traffic, bandwidths, strict=True))])


def seconds(flops, traffic, peak, bandwidths):
    return flops / attainable(flops, traffic, peak, bandwidths)


@st.composite
def kernels(draw: st.DrawFn) -> tuple[float, np.ndarray, float, np.ndarray]:
    """A kernel and a machine with one to three levels of memory; a level may see no traffic at all."""
    levels = draw(st.integers(1, 3))
    flops = 10 ** draw(st.floats(4, 9))
    traffic = [
        0.0 if draw(st.integers(0, 9)) == 0 else flops * 10 ** draw(st.floats(-3, 1)) for _ in range(levels)
    ]
    if not any(traffic):
        traffic[0] = flops
    peak = 10 ** draw(st.floats(9, 12))
    bandwidths = [peak * 10 ** draw(st.floats(-2.5, 0.5)) for _ in range(levels)]
    return flops, np.array(traffic), peak, np.array(bandwidths)


MACHINE = np.array([400e9, 100e9, 20e9])

EXERCISE = Exercise(
    "roofline/attainable",
    attainable,
    kernels(),
    signature="attainable(flops, traffic, peak, bandwidths) -> float",
    ask="""
    A kernel executes `flops` operations. `traffic` [levels] says how many bytes it moves out of and into each
    level of memory, `bandwidths` [levels] how many bytes per second each can move. The processor
    executes at most `peak` operations per second. All parts work at the same time. Return the most
    operations per second that this kernel can reach. A level without traffic sets no limit.
    """,
    examples=[
        (2e6, np.array([32e6, 4e6, 1e6]), 50e9, MACHINE),
        (2e6, np.array([32e6, 4e6, 4e6]), 50e9, MACHINE),
        (2e9, np.array([1e9, 1e7, 1e6]), 50e9, MACHINE),
        (2e6, np.array([24e6, 24e6, 24e6]), 50e9, MACHINE),
        (2e6, np.array([24e6, 0.0, 0.0]), 50e9, MACHINE),
        (1e6, np.array([1e6]), 10e9, np.array([10e9])),
    ],
    wrong_answers={
        "the peak alone": (
            only_the_peak,
            "The processor can wait for data. What is the fastest that each level of memory allows?",
        ),
        "the highest roof instead of the lowest": (
            the_best_roof,
            "All limits hold at the same time. Which one does the kernel meet first?",
        ),
        "only the last level counts": (
            only_the_last_level,
            "A kernel that lives in a cache can still wait for that cache. Does each level set a limit?",
        ),
        "only the first level counts": (
            only_the_first_level,
            "The slow memory at the end moves fewer bytes, but also more slowly. Does it set a limit?",
        ),
        "the times are added": (
            times_added,
            "If all parts work at the same time, the kernel takes as long as the slowest, not the sum.",
        ),
        "all bytes move through the slowest memory": (
            the_slowest_memory,
            "Bytes that come from a cache do not pass the slow memory. Divide each by its own bandwidth.",
        ),
        "multiply-adds instead of operations": (
            multiply_adds,
            "`flops` counts operations already, a product and a sum as two, and so does `peak`.",
        ),
        "bytes per operation instead of operations per byte": (
            bytes_per_flop,
            "Look at the units: (operations / bytes) · (bytes / second) = operations / second.",
        ),
        "seconds are returned": (
            seconds,
            "This is the shortest time. Asked for are operations per second.",
        ),
    },
    also_right=[by_time, with_arrays],
    hints=[
        "One level alone: moving `traffic` bytes takes `traffic / bandwidth` seconds. How many operations "
        "per second is that?",
        "For each level the roof is `flops / traffic · bandwidth`. The peak is one more roof.",
        "Everything happens at the same time, so the lowest roof decides. Leave out levels without traffic.",
    ],
    explanation="""
    `flops / traffic` is the *intensity* of the kernel at a level: operations for each byte that moves there.
    Times the bandwidth it gives the roof of that level. The same in time: the kernel takes at least as long
    as its slowest part, `max(flops / peak, traffic / bandwidth)`.
    """,
    rtol=1e-9,
    atol=0,
)
