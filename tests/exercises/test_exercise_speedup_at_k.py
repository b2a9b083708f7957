"""The exercise of shares is sound, and its answer is the metric of the benchmark."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.roofline.speedup_at_k import passed, speedup_at_k
from workbench.judge.profiles import sample
from workbench.systems.roofline.multikernelbench import Sample, faster_at, passed_at

EXERCISE = exercise("roofline/speedup-at-k")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 3


@pytest.mark.parametrize(("correct", "speedup", "alpha", "k"), sample(EXERCISE.inputs, 20))
def test_it_is_the_metric_of_the_benchmark(correct, speedup, alpha, k):
    samples = [
        [Sample("", "", "", True, bool(c), speedup=float(s)) for c, s in zip(*rows, strict=True)]
        for rows in zip(correct, speedup, strict=True)
    ]
    assert faster_at(samples, k, alpha) == pytest.approx(speedup_at_k(correct, speedup, alpha, k))
    assert passed_at(samples, k) == pytest.approx(passed(correct, speedup, alpha, k))


def test_more_samples_never_hurt_and_more_speed_never_helps():
    rng = np.random.default_rng(0)
    correct, speedup = rng.random((30, 5)) < 0.4, rng.random((30, 5)) * 4
    shares = [speedup_at_k(correct, speedup, 1.0, k) for k in range(1, 6)]
    assert shares == sorted(shares)
    shares = [speedup_at_k(correct, speedup, alpha, 3) for alpha in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert shares == sorted(shares, reverse=True)
