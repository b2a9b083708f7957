"""Gather figure and ground, let each attend to its own merged tokens, scatter the answers back."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def gather_scatter(x: np.ndarray, heat: np.ndarray, figure: np.ndarray, ground: np.ndarray) -> np.ndarray:
    out, member = x.copy(), heat >= 0.5
    if member.all() or not member.any():
        return out
    for kind, share, rule in ((member, heat, figure), (~member, 1 - heat, ground)):
        soft = x * share
        keys = rule @ soft @ soft.T  # [merged, channels]
        scores = keys @ x[:, kind] / np.sqrt(len(x))  # [merged, members]
        out[:, kind] += keys.T @ _softmax(scores)
    return out


def token_by_token(x, heat, figure, ground):
    """One token after the other, each with the keys of its kind."""
    channels, tokens = x.shape
    kinds = [bool(h >= 0.5) for h in heat]
    if len(set(kinds)) < 2:
        return x.copy()
    keys = {}
    for kind, rule in ((True, figure), (False, ground)):
        merged = np.zeros((len(rule), channels))
        for n in range(tokens):
            soft = x[:, n] * (heat[n] if kind else 1 - heat[n])
            merged += np.outer(rule @ soft, soft)
        keys[kind] = merged
    columns = []
    for n in range(tokens):
        own = keys[kinds[n]]
        weights = np.exp(own @ x[:, n] / channels**0.5 - (own @ x[:, n] / channels**0.5).max())
        columns.append(x[:, n] + weights @ own / weights.sum())
    return np.stack(columns, 1)


def under_a_mask(x, heat, figure, ground):
    """All tokens look at all merged tokens; what belongs to the other kind gets the weight 0."""
    soft = [x * heat, x * (1 - heat)]
    keys = np.concatenate([rule @ one @ one.T for rule, one in zip((figure, ground), soft, strict=True)])
    of_figure = np.arange(len(keys)) < len(figure)
    mine = of_figure[:, None] == (heat >= 0.5)
    answer = x + keys.T @ _softmax(np.where(mine, keys @ x / np.sqrt(len(x)), -np.inf))
    return answer if 0 < (heat >= 0.5).sum() < len(heat) else x + 0.0


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Down each column, over the keys."""
    powers = np.exp(scores - scores.max(0))
    return powers / powers.sum(0)


def _merge(x, share, member, rule):
    return rule @ (x * share) @ (x * share).T


def _with(
    x,
    heat,
    figure,
    ground,
    *,
    merge=_merge,
    member=lambda heat: heat >= 0.5,
    swap=False,
    passes=True,
    scale=True,
    put=lambda out, kind, answer: out.__setitem__((slice(None), kind), answer),
):
    """The same with one step done in another way; put(out, kind, answers [channels, members])."""
    out, there = x.copy(), member(heat)
    if passes and (there.all() or not there.any()):
        return out
    sides = [(there, heat, figure), (~there, 1 - heat, ground)]
    keys = [merge(x, share, kind, rule) for kind, share, rule in sides]
    for (kind, _, _), own in zip(sides, keys[::-1] if swap else keys, strict=True):
        if kind.any():
            weights = _softmax(own @ x[:, kind] / (np.sqrt(len(x)) if scale else 1))
            put(out, kind, x[:, kind] + own.T @ weights)
    return out


def scattered_into_a_copy(*case):
    return _with(*case, put=lambda out, kind, answer: None)


def channels_and_tokens_mixed(*case):
    def put(out, kind, answer):
        out[:, kind] = answer.T.reshape(answer.shape)

    return _with(*case, put=put)


def mean_of_the_members(*case):
    return _with(*case, merge=lambda x, share, member, rule: _mean(x, member, rule))


def _mean(x, member, rule):
    """One mean in the place of all merged tokens."""
    mean = x[:, member].mean(1) if member.any() else np.zeros(len(x))
    return np.tile(mean, (len(rule), 1))


def hard_merging(*case):
    return _with(*case, merge=lambda x, share, member, rule: _merge(x, member, member, rule))


def merging_without_heat(*case):
    return _with(*case, merge=lambda x, share, member, rule: rule @ x @ x.T)


def heat_once(*case):
    return _with(*case, merge=lambda x, share, member, rule: rule @ x @ (x * share).T)


def the_other_kinds_keys(*case):
    return _with(*case, swap=True)


def keys_of_both_kinds(x, heat, figure, ground):
    def merge(x, share, member, rule):
        return np.concatenate([_merge(x, heat, member, figure), _merge(x, 1 - heat, member, ground)])

    return _with(x, heat, figure, ground, merge=merge)


def one_kind_attends(*case):
    return _with(*case, passes=False)


def half_is_ground(*case):
    return _with(*case, member=lambda heat: heat > 0.5)


def never_scaled(*case):
    return _with(*case, scale=False)


def no_shortcut(x, heat, figure, ground):
    def put(out, kind, answer):
        out[:, kind] = answer - x[:, kind]

    return _with(x, heat, figure, ground, put=put)


