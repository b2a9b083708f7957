"""Who do these joints belong to? The loss that makes tags alike on one person and unlike between two."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def push_pull(tags: np.ndarray, visible: np.ndarray) -> tuple[float, float]:
    means, pull = [], 0.0
    for person, seen in zip(tags, visible, strict=True):
        if seen.any():
            means.append(person[seen].mean())
            pull += ((person[seen] - means[-1]) ** 2).mean()
    people = len(means)
    if people == 0:
        return 0.0, 0.0
    push = sum(np.exp(-((a - b) ** 2)) for i, a in enumerate(means) for j, b in enumerate(means) if i != j)
    return float(push / (2 * people * (people - 1))) if people > 1 else 0.0, float(pull / people)


def without_loops(tags, visible):
    """Sums over everything, with zeros for what is not to be seen."""
    weight = visible / np.maximum(visible.sum(1, keepdims=True), 1)
    there = visible.any(1)
    mean = (weight * tags).sum(1)
    people = there.sum()
    pull = (weight * (tags - mean[:, None]) ** 2).sum() / max(people, 1)
    near = np.exp(-(np.subtract.outer(mean, mean) ** 2)) * np.outer(there, there)
    push = (near.sum() - people) / 2 / max(people * (people - 1), 1)
    return float(push), float(pull)


def by_pairs(tags, visible):
    """Every pair once: the variance of each person, and the mean over pairs, halved."""
    seen = [person[mask] for person, mask in zip(tags, visible, strict=True) if mask.any()]
    means = [person.mean() for person in seen]
    pairs = [np.exp(-((means[i] - means[j]) ** 2)) for i in range(len(means)) for j in range(i)]
    push = np.mean(pairs) / 2 if pairs else 0.0
    return float(push), float(np.mean([person.var() for person in seen]) if seen else 0.0)


def _people(tags, visible):
    seen = [person[mask] for person, mask in zip(tags, visible, strict=True) if mask.any()]
    return seen, np.array([person.mean() for person in seen])


def _push(means, near=lambda d: np.exp(-(d**2)), keep_self=False, share=2.0):
    people = len(means)
    if people < 2 and not (keep_self and people):
        return 0.0
    total = near(np.subtract.outer(means, means)).sum() - (0 if keep_self else people * near(0.0))
    return float(total / (share * max(people * (people - 1), 1)))


def self_pairs(tags, visible):
    return _push(_people(tags, visible)[1], keep_self=True), push_pull(tags, visible)[1]


def invisible_joints(tags, visible):
    there = visible.any(1)
    return push_pull(tags, np.broadcast_to(there[:, None], visible.shape))


def invisible_in_the_mean(tags, visible):
    """Tags of joints that are not to be seen count as zero."""
    return push_pull(np.where(visible, tags, 0.0), np.broadcast_to(visible.any(1)[:, None], visible.shape))


def pull_not_normalised(tags, visible):
    seen, _ = _people(tags, visible)
    return push_pull(tags, visible)[0], float(sum(((p - p.mean()) ** 2).sum() for p in seen))


def pull_not_by_people(tags, visible):
    seen, _ = _people(tags, visible)
    return push_pull(tags, visible)[0], float(sum(p.var() for p in seen))


def pull_over_all_joints(tags, visible):
    """Who shows more joints counts for more."""
    seen, _ = _people(tags, visible)
    squares = [((p - p.mean()) ** 2).sum() for p in seen]
    return push_pull(tags, visible)[0], float(sum(squares) / max(visible.sum(), 1))


def push_not_squared(tags, visible):
    return _push(_people(tags, visible)[1], near=lambda d: np.exp(-np.abs(d))), push_pull(tags, visible)[1]


def pull_not_squared(tags, visible):
    seen, _ = _people(tags, visible)
    pull = np.mean([np.abs(p - p.mean()).mean() for p in seen]) if seen else 0.0
    return push_pull(tags, visible)[0], float(pull)


def nothing_squared(tags, visible):
    return push_not_squared(tags, visible)[0], pull_not_squared(tags, visible)[1]


def push_not_halved(tags, visible):
    push, pull = push_pull(tags, visible)
    return 2 * push, pull


def push_backwards(tags, visible):
    """Large for people who are far apart."""
    return _push(_people(tags, visible)[1], near=lambda d: 1 - np.exp(-(d**2))), push_pull(tags, visible)[1]


def exchanged(tags, visible):
    return push_pull(tags, visible)[::-1]


def unseen_people(tags, visible):
    """Everybody is a person, also those of whom nothing is to be seen; their mean is put at 0."""
    count = np.maximum(visible.sum(1), 1)
    means = (tags * visible).sum(1) / count
    pull = (((tags - means[:, None]) ** 2 * visible).sum(1) / count).mean()
    return _push(means), float(pull)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Tags of up to 4 people with up to 6 joints, some of them not to be seen."""
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread, apart = draw(st.sampled_from((0.0, 0.1, 1.0))), draw(st.sampled_from((0.3, 1.0, 3.0)))
    tags = apart * rng.normal(size=(shape[0], 1)) + spread * rng.normal(size=shape)
    return tags, rng.random(shape) < draw(st.sampled_from((0.3, 0.8, 1.0)))


