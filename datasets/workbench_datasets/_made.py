"""What made data sets share: options checked in one sentence, draws that never meet, code as a source.

A made data set is a law with random draws. Its law is code, so its modules count among its sources: a
changed generator changes the version as a changed file does.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError

PARTS = ("train", "test")
PART_OPTION = "'train' or 'test': they share no random draw"
SEED_OPTION = "whole number from 0; the same seed gives the same arrays"


def generator(name: str, part: str = "train", seed: int = 0) -> np.random.Generator:
    """The random draws of one part of one data set: other names, parts and seeds draw independently."""
    one_of("part", part, PARTS)
    return np.random.default_rng(
        [zlib.crc32(name.encode()), PARTS.index(part), whole("seed", seed, 0, 2**63 - 1)]
    )


def whole(option: str, value: Any, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and low <= value <= high:
        return int(value)
    raise DataError(f"{option} must be a whole number from {low} to {high}, but {value!r} came")


def number(option: str, value: Any, low: float, high: float) -> float:
    """A number from `low` to `high`."""
    numeric = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if numeric and low <= value <= high:
        return float(value)
    raise DataError(f"{option} must be a number from {low:g} to {high:g}, but {value!r} came")


def one_of(option: str, value: Any, allowed: Sequence[str]) -> str:
    """One of the allowed words."""
    if isinstance(value, str) and value in allowed:
        return value
    raise DataError(f"{option} must be one of {', '.join(map(repr, allowed))}, but {value!r} came")


def code(*modules: str) -> list[Path]:
    """The source files of modules of this package, to count among a data set's sources."""
    return [Path(__file__).with_name(f"{module}.py") for module in (*modules, "_made")]