def _drawn(
    rng: np.random.Generator,
    channels: int,
    tokens: int,
    merged: int,
    heat: list[float] | None = None,
) -> Case:
    x = rng.standard_normal((channels, tokens))
    own = rng.uniform(size=tokens) if heat is None else np.array(heat, float)
    figure, ground = rng.standard_normal((2, merged, channels)) / (np.sqrt(channels) * tokens)
    return x, own, figure, ground


@st.composite
def maps(draw: st.DrawFn) -> Case:
    """A few tokens of both kinds, or of one."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    channels, tokens, merged = (draw(st.integers(1, most)) for most in (4, 9, 3))
    return _drawn(rng, channels, tokens, merged)


RNG = np.random.default_rng(8)

EXERCISE = Exercise(
    "attention-shapes/gather-scatter",
    gather_scatter,
    maps(),
    signature="gather_scatter(x, heat, figure, ground) -> out",
    ask="""
    `x` [channels, tokens] holds one token in each column. `heat` [tokens], from 0 to 1, says how much each
    belongs to the figure. Tokens with a heat of at least 1/2 are the figure, all others the ground. Merge
    tokens, for each kind apart. For the figure, multiply every token by its heat; call this `soft`
    [channels, tokens]. Then `figure @ soft` [merged, tokens] holds the weight of each token in each merged
    token, and a merged token is the sum of all columns of `soft` with these weights: a plain sum, without a
    softmax. For the ground, do the same with 1 - heat and with `ground`. Now every token of a kind looks at
    the merged tokens of its own kind alone: a score is the product of token and merged token, divided by the
    root of channels; a softmax over the merged tokens gives weights; the answer is the token plus the
    weighted sum of the merged tokens. Return all answers as `out` [channels, tokens], each in the column of
    its token. If all tokens are of one kind, return `x` unchanged. `figure` and `ground` are
    [merged, channels]; there are 1 or more channels, tokens and merged tokens; all arrays are float64. Do not
    write into `x`.
    """,
    examples=[
        _drawn(RNG, 3, 8, 2),
        _drawn(RNG, 4, 6, 3, [0.9, 0.1, 0.5, 0.3, 0.7, 0.49]),
        _drawn(RNG, 3, 4, 2, [0.9, 0.8, 0.5, 0.7]),
        _drawn(RNG, 2, 5, 2, [0.1, 0.2, 0.0, 0.4, 0.3]),
        _drawn(RNG, 3, 7, 1, [0.6, 0.2, 0.7, 0.1, 0.8, 0.3, 0.9]),
    ],
    wrong_answers={
        "the scattered answers are lost": (
            scattered_into_a_copy,
            "Your function returns what it was given. Are the answers in the array that you return?",
        ),
        "channels and tokens change places": (
            channels_and_tokens_mixed,
            "The right numbers stand at wrong places. Is a column still one token when you put it back?",
        ),
        "a hard mean stands for merged tokens": (
            mean_of_the_members,
            "Merged tokens are several, and each has weights of its own. A mean of the members is one token.",
        ),
        "merging is hard": (
            hard_merging,
            "Queries are chosen hard, by 1/2. In merging, every token takes part, as much as its heat says.",
        ),
        "merging takes no heat": (
            merging_without_heat,
            "Figure and ground would merge the same tokens. What are tokens multiplied by before they merge?",
        ),
        "the sum takes no heat": (
            heat_once,
            "Both the weights and the sum are made of the multiplied tokens.",
        ),
        "figure looks at the ground": (
            the_other_kinds_keys,
            "Whose merged tokens does the figure look at in your function?",
        ),
        "all look at both kinds": (
            keys_of_both_kinds,
            "Each kind has merged tokens of its own, and the softmax runs over those alone.",
        ),
        "one kind alone still attends": (
            one_kind_attends,
            "What should come back if there is only figure, or only ground?",
        ),
        "a heat of 1/2 is ground": (
            half_is_ground,
            "At least 1/2 is figure. What does your function do at exactly 1/2?",
        ),
        "the scale is missing": (
            never_scaled,
            "By the root of what are the scores divided before the softmax?",
        ),
        "the token itself is missing": (
            no_shortcut,
            "The answer is the token plus what it has gathered.",
        ),
    },
    also_right=[token_by_token, under_a_mask],
    hints=[
        "Write a loop over the two kinds. Each has members, a share (heat or 1 - heat) and a matrix.",
        "With `soft = x * share` the merged tokens are `keys = rule @ soft @ soft.T`, [merged, channels].",
        "`scores = keys @ x[:, kind] / np.sqrt(len(x))` has a column for each member. After a softmax down "
        "the columns, `out[:, kind] += keys.T @ weights` on a copy of `x` puts the answers in their places.",
    ],
    explanation="""
    Queries are gathered by a hard choice, but keys are merged softly. A hard choice has no gradient, so
    without the soft half nothing would ever tell the heat how to change. Writing through `out[:, kind]` is
    the scattering: the same places that were read are written.
    """,
    rtol=1e-9,
    atol=1e-9,
)
