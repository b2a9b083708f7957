"""Interval arithmetic along one axis: which input pixels can each output index see?

A layer is a `Window`: for every output index the input indices it reads. The rule repeats with a
period, because strides and upsampling are rational. A `Reach` is what has been composed so far: for
every index of the current tensor the hull of the input pixels that reach it, once unclipped (as if
the image went on for ever) and once exact (inside the image, with padding that carries nothing).
"""

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, inf, lcm
from typing import Literal

import numpy as np

Border = Literal["zeros", "replicate", "reflect", "circular"]


@dataclass(frozen=True)
class Window:
    """Output index o reads input indices `taps[o % period] + (o // period) * rise`.

    taps: [period, most taps of a phase], nan where a phase reads fewer.
    border: what an index outside the input stands for; with `zeros` it stands for nothing.
    """

    taps: np.ndarray
    rise: int
    border: Border = "zeros"

    @classmethod
    def of(cls, phases: list[list[int]], rise: int, border: Border = "zeros") -> "Window":
        """From a list of taps for each phase."""
        taps = np.full((len(phases), max(1, *map(len, phases))), np.nan)
        for row, phase in zip(taps, phases, strict=True):
            row[: len(phase)] = phase
        return cls(taps, rise, border)

    @classmethod
    def sliding(
        cls, kernel: int, stride: int = 1, dilation: int = 1, before: int = 0, border: Border = "zeros"
    ) -> "Window":
        """Convolution and pooling; `before` is the padding in front of the first pixel."""
        return cls.of([[dilation * tap - before for tap in range(kernel)]], stride, border)

    @classmethod
    def transposed(cls, kernel: int, stride: int = 1, dilation: int = 1, before: int = 0) -> "Window":
        """Transposed convolution: input i writes to stride * i + dilation * tap - before."""
        phases = [
            [
                (phase + before - dilation * tap) // stride
                for tap in range(kernel)
                if (phase + before - dilation * tap) % stride == 0
            ]
            for phase in range(stride)
        ]
        return cls.of(phases, 1)

    @classmethod
    def bins(cls, inputs: int, outputs: int) -> "Window":
        """Adaptive pooling: bin o covers floor(o n / m) up to ceil((o + 1) n / m), exclusive."""
        period = outputs // gcd(inputs, outputs)
        phases = [list(range(o * inputs // outputs, -(-(o + 1) * inputs // outputs))) for o in range(period)]
        return cls.of(phases, period * inputs // outputs)

    @classmethod
    def resampling(cls, step: Fraction, offset: Fraction, order: Literal[0, 1, 3]) -> "Window":
        """Interpolation: output o lies at input position step * o + offset.

        order 0 takes the floor of the position, 1 the two neighbours, 3 the four; a neighbour whose
        weight is zero is not read.
        """
        period = step.denominator
        phases = []
        for o in range(period):
            position = step * o + offset
            left = position.__floor__()
            if order == 0 or position == left:
                phases.append([left])
            else:
                phases.append([left, left + 1] if order == 1 else [left - 1, left, left + 1, left + 2])
        return cls.of(phases, step.numerator, "replicate")

    @classmethod
    def slicing(cls, start: int, step: int = 1) -> "Window":
        """Output o is input start + step * o: cropping, and the repetition of a broadcast for step 0."""
        return cls.of([[start]], step)

    def read(self, outputs: np.ndarray) -> np.ndarray:
        """Input indices of each output [outputs, taps], nan where there is none."""
        period = len(self.taps)
        return self.taps[outputs % period] + (outputs // period)[:, None] * self.rise


def inside(indices: np.ndarray, size: int, border: Border) -> np.ndarray:
    """The real input index that each index stands for, nan where it stands for nothing."""
    if border == "replicate":
        return np.clip(indices, 0, size - 1)
    if border == "circular":
        return indices % size
    if border == "reflect" and size > 1:
        folded = np.abs(indices) % (2 * size - 2)
        return np.minimum(folded, 2 * size - 2 - folded)
    return np.where((indices >= 0) & (indices < size), indices, np.nan)


@dataclass(frozen=True)
class Staircase:
    """Unclipped hull of index o: `lo[o % period] + (o // period) * rise`, the same for `hi`.

    An index that nothing reaches has lo = inf and hi = -inf; one that sees everything, however large
    the image, has lo = -inf and hi = inf.
    """

    lo: np.ndarray
    hi: np.ndarray
    rise: int

    def at(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hulls of any integer indices; nan counts as reaching nothing."""
        period = len(self.lo)
        known = np.nan_to_num(indices).astype(np.int64)
        shift = known // period * self.rise
        lo, hi = self.lo[known % period] + shift, self.hi[known % period] + shift
        return np.where(np.isnan(indices), inf, lo), np.where(np.isnan(indices), -inf, hi)

    def through(self, window: Window) -> "Staircase":
        """After a layer with this window."""
        period = len(self.lo)
        repeats = period // gcd(window.rise, period)
        lo, hi = self.at(window.read(np.arange(len(window.taps) * repeats)))
        rise = self.rise * (repeats * window.rise // period)
        return Staircase(lo.min(axis=1), hi.max(axis=1), rise).shortest()

    def shortest(self) -> "Staircase":
        """The same rule with its smallest period."""
        period = len(self.lo)
        for short in range(1, period):
            if period % short or (self.rise * short) % period:
                continue
            rise = self.rise * short // period
            if all(np.array_equal(side[:-short] + rise, side[short:]) for side in (self.lo, self.hi)):
                return Staircase(self.lo[:short], self.hi[:short], rise)
        return self

    @property
    def everything(self) -> bool:
        return bool((self.lo == -inf).any())

    @property
    def jump(self) -> Fraction:
        """Input pixels between the centres of neighbouring outputs."""
        return Fraction(self.rise, len(self.lo))

    @property
    def size(self) -> float:
        """Input pixels under the widest output."""
        return float(max(0.0, (self.hi - self.lo).max() + 1))

    @property
    def start(self) -> float:
        """Centre of output 0 in input pixels (of the line through all centres, where phases differ)."""
        reached = np.isfinite(self.lo)
        if not reached.any():
            return np.nan
        centres = (self.lo[reached] + self.hi[reached]) / 2
        return float(np.mean(centres - float(self.jump) * np.flatnonzero(reached)))


EVERYTHING = Staircase(np.array([-inf]), np.array([inf]), 0)


@dataclass(frozen=True)
class Reach:
    """What every index of one axis of a tensor sees of that axis of the input image.

    first, last: [length], the exact hull inside the image (first > last: sees nothing).
    rule: the unclipped hull, or None where paths with different jumps have met.
    """

    first: np.ndarray
    last: np.ndarray
    rule: Staircase | None

    @classmethod
    def pixels(cls, size: int) -> "Reach":
        """The input itself: pixel i sees pixel i."""
        index = np.arange(size, dtype=float)
        return cls(index, index, Staircase(np.array([0.0]), np.array([0.0]), 1))

    def __len__(self) -> int:
        return len(self.first)

    def through(self, window: Window, outputs: int) -> "Reach":
        """After a layer with this window and that many outputs."""
        read = inside(window.read(np.arange(outputs)), len(self), window.border)
        nothing = np.isnan(read)
        index = np.nan_to_num(read).astype(np.int64)
        first = np.where(nothing, inf, self.first[index]).min(axis=1)
        last = np.where(nothing, -inf, self.last[index]).max(axis=1)
        return Reach(first, last, self.rule and self.rule.through(window))

    def collapsed(self) -> "Reach":
        """One index that depends on all of them: a global pool, a flattening, attention."""
        return Reach(self.first.min(keepdims=True), self.last.max(keepdims=True), EVERYTHING)

    def joined(self, other: "Reach") -> tuple["Reach", str | None]:
        """Union of two paths, and one phrase that says how they disagree (None: aligned)."""
        first, last = np.minimum(self.first, other.first), np.maximum(self.last, other.last)
        a, b = self.rule, other.rule
        if a is None or b is None:
            return Reach(first, last, None), None
        if a.everything or b.everything:
            return Reach(first, last, EVERYTHING), None
        if a.jump != b.jump:
            return Reach(first, last, None), f"jumps {a.jump} and {b.jump} differ"
        period = np.arange(lcm(len(a.lo), len(b.lo)))
        (a_lo, a_hi), (b_lo, b_hi) = a.at(period), b.at(period)
        rise = a.rise * len(period) // len(a.lo)
        rule = Staircase(np.minimum(a_lo, b_lo), np.maximum(a_hi, b_hi), rise).shortest()
        apart = abs(a.start - b.start)
        return Reach(first, last, rule), f"centres lie {apart:g} pixels apart" if apart > 0 else None
