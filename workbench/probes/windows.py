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
    def smoothing(cls, step: Fraction, radius: int) -> "Window":
        """Interpolation with a filter as wide as what it skips (torch's antialias=True)."""
        support = radius * max(step, Fraction(1))
        phases = []
        for o in range(step.denominator):
            centre = step * (o + Fraction(1, 2)) - Fraction(1, 2)
            phases.append(
                [
                    i
                    for i in range((centre - support).__floor__(), (centre + support).__ceil__() + 1)
                    if abs(i - centre) < support
                ]
            )
        return cls.of(phases, step.numerator)

    @classmethod
    def slicing(cls, start: int, step: int = 1) -> "Window":
        """Output o is input start + step * o: cropping, and the repetition of a broadcast for step 0."""
        return cls.of([[start]], step)

    def spaced(self, step: int) -> "Window":
        """The same for numbers that stand `step` apart: every one of the `step` in between does it alone."""
        taps = self.taps[:, None, :] * step + np.arange(step)[None, :, None]
        return Window(taps.reshape(-1, self.taps.shape[1]), self.rise * step, self.border)

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

    def before(self) -> "Staircase":
        """After a scan: from ever to what the index itself saw."""
        return Staircase(np.full_like(self.lo, -inf), self.hi, self.rise).shortest()

    @property
    def everything(self) -> bool:
        return bool(((self.lo == -inf) & (self.hi == inf)).any())

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
        lo = np.where(np.isfinite(self.lo), self.lo, self.hi)  # one that sees all before stands at its end
        hi = np.where(np.isfinite(self.hi), self.hi, self.lo)
        reached = np.isfinite(lo) & np.isfinite(hi)
        if not reached.any():
            return np.nan
        centres = (lo[reached] + hi[reached]) / 2
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

    @classmethod
    def nothing(cls, size: int) -> "Reach":
        """Places that depend on no pixel: constants beside the image."""
        return cls(np.full(size, inf), np.full(size, -inf), Staircase(np.array([inf]), np.array([-inf]), 0))

    def __len__(self) -> int:
        return len(self.first)

    def through(self, window: Window, outputs: int) -> "Reach":
        """After a layer with this window and that many outputs."""
        read = inside(window.read(np.arange(outputs)), len(self), window.border)
        return self._reading(read, self.rule and self.rule.through(window))

    def along(self, window: Window, outputs: int, size: int, step: int = 1) -> "Reach":
        """After a window over one digit of the index: `size` numbers that stand `step` apart.

        An axis that was cut into blocks has an index of several digits, the place in the block and its
        number. The window knows its digit alone: it never reaches into the next block.
        """
        if step == 1 and size == len(self):
            return self.through(window, outputs)
        digit = inside(window.read(np.arange(outputs)), size, window.border)  # [outputs, taps]
        slow, fast = np.arange(len(self) // (size * step)), np.arange(step)
        read = digit[None, :, None, :] * step + fast[:, None] + slow[:, None, None, None] * (size * step)
        read = read.reshape(-1, digit.shape[1])
        if len(slow) == 1:
            return self._reading(read, self.rule and self.rule.through(window.spaced(step)))
        return self._reading(
            read, self.rule and self.rule.through(Window(read[: outputs * step], size * step))
        )

    def mixed(self, size: int, step: int = 1) -> "Reach":
        """A digit is gone, because what is left depends on all of it: a pool, a flattening, attention."""
        first, last = self._digits(self.first, size, step), self._digits(self.last, size, step)
        rule = EVERYTHING
        if size * step < len(self):
            if self.rule is None:
                return Reach(first.min(1).ravel(), last.max(1).ravel(), None)
            taps = np.arange(step)[:, None] + step * np.arange(size)
            rule = self.rule.through(Window(taps.astype(float), size * step))
        return Reach(first.min(1).ravel(), last.max(1).ravel(), rule)

    def before(self, size: int, step: int = 1) -> "Reach":
        """After a scan over a digit: each place depends on itself and all before it."""
        first = np.minimum.accumulate(self._digits(self.first, size, step), axis=1).ravel()
        last = np.maximum.accumulate(self._digits(self.last, size, step), axis=1).ravel()
        if step == 1 and size == len(self):
            return Reach(first, last, self.rule and self.rule.before())
        if size * step == len(self):
            return Reach(first, last, EVERYTHING)
        place = np.arange(size)
        taps = np.where(place <= place[:, None], place, np.nan)  # [size, size]
        read = (taps[:, None, :] * step + np.arange(step)[:, None]).reshape(size * step, size)
        return Reach(first, last, self.rule and self.rule.through(Window(read, size * step)))

    def repeated(self, size: int, step: int) -> "Reach":
        """A new digit, on which nothing depends."""
        first = np.repeat(self._digits(self.first, 1, step), size, axis=1).ravel()
        last = np.repeat(self._digits(self.last, 1, step), size, axis=1).ravel()
        taps = np.tile(np.arange(step, dtype=float), 1 if step == len(self) else size)[:, None]
        window = Window(taps, 0 if step == len(self) else step)
        return Reach(first, last, self.rule and self.rule.through(window))

    def reordered(self, read: np.ndarray, window: Window | None) -> "Reach":
        """Index o is what index read[o] was; `window` says the same as a rule, if there is one."""
        rule = self.rule.through(window) if self.rule and window else None
        if self.rule is not None and self.rule.everything:
            rule = self.rule
        return Reach(self.first[read], self.last[read], rule)

    def followed_by(self, other: "Reach") -> "Reach":
        """Two pieces joined end to end; the rule stays where it holds in both, constants left aside."""
        first, last = np.concatenate([self.first, other.first]), np.concatenate([self.last, other.last])
        rule = None
        for piece, begin in ((self, 0), (other, len(self))):
            if piece.rule is not None and (piece.first <= piece.last).any():
                rule = piece.rule.through(Window.slicing(-begin))
                break
        for piece, begin in ((self, 0), (other, len(self))):
            places = np.arange(len(piece), dtype=float)
            counts = piece.first <= piece.last
            if rule is not None and counts.any():
                mine = None if piece.rule is None else piece.rule.at(places[counts])
                if mine is None or not np.array_equal(mine, rule.at(places[counts] + begin)):
                    rule = None
        return Reach(first, last, rule)

    @staticmethod
    def _digits(side: np.ndarray, size: int, step: int) -> np.ndarray:
        return side.reshape(-1, size, step)

    def _reading(self, read: np.ndarray, rule: Staircase | None) -> "Reach":
        nothing = np.isnan(read)
        index = np.nan_to_num(read).astype(np.int64)
        first = np.where(nothing, inf, self.first[index]).min(axis=1)
        last = np.where(nothing, -inf, self.last[index]).max(axis=1)
        return Reach(first, last, rule)

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
