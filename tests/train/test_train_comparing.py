"""Comparisons: pairs within seeds, the same trials for all, and a report that says so."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from workbench.errors import WorkbenchError
from workbench.train import Recipe, Task, compare, equal, step_flops, train

GENERATOR = torch.Generator().manual_seed(0)
Y = torch.randint(2, (90,), generator=GENERATOR)
X = torch.randn(90, 1, 4, 4, generator=GENERATOR) + 0.7 * Y[:, None, None, None]
TASK = Task("bright", (1, 4, 4), 2, (X[:60], Y[:60]), (X[60:], Y[60:]))
QUICK = Recipe(steps=10, batch=16, lr=1e-2)


def line() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def deep() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))


@pytest.fixture(autouse=True)
def _own_build(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))


def test_scores_are_those_of_single_trainings_and_pairs_are_within_seeds():
    found = compare({"line": line, "deep": deep}, TASK, QUICK, seeds=[4, 2, 7])
    for name, make in (("line", line), ("deep", deep)):
        alone = [train(make, TASK, QUICK, seed, keep=False).score for seed in (4, 2, 7)]
        assert found.scores[name].tolist() == alone
    mean, low, high = found.paired("deep")
    test = stats.ttest_rel(found.scores["deep"], found.scores["line"]).confidence_interval(0.95)
    assert mean == pytest.approx(np.mean(found.scores["deep"] - found.scores["line"]))
    assert (low, high) == pytest.approx((test.low, test.high))
    assert found.paired("line", against="deep")[0] == pytest.approx(-mean)
    assert found.paired("line") == (0, 0, 0)
    with pytest.raises(WorkbenchError, match="no arm is called 'wide'; there are line, deep"):
        found.paired("wide")


def test_one_seed_has_no_interval():
    found = compare({"line": line, "deep": deep}, TASK, QUICK, seeds=[0])
    assert found.paired("deep")[1:] == (-math.inf, math.inf)
    assert "(one seed)" in str(found)


def test_the_report_says_what_was_the_same():
    found = compare({"line": line, "deep": deep}, TASK, QUICK, seeds=range(2), baseline="deep")
    text, page = str(found), found._repr_html_()
    assert "all arms saw the same 10 batches of 16 in the same order" in text
    assert "nothing was tuned, all have one recipe" in text
    assert found.fairness in page
    assert page.count("<tr>") == 3
    rows = {row["arm"]: row for row in found.rows()}
    assert rows["line"]["parameters"] == 34
    assert rows["deep"]["difference"] == 0
    assert rows["line"]["flops"] == pytest.approx(10 * step_flops(line(), TASK, QUICK).value)
    assert "baseline" in text.splitlines()[3]


def test_what_was_not_the_same_is_said_too():
    recipes = {"line": QUICK, "deep": replace(QUICK, batch=8, steps=12)}
    found = compare({"line": line, "deep": deep}, TASK, recipes, seeds=[0])
    assert "for as long as they ran: line 10 batches of 16, deep 12 batches of 8" in found.fairness
    assert "each arm has the recipe it was given" in found.fairness


def test_names_are_not_taken_for_markup():
    found = compare({"<b>": line}, TASK, QUICK, seeds=[0])
    assert "<b>" not in found._repr_html_()


def test_every_arm_gets_the_same_trials_on_validation_data_alone():
    grid = {"lr": [1e-4, 1e-2, 1e30], "weight_decay": [0.0, 0.1]}
    hidden = replace(TASK, test=(X[60:] * math.nan, Y[60:]))  # scores of all-nan inputs are finite: argmax
    for made in (TASK, hidden):
        found = compare(
            {"line": line, "deep": deep}, made, replace(QUICK, optimizer="sgd"), seeds=range(2), tune=grid
        )
        settings = [[dict(trial.settings) for trial in found.trials[name]] for name in ("line", "deep")]
        assert settings[0] == settings[1]
        assert len(settings[0]) == 6
        chosen = {name: (r.lr, r.weight_decay) for name, r in found.recipes.items()}
        if made is TASK:
            first = chosen
        assert chosen == first  # test data change nothing
    best = max(found.trials["deep"], key=lambda trial: trial.score)
    assert (
        best.score
        == train(
            deep, TASK.validation(), replace(QUICK, optimizer="sgd", **best.settings), 0, keep=False
        ).score
    )
    assert "the same 6 trials of lr, weight_decay (" in found.fairness
    assert "diverged), judged on validation data" in found.fairness


def test_an_arm_that_always_diverges_is_said():
    recipe = replace(QUICK, optimizer="sgd", schedule="constant", steps=30)
    with pytest.raises(WorkbenchError, match="every one of the 2 trials of deep diverged"):
        compare({"deep": deep}, TASK, recipe, tune={"lr": [1e29, 1e30]})


def test_equal_flops_give_the_dearer_model_fewer_steps():
    recipe = replace(QUICK, steps=30)
    found = compare({"line": line, "deep": deep}, TASK, recipe, seeds=[0], by="flops")
    price = {name: step_flops(make(), TASK, recipe).value for name, make in (("line", line), ("deep", deep))}
    steps = {name: runs[0].steps for name, runs in found.runs.items()}
    assert steps == {"line": 30, "deep": int(30 * price["line"] // price["deep"])}
    assert 0 < steps["deep"] < 5
    assert f"line 30 batches of 16, deep {steps['deep']} batches of 16" in found.fairness


def test_a_task_may_belong_to_its_seed():
    asked = []

    def of(seed: int) -> Task:
        asked.append(seed)
        return replace(TASK, train=(X[:60] + seed, Y[:60]))

    told: list = []
    found = compare(
        {"line": line, "deep": deep}, of, QUICK, seeds=[3, 5], progress=lambda *news: told.append(news)
    )
    assert asked == [3, 5]
    assert [news[:2] for news in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [run.task.train[0].mean() for run in found.runs["line"]] == [
        run.task.train[0].mean() for run in found.runs["deep"]
    ]


@pytest.mark.parametrize(
    ("slip", "sentence"),
    [
        ({"models": {}}, "at least one model"),
        ({"seeds": []}, "different numbers, at least one"),
        ({"seeds": [1, 1]}, r"different numbers, at least one, but \[1, 1\] came"),
        ({"by": "time"}, "by must be steps or flops"),
        ({"baseline": "wide"}, "the baseline must be one of line, but 'wide' came"),
        ({"recipe": {"deep": QUICK}}, "each of line needs a recipe, but recipes for deep came"),
        ({"tune": {"speed": [1]}}, "tune can vary .* but 'speed' came"),
        ({"tune": {"lr": []}}, "tune needs a list of values for lr"),
    ],
)
def test_slips(slip, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        compare(**{"models": {"line": line}, "task": TASK, "recipe": QUICK, **slip})


# Equal cost ---------------------------------------------------------------------------------------


def conv(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("wanted", [20, 300, 5000, 90_000])
def test_the_nearest_width_of_all(wanted):
    model: Any = equal(conv, like=wanted)
    best = min(range(1, 257), key=lambda width: abs(parameters(conv(width)) / wanted - 1))
    assert model.width == best
    assert model[0].out_channels == best
    assert model.match.cost.value == parameters(model)
    assert model.match.difference == pytest.approx(parameters(model) / wanted - 1)


def test_equal_flops_and_few_tries():
    tried: list[int] = []

    def counted(width: int) -> nn.Module:
        tried.append(width)
        return conv(width)

    like = nn.Conv2d(1, 40, 5, padding=2)
    model: Any = equal(counted, like, by="flops", input_shape=(2, 1, 16, 16), widths=range(2, 200, 2))
    assert abs(model.match.difference) < 0.15
    assert model.width % 2 == 0
    assert len(set(tried)) < 10
    assert str(model.match).startswith(f"width {model.width}: ")
    assert "(formula)" in str(model.match)


def test_equal_time_is_measured():
    model: Any = equal(conv, conv(24), by="time", input_shape=(2, 1, 12, 12), widths=(24,), within=1e9)
    assert model.width == 24
    assert model.match.cost.provenance == "measured"


def test_what_was_measured_does_not_hide_a_kept_result():
    made = [
        equal(
            lambda width: nn.Sequential(nn.Flatten(), nn.Linear(16, width)),
            line(),
            "time",
            (1, 1, 4, 4),
            (2,),
            99,
        )
        for _ in range(2)
    ]
    made[1].load_state_dict(made[0].state_dict())
    assert not train(lambda: made[0], TASK, QUICK).kept
    assert train(lambda: made[1], TASK, QUICK).kept


def test_the_generator_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    equal(conv, like=300)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"like": 10**9},
            "no width in 1 … 256 comes within 15% of 1e.09 parameters .* the nearest is width 256",
        ),
        ({"like": 1.0}, "the nearest is width 1: 20 parameters"),
        ({"like": -1}, "a positive number, but -1 came"),
        ({"like": 9, "by": "memory"}, "by must be one of parameters, flops, time"),
        ({"like": 9, "by": "flops"}, "needs input_shape"),
        ({"like": 9, "widths": [3, 2]}, "widths must be growing"),
        ({"like": 9, "widths": []}, "widths must be growing"),
    ],
)
def test_what_cannot_be_equal_is_said(given, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        equal(conv, **given)


def test_more_room_finds_it():
    assert equal(conv, like=1.0, within=20).width == 1
    with pytest.raises(WorkbenchError, match=r"make\(\d+\) must return a torch module"):
        equal(lambda width: width, like=5)  # type: ignore[arg-type, return-value]
