"""Declarations: what is accepted, and the sentence for what is not."""

import re
from typing import Any

import numpy as np
import pytest

from workbench.claims import AtLeast, Claim, Measured, Needs, System
from workbench.errors import WorkbenchError


def number(seed: int, budget: str) -> float:
    return 1.0


def claim(id: str = "gain", **changed: Any) -> Claim:
    given: dict[str, Any] = {
        "says": "it gains",
        "paper": "2",
        "bar": AtLeast(1.5),
        "measure": number,
        "control": number,
    }
    return Claim(id, **(given | changed))


def test_the_shape_in_the_design_works() -> None:
    system = System(
        key="two-pass-softmax",
        claims=[
            Claim(
                "time-out-of-cache",
                says="…",
                paper="up to 1.28 (AVX-512)",
                bar=AtLeast(1.05),
                measure=number,
                control=number,
            )
        ],
        deviations=["…"],
    )
    assert system.claim("time-out-of-cache").provenance == "measured"
    assert system.claim("time-out-of-cache").seeds == 5


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"control": None}, "claim 'gain' needs a control(seed, budget), but control is None"),
        ({"measure": 3}, "claim 'gain' needs a measure(seed, budget), but measure is 3"),
        ({"bar": 1.05}, "claim 'gain' needs a bar such as AtLeast(1.05), but 1.05 came"),
        ({"id": "Big Gain"}, "a claim's id is lower-case words joined by hyphens, but 'Big Gain' came"),
        ({"provenance": "guessed"}, "provenance out of formula, counted, simulated, measured, but 'guessed'"),
        ({"seeds": 4}, "claim 'gain' needs at least 5 seeds, or 1 where no seed matters, but 4 came"),
        ({"seeds": 0}, "but 0 came"),
        ({"seeds": 1}, "a measured number is never deterministic"),
        ({"needs": "luck"}, "claim 'gain' may need 'hardware' or 'LLM', but 'luck' came"),
    ],
)
def test_a_wrong_claim_is_told_in_one_sentence(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WorkbenchError, match=re.escape(sentence)):
        claim(**changed)


def test_a_claim_that_needs_what_is_not_here_has_nothing_to_control() -> None:
    assert claim(needs="LLM", measure=None, control=None).needs == "LLM"


@pytest.mark.parametrize("seeds", [1, 5, 12])
def test_seeds(seeds: int) -> None:
    assert claim(seeds=seeds, provenance="counted").seeds == seeds


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"claims": []}, "system 'toy' needs at least one claim"),
        ({"claims": [claim(), claim()]}, "each with its own id, but ['gain', 'gain'] came"),
        ({"claims": [claim()], "deviations": "none"}, "needs a list of deviations, but one string came"),
    ],
)
def test_a_wrong_system_is_told_in_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WorkbenchError, match=re.escape(sentence)):
        System("toy", **given)


def test_an_unknown_claim_names_the_nearest() -> None:
    with pytest.raises(WorkbenchError, match="has no claim 'gian'; did you mean 'gain'"):
        System("toy", claims=[claim(), claim("other")]).claim("gian")


@pytest.mark.parametrize("value", [1, True, np.float32(2.5), np.array(3.0)])
def test_numbers_of_any_library_become_floats(value: Any) -> None:
    got = Measured(value, system=value)
    assert type(got.value) is type(got.system) is float
    assert got.baseline is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "much", np.zeros(2)])
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    with pytest.raises(WorkbenchError, match="a measured value must be"):
        Measured(value)
    if value is not None:
        with pytest.raises(WorkbenchError, match="a measured baseline must be"):
            Measured(1.0, baseline=value)


def test_needs_says_what_and_why() -> None:
    assert str(Needs("hardware", "a GPU with 80 GiB")) == "needs hardware: a GPU with 80 GiB"
    with pytest.raises(ValueError, match="'luck'"):
        Needs("luck")  # type: ignore[arg-type]
