"""The correction factor: attention in one pass brings what it has gathered to each new maximum."""

import numpy as np

from workbench.exercises import Exercise

State = tuple[np.ndarray, np.ndarray, np.ndarray]


def one_block(RM: np.ndarray, RD: np.ndarray, RNV: np.ndarray, scores: np.ndarray, V: np.ndarray) -> State:
    RM_new = np.maximum(RM, scores.max(axis=1))
    PRM = np.exp(RM - RM_new)
    SLN = np.exp(scores - RM_new[:, None])
    RD_new = PRM * RD + SLN.sum(axis=1)
    RNV_new = PRM[:, None] * RNV + SLN @ V
    return RM_new, RD_new, RNV_new


def the_past_as_one_more_key(RM, RD, RNV, scores, V):
    """What was gathered is a key of its own: its score is RM, and it has RD times the weight."""
    together = np.concatenate([RM[:, None], scores], axis=1)
    top = together.max(axis=1)
    weights = np.exp(together - top[:, None])
    total = weights[:, 0] * RD + weights[:, 1:].sum(axis=1)
    return top, total, weights[:, :1] * RNV + weights[:, 1:] @ V


def key_by_key(RM, RD, RNV, scores, V):
    """One key after the other, one query after the other."""
    RM, RD, RNV = RM.copy(), RD.copy(), RNV.copy()
    for p in range(scores.shape[0]):
        for m in range(scores.shape[1]):
            larger = max(RM[p], scores[p, m])
            keep, weight = np.exp(RM[p] - larger), np.exp(scores[p, m] - larger)
            RD[p] = keep * RD[p] + weight
            RNV[p] = keep * RNV[p] + weight * V[m]
            RM[p] = larger
    return RM, RD, RNV


def _with(RM, RD, RNV, scores, V, factor):
    """The reference with another correction factor, which sees the old, local and new maximum."""
    local = scores.max(axis=1)
    new = np.maximum(RM, local)
    with np.errstate(all="ignore"):
        PRM = factor(RM, local, new)
        SLN = np.exp(scores - new[:, None])
        return new, PRM * RD + SLN.sum(axis=1), PRM[:, None] * RNV + SLN @ V


def upside_down(RM, RD, RNV, scores, V):
    return _with(RM, RD, RNV, scores, V, lambda old, local, new: np.exp(np.minimum(new - old, 700)))


def never_corrected(RM, RD, RNV, scores, V):
    return _with(RM, RD, RNV, scores, V, lambda old, local, new: np.ones_like(old))


def by_the_local_maximum(RM, RD, RNV, scores, V):
    return _with(RM, RD, RNV, scores, V, lambda old, local, new: np.exp(np.minimum(old - local, 700)))


def only_the_denominator(RM, RD, RNV, scores, V):
    new, total, gathered = one_block(RM, RD, RNV, scores, V)
    return new, total, RNV + (gathered - np.exp(RM - new)[:, None] * RNV)


def only_the_numerator(RM, RD, RNV, scores, V):
    new, total, gathered = one_block(RM, RD, RNV, scores, V)
    return new, RD + (total - np.exp(RM - new) * RD), gathered


def only_the_past(RM, RD, RNV, scores, V):
    """The block's own weights are taken at the block's maximum."""
    new, local = np.maximum(RM, scores.max(axis=1)), scores.max(axis=1)
    PRM, SLN = np.exp(RM - new), np.exp(scores - local[:, None])
    return new, PRM * RD + SLN.sum(axis=1), PRM[:, None] * RNV + SLN @ V


def the_blocks_maximum_is_kept(RM, RD, RNV, scores, V):
    new = scores.max(axis=1)
    with np.errstate(all="ignore"):
        PRM, SLN = np.exp(np.minimum(RM - new, 700)), np.exp(scores - new[:, None])
    return new, PRM * RD + SLN.sum(axis=1), PRM[:, None] * RNV + SLN @ V


def divided_in_every_block(RM, RD, RNV, scores, V):
    new, total, gathered = one_block(RM, RD, RNV, scores, V)
    return new, total, gathered / total[:, None]


def one_maximum_for_all(RM, RD, RNV, scores, V):
    new = np.full_like(RM, max(RM.max(), scores.max()))
    PRM, SLN = np.exp(RM - new), np.exp(scores - new[:, None])
    return new, PRM * RD + SLN.sum(axis=1), PRM[:, None] * RNV + SLN @ V