TAGS = np.array([[0.0, 1.0, 2.0], [1.0, 1.5, -3.0], [9.0, 9.0, 9.0]])
SEEN = np.array([[True, True, True], [True, True, False], [False, False, False]])

EXERCISE = Exercise(
    "receptive-fields/grouping-loss",
    push_pull,
    scenes(),
    signature="push_pull(tags, visible) -> (push, pull)",
    ask="""
    `tags` [people, joints] holds the tag at each joint of each person, `visible` (bool) says which joints can
    be seen. People of whom no joint can be seen do not count; let P be the number of the others, and m_a the
    mean tag over the visible joints of person a. Return two numbers:

    - `pull`: for each person the mean of (tag - m_a)² over the visible joints, then the mean over people;
    - `push`: the sum of exp(-(m_a - m_b)²) over all a, b with a ≠ b, divided by 2 P (P - 1).

    With one person `push` is 0, with nobody both are.
    """,
    examples=[
        (TAGS, SEEN),
        (TAGS[:2], SEEN[:2]),
        (TAGS[:1], SEEN[:1]),
        (TAGS[2:], SEEN[2:]),
        (np.zeros((2, 2)), np.ones((2, 2), dtype=bool)),
        (
            np.array([[0.0, 0.5], [2.0, 2.5], [4.0, 5.0]]),
            np.array([[True, True], [True, True], [True, False]]),
        ),
    ],
    wrong_answers={
        "a person is pushed away from itself": (
            self_pairs,
            "Nobody can be far from oneself. Which pairs (a, b) are asked for?",
        ),
        "joints that cannot be seen are averaged too": (
            invisible_joints,
            "The tag at a joint that cannot be seen belongs to whatever stands in front of it. Who may vote "
            "on the mean?",
        ),
        "the tag of a joint that cannot be seen counts as zero": (
            invisible_in_the_mean,
            "Zero is a tag like any other, and drags the mean. By how many joints do you divide?",
        ),
        "pull is a sum, not a mean": (
            pull_not_normalised,
            "Somebody with six visible joints should not weigh three times as much as somebody with two. How "
            "many joints were added up, and how many people?",
        ),
        "pull is not divided by the number of people": (
            pull_not_by_people,
            "Two people with the same spread as one should give the same pull. What is missing at the end?",
        ),
        "pull is a mean over joints, not over people": (
            pull_over_all_joints,
            "First the mean over the joints of each person, then the mean over people. Does that differ "
            "when one shows more joints than another?",
        ),
        "the distance in push is not squared": (
            push_not_squared,
            "The bump exp(-d²) is flat on top and falls fast. What do you take the exponential of?",
        ),
        "the distance in pull is not squared": (
            pull_not_squared,
            "Pull is a variance. Which power of the distance does one average for that?",
        ),
        "neither distance is squared": (
            nothing_squared,
            "Both terms use squares: look at the formulas once more.",
        ),
        "push is not halved": (
            push_not_halved,
            "P (P - 1) is the number of ordered pairs. What else is in the denominator?",
        ),
        "push grows with the distance": (
            push_backwards,
            "A loss goes down in training. Should it be large when two people have the same tag, or when "
            "they have different ones?",
        ),
        "push and pull are exchanged": (exchanged, "Push comes first."),
        "people who cannot be seen count": (
            unseen_people,
            "Of a person without a visible joint there is no tag to read. Are they in P?",
        ),
    },
    also_right=[without_loops, by_pairs],
    hints=[
        "Go through the people, and skip those without a visible joint. `person[seen]` are the tags to use.",
        "Keep the means in a list. Pull is the mean of the variances.",
        "For push go through all pairs of means, leave out i == j, and divide the sum by 2 P (P - 1).",
    ],
    explanation="""
    Pull gathers the tags of one person around their mean, push drives the means apart until the bumps
    exp(-d²) no longer overlap. Nobody says which tag a person should have: only differences count, so adding
    one number to all tags changes neither.
    """,
    rtol=1e-9,
    atol=1e-12,
)
