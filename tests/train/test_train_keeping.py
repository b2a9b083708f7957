"""Results are found again while nothing that they depend on has changed, and only then."""

import io
import json
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache, partial

import numba
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from workbench.train import Recipe, Run, Task, accuracy, kept, train
from workbench.train.fingerprints import digest

X = torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
Y = (X.mean((1, 2, 3)) > 0).long()
TASK = Task("sign", (1, 4, 4), 2, (X[:30], Y[:30]), (X[30:], Y[30:]))
QUICK = Recipe(steps=3, batch=8)


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


@pytest.fixture(autouse=True)
def _own_build(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))


def the_file(tmp_path):
    (found,) = (tmp_path / "train").glob("*.safetensors")
    return found


def equal_runs(a: Run, b: Run) -> bool:
    states = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    numbers = (a.score, a.steps, a.seed, a.order, a.seconds) == (b.score, b.steps, b.seed, b.order, b.seconds)
    return numbers and (a.curve == b.curve).all() and all(torch.equal(u, v) for u, v in states)


def test_what_was_trained_is_found_again(tmp_path):
    first, again = train(small, TASK, QUICK), train(small, TASK, QUICK)
    assert (first.kept, again.kept) == (False, True)
    assert equal_runs(first, again)
    assert not again.model.training
    assert not train(small, TASK, QUICK, keep=False).kept
    assert train(small, TASK, replace(QUICK, flops=4 * first.flops.value / 3)).steps == 4


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"recipe": replace(QUICK, lr=1e-3)},
        {"recipe": replace(QUICK, options={"eps": 1e-3})},
        {"task": replace(TASK, train=(X[:30] + 1, Y[:30]))},
        {"task": replace(TASK, test=(X[:10], Y[:10]))},
        {"task": replace(TASK, name="other")},
        {"task": replace(TASK, loss=lambda output, Y: 2 * nn.functional.cross_entropy(output, Y))},
        {"task": replace(TASK, score=lambda output, Y: 1 - accuracy(output, Y))},
        {"make": lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(16, 2))},
        {"make": lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))},
    ],
)
def test_what_differs_is_trained_anew(change):
    train(small, TASK, QUICK)
    given = {"make": small, "task": TASK, "recipe": QUICK, "seed": 0, **change}
    assert not train(**given).kept
    assert train(**given).kept


def test_a_damaged_file_is_trained_anew(tmp_path):
    first = train(small, TASK, QUICK)
    path = the_file(tmp_path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 1  # in a weight
    forged = whole.replace(b'score\\": ', b'score\\": 1')
    for damaged in (b"", b"\xff" * 100, whole[:-5], bytes(flipped), forged, b"\x02" + bytes(7) + b"[]"):
        assert damaged != whole
        path.write_bytes(damaged)
        again = train(small, TASK, QUICK)
        assert not again.kept
        assert again.score == first.score
        assert train(small, TASK, QUICK).kept


def test_a_file_of_another_model_is_not_used(tmp_path):
    train(small, TASK, QUICK)
    kept.write(the_file(tmp_path).stem, {"weight": torch.zeros(1)}, {"score": 1.0})
    assert not train(small, TASK, QUICK).kept


def test_the_least_recently_used_go_first(tmp_path, monkeypatch):
    for number in range(4):
        kept.write(f"r{number}", {"w": torch.zeros(1000)}, {})
        os.utime(tmp_path / "train" / f"r{number}.safetensors", (number, number))
    assert kept.read("r0") is not None  # use counts
    size = the_size = (tmp_path / "train" / "r0.safetensors").stat().st_size
    abandoned = tmp_path / "train" / ".r9-1-abc"
    abandoned.write_bytes(b"half")
    os.utime(abandoned, (5, 5))
    fresh = tmp_path / "train" / ".r8-1-abc"
    fresh.write_bytes(b"half")
    kept.sweep(cap=2 * size + the_size // 2)
    left = {path.name for path in (tmp_path / "train").iterdir()}
    assert left == {"r0.safetensors", "r3.safetensors", fresh.name}
    monkeypatch.setattr(kept, "CAP", 0)
    kept.write("r5", {"w": torch.zeros(3)}, {})
    assert kept.read("r5") is None


def test_a_folder_that_cannot_be_written_costs_a_warning_only(tmp_path):
    (tmp_path / "train").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="could not be kept"):
        run = train(small, TASK, QUICK)
    assert not run.kept


def test_many_may_write_and_read_at_once(tmp_path):
    weights = [{"w": torch.full((2000,), float(number))} for number in range(3)]
    stop = threading.Event()

    def write(number: int) -> None:
        while not stop.is_set():
            kept.write("one", weights[number], {"number": number})

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, number) for number in range(3)]
        try:
            while (found := kept.read("one")) is None:
                pass
            for _ in range(50):
                found = kept.read("one")
                assert found is not None
                assert (found.tensors["w"] == found.record["number"]).all()
        finally:
            stop.set()
        assert [done.result() for done in writing] == [None] * 3
    assert [path.name for path in (tmp_path / "train").iterdir()] == ["one.safetensors"]