def case(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """A block of odd size after some others, or the first one; maxima grow in some rows and not in others."""
    p, m, f, before = (int(n) for n in rng.integers(1, 6, 4))
    scores, V = 3 * rng.standard_normal((p, m)), rng.standard_normal((m, f))
    if rng.random() < 0.2:
        return np.full(p, -np.inf), np.zeros(p), np.zeros((p, f)), scores, V
    earlier = 3 * rng.standard_normal((p, before)) + rng.choice([-4.0, 0.0, 4.0])
    RM = earlier.max(axis=1)
    weights = np.exp(earlier - RM[:, None])
    return RM, weights.sum(axis=1), weights @ rng.standard_normal((before, f)), scores, V


OLD = np.array([0.0, 2.0]), np.array([1.0, 1.5]), np.array([[1.0], [3.0]])
NEW = np.array([[1.0, -1.0, 0.5], [0.0, 1.0, -2.0]]), np.array([[2.0], [-1.0], [4.0]])

EXERCISE = Exercise(
    "attention-cost/correction-factor",
    one_block,
    case,
    signature="one_block(RM, RD, RNV, scores, V) -> (RM, RD, RNV)",
    ask="""
    One step of attention in one pass. Of the blocks of keys before, this is known: for each of p queries the
    largest score so far, `RM` [p]; the sum of exp(score - RM), `RD` [p]; and the sum of exp(score - RM)
    times value, `RNV` [p, f]. Now comes a block of m keys: `scores` [p, m] and `V` [m, f], with at least one
    key. Return the three arrays after this block, as if its keys had been there from the beginning. Before
    the first block RM is -inf, RD and RNV are 0. All are float64; do not change what came in.
    """,
    examples=[
        (*OLD, *NEW),
        (np.full(2, -np.inf), np.zeros(2), np.zeros((2, 1)), *NEW),
        (np.array([500.0]), np.array([1.0]), np.array([[2.0]]), np.array([[501.0]]), np.array([[5.0]])),
        (np.array([1.0]), np.array([2.0]), np.array([[0.0]]), np.array([[-30.0]]), np.array([[1.0]])),
    ],
    wrong_answers={
        "the factor is upside down": (
            upside_down,
            "When the maximum grows, all that was gathered must become smaller. Is exp of new minus old "
            "below 1?",
        ),
        "what was gathered is not corrected": (
            never_corrected,
            "RD and RNV hold exponentials of differences to the old maximum. The new ones are differences "
            "to another number. Can they be added as they are?",
        ),
        "corrected with the block's maximum": (
            by_the_local_maximum,
            "The maximum of the block may be smaller than what was there. Which maximum are the results "
            "measured from?",
        ),
        "only the denominator is corrected": (
            only_the_denominator,
            "RNV is a sum of the same exponentials as RD, each times a value. What must happen to it when "
            "the maximum grows?",
        ),
        "only the numerators are corrected": (
            only_the_numerator,
            "RD is a sum of the same exponentials as RNV. What must happen to it when the maximum grows?",
        ),
        "the block's exponentials are measured from its own maximum": (
            only_the_past,
            "Suppose that the old maximum is larger than all scores of the block. Which number must be taken "
            "away from those scores?",
        ),
        "the maximum of the blocks before is forgotten": (
            the_blocks_maximum_is_kept,
            "RM is the largest score of all blocks so far. Can it ever become smaller?",
        ),
        "divided in every block": (
            divided_in_every_block,
            "The sums are still growing. When is the denominator known?",
        ),
        "one maximum for all queries": (
            one_maximum_for_all,
            "Each query has scores of its own. How many maxima are there?",
        ),
    },
    also_right=[the_past_as_one_more_key, key_by_key],
    hints=[
        "First the new maximum of each query: the larger of RM and the largest score of the block.",
        "exp(score - new) = exp(score - old) * exp(old - new). So one factor for each query corrects all "
        "that was gathered.",
        "Both sums get the same factor, `np.exp(RM - new)`, and then the block's own share, in which the new "
        "maximum is taken away from the scores. Nothing is divided yet.",
    ],
    explanation="""
    The factor exp(old - new) is 1 where the maximum stays and below 1 where it grows. For the first block it
    is exp(-inf) = 0, which forgets the zeros that were there. Nothing is ever above 1, so nothing overflows.
    One division for each output, after the last block, is enough: the factor cancels in numerator and
    denominator.
    """,
    rtol=1e-9,
    atol=1e-12,
)
