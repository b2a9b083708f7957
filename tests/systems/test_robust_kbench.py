"""Filters against stored verdicts, references against torch, verifiers, a search that can be repeated."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.judge import WHOLE, Source
from workbench.proposers import Ensemble, Prompt, Proposer, fenced
from workbench.proposers.first_kernels import FIRST
from workbench.systems.roofline import robust_kbench as rk

NORM = rk.PROBLEMS["rms-norm"]


def tensors(args: Any) -> list[Any]:
    return [
        torch.from_numpy(a.astype(np.float64) if a.dtype.kind == "f" else a).requires_grad_(
            a.dtype.kind == "f"
        )
        if isinstance(a, np.ndarray)
        else a
        for a in args
    ]


TORCH: dict[str, Callable[..., Any]] = {
    "layer-norm": lambda x, w, b, eps: F.layer_norm(x, x.shape[1:], w, b, eps),
    "rms-norm": lambda x, w, eps: F.rms_norm(x, x.shape[1:], w, eps),
    "cross-entropy": lambda x, t: F.cross_entropy(x, t)[None],
    "linear-relu": lambda x, w, b: F.relu(F.linear(x, w, b)),
    "conv-relu-pool": lambda x, w, b: F.max_pool2d(F.relu(F.conv2d(x[None], w, b)), 2)[0],
}


def gradients(name, args):
    given = tensors(args)
    if name == "cross-entropy-gradient":
        x, t, up = given
        return torch.autograd.grad(F.cross_entropy(x, t), x, up[0])
    if name == "linear-relu-gradients":
        *parameters, up = given
        return torch.autograd.grad(TORCH["linear-relu"](*parameters), parameters, up)
    x, up = given
    return torch.autograd.grad(F.max_pool2d(x[None], 2)[0], x, up)


@pytest.mark.parametrize("name", rk.PROBLEMS)
@pytest.mark.parametrize("setting", [0, 1])
def test_references_are_those_of_torch(name, setting):
    task = rk.PROBLEMS[name].task
    for i, shape in enumerate(task.shapes):
        args = task.args(shape, seed=i, setting=min(setting, task.settings - 1))
        made = TORCH[name](*tensors(args)) if name in TORCH else gradients(name, args)
        wanted = made if isinstance(made, tuple) else (made,)
        for came, truth in zip(task.truth(args), wanted, strict=True):
            np.testing.assert_allclose(came, truth.detach().numpy(), rtol=1e-10, atol=1e-12)


# Filters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["softmax", "L2 norm", "linear, minus 2, times 1.5, ReLU", "ReLU", "cross-entropy"]
)
def test_the_rules_return_the_stored_verdicts(name):
    assert rk.shipped(rk.question(name)) == rk.question(name).stored


def test_only_without_a_scale_is_a_small_output_an_empty_one():
    softmax = rk.question("softmax")
    small = replace(softmax, inputs=lambda rng: (rk.normal(rng, 4, 300),))
    for factor in (1e-6, 1.0, 1e6):
        scaled = replace(small, answer=lambda x, f=factor: f * rk.softmax(x))
        assert rk.scale_free(scaled) == ()
        assert rk.shipped(scaled) == (() if factor == 1e6 else rk.shipped(scaled))
    assert rk.shipped(replace(small, answer=lambda x: 1e-6 * rk.softmax(x))) == rk.RULES


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_constants_are_convicted_however_large(value):
    constant = rk.Question("constant", lambda rng: (rk.normal(rng, 3, 4),), lambda x: np.full_like(x, value))
    assert set(rk.RULES[1:]) <= set(rk.scale_free(constant))
    assert ("range" in rk.scale_free(constant)) == (value == 0)
    assert set(rk.RULES[1:]) <= set(rk.shipped(constant))


def test_an_axis_of_length_one_convicts_nobody():
    column = rk.Question("column", lambda rng: (rk.normal(rng, 50, 1),), lambda x: x)
    assert rk.shipped(column) == rk.scale_free(column) == ()


def test_parameters_that_matter_are_told_from_those_that_do_not():
    used = rk.Question("used", lambda r: (rk.normal(r, 5),), lambda x, w: w * x, lambda r: (rk.normal(r, 5),))
    unused = replace(used, answer=lambda x, w: x)
    assert rk.parameters_matter(used)
    assert not rk.parameters_matter(unused)
    # The source's version draws the inputs anew as well, and so acquits parameters that nobody reads.
    assert (rk.spread(unused.outputs("both"), 0) > rk.SMALL).any()


def test_an_unknown_task_is_named():
    with pytest.raises(WorkbenchError, match="no task is called 'nothing'"):
        rk.question("nothing")


# Verifiers --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gate():
    with rk.Gate() as opened:
        yield opened


@pytest.mark.parametrize("name", rk.PROBLEMS)
def test_first_kernels_pass_the_gate(gate, name):
    problem = rk.PROBLEMS[name]
    assert [o.verifier for o in gate.opinions(problem, rk.first_kernel(problem))] == list(rk.Gate.ALL)
    assert gate.accepts(problem, rk.first_kernel(problem))
    assert gate.cost(problem, rk.first_kernel(problem)).cycles > 0


@pytest.mark.parametrize(
    ("change", "verifier", "says"),
    [
        (("def kernel", "def other"), "compile", "no function"),
        (("weight, eps):", "weight):"), "compile", "called as kernel"),
        (("    rows,", "    import os\n    rows,"), "compile", "Import"),
        (("math.sqrt", "math.__dict__"), "compile", "Attribute"),
        (("math.sqrt(", "root("), "compile", "nothing is called root"),
        (("return out", "return out)"), "compile", "no Python"),
        (("mean = np.zeros", "mean = np.empty"), "memory", "before anything was written"),
        (("x[i, j] / ", "x[i, j + 1] / "), "memory", "outside"),
        (
            (
                "for i in range(rows):\n        for j in range(columns):\n            mean[i]",
                "for i in range(rows):\n        for j in prange(columns):\n            mean[i]",
            ),
            "memory",
            "at once",
        ),
        (("* weight[j]", "+ weight[j]"), "numerical", "off by"),
        (("return out", "return mean"), "numerical", "shape"),
        (("return out", "return out, mean"), "numerical", "1 results"),
        (("return out", "return 1.0"), "numerical", "shape"),
    ],
)
def test_every_verifier_has_something_to_say(gate, change, verifier, says):
    code = rk.first_kernel(NORM)
    assert change[0] in code
    refused = [o for o in gate.opinions(NORM, code.replace(*change)) if not o.accepts]
    assert verifier in [o.verifier for o in refused]
    assert any(says in o.sentence for o in refused)


def test_fewer_verifiers_see_less():
    code = rk.first_kernel(NORM)
    wrong = code.replace("* weight[j]", "+ weight[j]")
    with rk.Gate(("compile", "memory")) as blind, rk.Gate(exact=True) as strict:
        assert blind.accepts(NORM, wrong)
        assert not strict.accepts(NORM, code.replace("/ columns", "* (1.0 / columns)"))
    with pytest.raises(WorkbenchError, match="verifiers are"):
        rk.Gate(("taste",))


def test_costs_are_weighed_and_told():
    cost = rk.Cost({"mul": 3, "div": 2}, {"x": 4}, {"out": 1}, {"x": 1, "out": 1})
    assert cost.cycles == 3 + 20 + 5 + 40
    assert cost.text().splitlines()[:2] == ["model cycles: 68", "costliest array: x"]


# Evolution --------------------------------------------------------------------------------------

SHORT = rk.Search(generations=2, proposals=3)


class Told:
    """Proposes what it is told to, and remembers what it was asked."""

    name = "told"

    def __init__(self, *codes: str) -> None:
        self.codes = list(codes)
        self.asked: list[tuple[Prompt, int]] = []

    def propose(self, prompt, history=()):
        self.asked.append((Prompt.read(prompt), len(history)))
        return self.codes[len(self.asked) - 1]


def test_each_fate_of_a_proposal():
    code = rk.first_kernel(NORM)
    better = code.replace("/ columns", "* inverse").replace(
        "    mean =", "    inverse = 1.0 / columns\n    mean ="
    )
    blind_to_zero = code.replace(
        "math.sqrt(mean[i] + eps)", "(math.sqrt(mean[i] + eps) if mean[i] else x[i, j])"
    )
    told = Told(
        "I cannot.",
        fenced("def kernel(x):\n    return x"),
        fenced(code.replace("* weight[j]", "* weight[j + 1]")),
        fenced(code.replace("* weight[j]", "* 2")),
        fenced(blind_to_zero),
        fenced(code),
        fenced(better),
    )
    assert isinstance(told, Proposer)
    found = rk.evolve(NORM, told, rk.Search(1, len(told.codes)), translator=Told(fenced(code)))
    stages = [node.stage for node in found.nodes]
    assert stages == ["translated", "unread", "compile", "memory", "numerical", "judge", "again", "kept"]
    assert [n.stage for n in found.path()] == ["translated", "kept"]
    assert found.gain > 1
    prompts = [asked for asked, _ in told.asked]
    assert [length for _, length in told.asked] == [0, 2, 4, 6, 8, 10, 12]
    assert prompts[0].parent.strip() == code.strip()
    assert "costliest array" in prompts[0].counters
    assert "outside" in prompts[3].feedback


def test_translation_asks_until_a_kernel_is_right():
    right = rk.first_kernel(NORM)
    wrong = FIRST["RMS norm"][0].filled()[1]
    told = Told("Sorry.", fenced(wrong), fenced(right))
    found = rk.evolve(NORM, told, rk.Search(0, 0), translator=told)
    assert [n.stage for n in found.nodes] == ["unread", "numerical", "translated"]
    assert found.best.number == 2
    with pytest.raises(WorkbenchError, match="no right kernel came in 8 tries"):
        rk.evolve(NORM, told, rk.Search(0, 0), translator=Told(*["Sorry."] * 8))


def test_an_interrupted_search_goes_on_as_it_would_have(tmp_path):
    whole = rk.evolve(NORM, rk.rewriter(3), SHORT, file=tmp_path / "whole.jsonl")
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_text("".join(lines[:4]) + lines[4][:30])
    again = rk.evolve(NORM, rk.rewriter(3), SHORT, file=tmp_path / "cut.jsonl")
    assert again == whole
    assert (tmp_path / "cut.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()

    class Silent:
        name = "silent"

        def propose(self, prompt, history=()):
            raise AssertionError("everything is known already")

    assert rk.evolve(NORM, Silent(), SHORT, translator=Silent(), file=tmp_path / "whole.jsonl") == whole


def test_whoever_is_kept_is_right_and_the_best_is_the_cheapest():
    found = rk.evolve(NORM, rk.rewriter(0), SHORT)
    for node in found.alive:
        assert WHOLE(NORM.task, Source(rk.HEADER + node.code)).accepted
    assert found.best.cost == min(n.cost or 0.0 for n in found.alive)
    assert sum(found.stages().values()) == len(found.nodes)
    assert found.gain >= 1


def test_without_a_judge_the_emptiest_kernel_wins():
    empty = "def kernel(x, weight, eps):\n    return np.zeros(x.shape)\n"
    told = Told(fenced(empty))
    found = rk.evolve(NORM, told, rk.Search(1, 1, judged=False))
    assert found.best.code == empty
    with rk.Court() as court:
        assert not court(NORM, empty)[0]


def test_the_readers_model_writes_where_one_is_set(monkeypatch):
    for name in ("WORKBENCH_LLM_URL", "WORKBENCH_LLM_MODEL"):
        monkeypatch.delenv(name, raising=False)
    assert rk.author(0).name == "schedule + mutations"
    monkeypatch.setenv("WORKBENCH_LLM_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("WORKBENCH_LLM_MODEL", "tiny")
    chosen = rk.author(0)
    assert isinstance(chosen, Ensemble)
    assert chosen.name == "tiny + tiny + tiny"
    assert [getattr(member, "temperature", None) for member in chosen.members] == [0.5, 0.75, 1.0]


def test_random_search_always_begins_at_the_first_kernel():
    found = rk.evolve(NORM, rk.rewriter(0), rk.Search(2, 2, climbing=False))
    assert {n.parent for n in found.nodes if n.generation} == {found.first.number}


def test_a_kernel_is_timed_as_numba_compiles_it():
    assert WHOLE(NORM.task, rk.compiled(rk.first_kernel(NORM))).accepted


# Claims -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", [c for c in rk.SYSTEM.claims if not c.needs], ids=lambda claim: claim.id)
def test_claims_execute(claim):
    record = run_claim(rk.SYSTEM, claim, "smoke")
    assert np.isfinite([record.value, record.control_value]).all()


def test_what_needs_a_language_model_says_so():
    assert {c.id for c in rk.SYSTEM.claims if c.needs == "LLM"} == {"verifier-accuracy", "found-speedups"}
    assert rk.STORED["any"] == 89
