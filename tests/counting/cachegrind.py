"""Runs a kernel's twin in C under valgrind's cache simulator."""

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

TWINS = Path(__file__).parent / "twins"
# Loads and stores as they are written: no vectors, no calls of memcpy in their place.
FLAGS = ["-O1", "-static", "-fno-tree-vectorize", "-fno-tree-loop-distribute-patterns", "-fno-unroll-loops"]


def require_valgrind():
    """Missing tools skip the test here and fail it in CI."""
    if missing := " and no ".join(tool for tool in ("gcc", "valgrind") if not shutil.which(tool)):
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"NOT compared with cachegrind: apt install gcc libc6-dev valgrind (no {missing})")


def compile_twin(name, n, folder):
    """The twin for arrays of side `n` as a program, which runs its kernel if given any argument."""
    program = folder / name
    command = ["gcc", *FLAGS, f"-DN={n}", "-o", program, TWINS / f"{name}.c"]
    subprocess.run(command, check=True, timeout=60)
    return program


def cachegrind(program, geometry):
    """Loads, stores and misses of the kernel alone: the difference between a run with it and one without."""
    return _run(program, ["run"], geometry) - _run(program, [], geometry)


def _run(program, arguments, geometry):
    out = program.with_suffix(".out")
    first, last = (
        f"{level.size},{geometry.ways(level)},{geometry.line}"
        for level in (geometry.levels[0], geometry.levels[-1])
    )
    options = ["--tool=cachegrind", "--cache-sim=yes", f"--cachegrind-out-file={out}"]
    options += [f"--D1={first}", f"--LL={last}", f"--I1=32768,8,{geometry.line}"]
    subprocess.run(["valgrind", *options, program, *arguments], check=True, capture_output=True, timeout=120)
    lines = dict(line.split(":", 1) for line in out.read_text().splitlines() if ":" in line)
    events = dict(zip(lines["events"].split(), map(int, lines["summary"].split()), strict=True))
    return Events(events)


class Events(Counter):
    """Differences may be negative: a counter that keeps them."""

    def __sub__(self, other):
        return Events({name: self[name] - other[name] for name in self})
