"""Scattered regions: the law of the card, and the smallest error that a visible set allows."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workbench_datasets import (
    DataError,
    load,
    region_answers,
    region_counts,
    region_expectation,
    region_ideal,
)

Y, X = np.divmod(np.arange(64), 8)
ROWS, COLUMNS = abs(Y[:, None] - Y), abs(X[:, None] - X)
WINDOW = (Y[:, None] // 4 == Y // 4) & (X[:, None] // 4 == X // 4)
GRID = (ROWS % 2 == 0) & (COLUMNS % 2 == 0)
SETS = {  # visible set, its ideal as somebody else measured it on some hundred images
    "self": (np.eye(64, dtype=bool), 0.505),
    "grid": (GRID, 0.200),
    "window": (WINDOW, 0.144),
    "5 x 5": ((ROWS <= 2) & (COLUMNS <= 2), 0.135),
    "window or grid": (WINDOW | GRID, 0.102),
    "everything": (np.ones((64, 64), bool), 0.059),
}


def test_the_law_of_the_card():
    made = load("scattered-regions", images=400)
    labels, inputs = made["labels"], made["inputs"]
    image = np.arange(400)[:, None, None]
    for corner in product((0, 1), repeat=2):  # cells of 2 x 2 are of one label
        assert np.array_equal(labels[:, corner[0] :: 2, corner[1] :: 2], labels[:, ::2, ::2])
    assert np.bincount(labels[:, ::2, ::2].ravel()) == pytest.approx(np.full(4, 1600), abs=150)
    assert np.array_equal(inputs[:, :3].transpose(0, 2, 3, 1), made["codes"][image, labels])
    assert np.array_equal(made["targets"], made["values"][image, labels])
    noise = inputs[:, 3] - made["targets"]
    assert (noise.mean(), noise.std()) == pytest.approx((0, 1), abs=0.02)
    for drawn in (made["codes"], made["values"]):
        assert (drawn.mean(), drawn.std()) == pytest.approx((0, 1), abs=0.1)


def test_a_related_region_is_another_one_that_is_there():
    made, plain = (load("scattered-regions", images=300, relational=r) for r in (True, False))
    image = np.arange(300)[:, None, None]
    asked = made["asked"][image, made["labels"]]
    assert np.array_equal(made["inputs"][:, :4], plain["inputs"])  # the rest of the draw is the same
    assert np.array_equal(made["inputs"][:, 4:].transpose(0, 2, 3, 1), made["codes"][image, asked])
    assert np.array_equal(made["targets"], made["values"][image, asked])
    there = [set(np.unique(labels)) for labels in made["labels"]]
    for labels, others, present in zip(made["labels"], asked, there, strict=True):
        assert set(np.unique(others)) <= present
        assert len(present) == 1 or (labels != others).all()
    pairs = made["asked"][[len(present) == 4 for present in there]]
    assert np.bincount(pairs[:, 0], minlength=4)[1:] == pytest.approx(np.full(3, len(pairs) / 3), rel=0.3)


def test_one_region_alone_asks_for_itself():
    made = load("scattered-regions", side=2, images=9, relational=True)  # a single cell
    own = made["labels"][:, 0, 0]
    assert np.array_equal(made["asked"][np.arange(9), own], own)


def test_noise_is_as_large_as_asked():
    made = load("scattered-regions", side=16, images=100, code_noise=0.7, value_noise=2)
    image = np.arange(100)[:, None, None]
    codes = made["inputs"][:, :3].transpose(0, 2, 3, 1) - made["codes"][image, made["labels"]]
    assert codes.std() == pytest.approx(0.7, rel=0.02)
    assert (made["inputs"][:, 3] - made["targets"]).std() == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("name", SETS)
def test_the_ideals_are_those_measured_before(name):
    visible, measured = SETS[name]
    assert region_expectation(visible).mean() == pytest.approx(measured, rel=0.05)
    labels = load("scattered-regions", images=2000)["labels"]
    assert region_ideal(visible, labels).mean() == pytest.approx(region_expectation(visible).mean(), rel=0.01)


@pytest.mark.parametrize("relational", [False, True])
@pytest.mark.parametrize("noise", [0.0, 1.0, 2.0])
def test_the_answers_reach_the_ideal_and_others_do_not(relational, noise):
    made = load("scattered-regions", images=1500, relational=relational, value_noise=noise)
    labels, readings, asked = made["labels"], made["inputs"][:, 3], made["asked"]
    ideal = region_ideal(WINDOW, labels, noise, asked).mean()

    def error(answers: np.ndarray) -> float:
        return float(np.square(answers - made["targets"]).mean())

    answers = region_answers(WINDOW, labels, readings, noise, asked)
    assert error(answers) == pytest.approx(ideal, rel=0.06, abs=1e-6)
    if noise:  # the plain mean of the readings forgets that values lie around zero
        counts = np.maximum(region_counts(WINDOW, labels, asked), 1)
        assert error(answers * (counts + noise**2) / counts) > 1.03 * error(answers)


def test_the_expectation_is_that_of_all_maps():
    """Of 2 x 2 cells of one token each and 3 labels there are 81 maps."""
    maps = np.array(list(product(range(3), repeat=4))).reshape(-1, 2, 2)
    visible = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]], bool)  # the third not itself
    each = region_ideal(visible, maps, 0.6)
    expected = region_expectation(visible, side=2, cell=1, labels=3, value_noise=0.6)
    np.testing.assert_allclose(expected, each.mean(0), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_seeing_more_never_hurts(seed):
    draws = np.random.default_rng(seed)
    labels = draws.integers(3, size=(4, 2, 3))
    visible = draws.random((6, 6)) < 0.4
    more = visible | (draws.random((6, 6)) < 0.3)
    assert (region_ideal(more, labels) <= region_ideal(visible, labels)).all()
    counted = [
        [
            sum(v and a == b for v, b in zip(row, flat, strict=True))
            for row, a in zip(visible, flat, strict=True)
        ]
        for flat in labels.reshape(4, -1).tolist()
    ]
    assert np.array_equal(region_counts(visible, labels).reshape(4, 6), counted)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: load("scattered-regions", side=9), "cell must divide side, but a cell of 2 and a side of 9"),
        (lambda: load("scattered-regions", relational="yes"), "relational must be True or False, but 'yes'"),
        (lambda: load("scattered-regions", cell=9), "cell must be a whole number from 1 to 8, but 9 came"),
        (
            lambda: region_ideal(np.eye(4), np.zeros((1, 2, 3), int)),
            r"visible must be \[6, 6\] for maps of 2 x 3",
        ),
        (lambda: region_ideal(np.eye(4), np.zeros((2, 2), int)), "labels must be"),
        (lambda: region_ideal(np.eye(4), np.zeros((1, 2, 2), int), -1), "value_noise must be a number"),
        (lambda: region_expectation(np.eye(4)), "visible must be"),
    ],
)
def test_what_does_not_fit(call, says):
    with pytest.raises(DataError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