# Fingerprints -------------------------------------------------------------------------------------


def defined(text: str) -> dict:
    space: dict = {"__name__": "__main__", "nn": nn, "np": np, "cache": cache, "numba": numba}
    exec(textwrap.dedent(text), space)
    return space


CODE = """
    FACTOR = {"wide": (1, 2)}
    seen = []

    @cache
    def helper(x):
        return x * FACTOR["wide"][0]

    @numba.njit
    def fast(x):
        return x + 1

    class Base(nn.Module):
        bias = 1

        def added(self, x):
            return helper(x) + self.bias + fast(0)

    class Net(Base):
        def __init__(self, scale=2.0):
            super().__init__()
            self.scale = scale

        def forward(self, x):
            return self.added(x) * self.scale
"""


def print_of(text: str, what: str = "Net()") -> str:
    return digest(model=eval(what, defined(text)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return helper(x)", "return helper(-x)"),
        ("bias = 1", "bias = 2"),
        ("(1, 2)", "(1, 3)"),
        ("return x * FACTOR", "return x / FACTOR"),
        ("return x + 1", "return x + 2"),
        ("@numba.njit", "@numba.njit(fastmath=True)"),
        ("scale=2.0", "scale=3.0"),
        ("* self.scale", "/ self.scale"),
        ("class Net(Base)", "class Net(nn.Module)"),
    ],
)
def test_code_that_changes_is_noticed_wherever_it_stands(old, new):
    assert CODE.count(old) == 1
    assert print_of(CODE) != print_of(CODE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    bias = 1", '    """A base."""\n        bias = 1'),
        ("def forward(self, x):", 'def forward(self, x):\n            """Times."""'),
        ("seen = []", "seen = [1]\n    def unused(): return 1"),
        ("bias = 1", "bias = 1  # a comment"),
    ],
)
def test_what_does_not_matter_is_not_noticed(old, new):
    assert print_of(CODE) == print_of(CODE.replace(old, new))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            lambda: nn.Conv2d(2, 2, 3, dilation=1, padding=1),
            lambda: nn.Conv2d(2, 2, 3, dilation=2, padding=1),
        ),
        (lambda: nn.GELU(), lambda: nn.GELU("tanh")),
        (lambda: nn.Sequential(nn.ReLU(), nn.Tanh()), lambda: nn.Sequential(nn.Tanh(), nn.ReLU())),
        (lambda: [1, [2]], lambda: [[1], 2]),
        (lambda: {"a": 1}, lambda: {"a": 2}),
        (lambda: partial(max, 1), lambda: partial(max, 2)),
        (lambda: np.arange(3), lambda: np.arange(3.0)),
        (lambda: torch.zeros(2, 3), lambda: torch.zeros(3, 2)),
        (lambda: torch.zeros(2), lambda: torch.zeros(2, dtype=torch.bfloat16)),
        (lambda: 1, lambda: True),
        (lambda: lambda: 1, lambda: lambda: 2),
        (lambda: (lambda k: lambda: k)(1), lambda: (lambda k: lambda: k)(2)),
    ],
)
def test_values_that_differ_have_different_fingerprints(one, other):
    def weightless(make):
        torch.manual_seed(0)
        return make()

    prints = [digest(value=weightless(make)) for make in (one, one, other)]
    assert prints[0] == prints[1] != prints[2]


NUMBERS = "from workbench.train.fingerprints import digest; from workbench.layers import DepthwiseBlock as B"
NUMBERS += (
    "; import torch; torch.manual_seed(0); print(digest(model=B(4, 3), names={'some', 'more', 'names'}))"
)


def test_the_fingerprint_is_the_same_in_every_process():
    space: dict = {}
    with torch.random.fork_rng(devices=[]), redirect_stdout(here := io.StringIO()):
        exec(NUMBERS, space)
    there = subprocess.run(
        [sys.executable, "-c", NUMBERS],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert here.getvalue() == there.stdout


def test_hooks_count():
    plain, hooked = nn.ReLU(), nn.ReLU()
    hooked.register_forward_hook(lambda module, args, output: 2 * output)
    assert digest(m=plain) != digest(m=hooked)


def test_cycles_end():
    loop: list = [1]
    loop.append(loop)
    assert digest(v=loop) == digest(v=loop)


def test_the_record_is_readable_without_torch(tmp_path):
    train(small, TASK, QUICK)
    data = the_file(tmp_path).read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    record = json.loads(header["__metadata__"]["record"])
    assert (record["task"], record["steps"], record["model"]) == ("sign", 3, "Sequential")


class Tied(nn.Module):
    """Two names for one weight, and numbers that are not floats."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(16, 2), nn.Linear(16, 2)
        self.b.weight = self.a.weight
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.count += self.training
        return self.a(x.flatten(1)) + self.b(x.flatten(1))


def test_shared_weights_and_counters_are_kept():
    first, again = train(Tied, TASK, QUICK), train(Tied, TASK, QUICK)
    assert again.kept
    assert equal_runs(first, again)
    assert again.model.count == 3
