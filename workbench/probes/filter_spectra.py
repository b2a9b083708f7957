"""Which frequencies filters let pass, which way they point, and whether they smooth or differentiate.

A filter is taken as a few samples of a function without frequencies above half a cycle per pixel. Integrals
over all frequencies are then sums over pairs of weights, so that nothing depends on a grid, and a million
filters need a few products of matrices.

Angles are in degrees, 0 to the right, 90 upwards (rows count downwards). They say in which direction a
filter changes, across its edges.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from math import pi, prod

import numpy as np
from numpy.typing import NDArray
from scipy.special import j0, j1

from workbench.errors import WorkbenchError
from workbench.probes.filter_sets import Filters, by, flat, need_pattern, scaled, stacked

Floats = NDArray[np.float64]
STEPS = 33  # frequencies along each axis
CHUNK = 4096  # filters whose responses are held at a time


@dataclass(frozen=True)
class Spectrum:
    """Mean power of filters.

    frequencies: [f] in cycles per pixel, from -0.5 to 0.5. power: [f] or [f, f] (rows: vertical frequency,
    upwards positive), each filter having unit energy, so that random filters have 1 everywhere. n: how many
    filters were taken; zeros are left out.
    """

    frequencies: Floats = field(repr=False)
    power: Floats = field(repr=False)
    n: int

    @property
    def radial(self) -> tuple[Floats, Floats]:
        """Magnitude of the frequency and the mean power there, over all directions, up to half a cycle."""
        axes = np.meshgrid(*[self.frequencies] * self.power.ndim, indexing="ij")
        radius = np.sqrt(sum(axis**2 for axis in axes))
        grid = self.frequencies[self.frequencies >= 0]
        rings = np.rint(radius / grid[1]).astype(int)
        inside = rings < len(grid)
        sums = np.bincount(rings[inside], self.power[inside], len(grid))
        return grid, sums / np.bincount(rings[inside], minlength=len(grid))


def spectrum(some: Filters, steps: int = STEPS) -> Spectrum:
    """Mean power spectrum of 1-D or 2-D filters on `steps` frequencies along each axis (an odd number).

    >>> flat_one = spectrum(np.array([[0.0, 3.0, 0.0]]), steps=5)  # a filter that passes everything on
    >>> flat_one.power.tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    k, frequencies = _checked(some, "a spectrum"), _frequencies(steps)
    unit = _unit(some)
    waves = _waves(k, [frequencies] * len(k))
    # The mean of |wave · filter|² needs the mean product of each two weights alone.
    power = np.einsum("fi,ij,fj->f", waves.conj(), unit.T @ unit / len(unit), waves, optimize=True).real
    return Spectrum(frequencies, np.maximum(power, 0).reshape([steps] * len(k)), len(unit))


@dataclass(frozen=True)
class Orientations:
    """Which way each 2-D filter points; [n] each, for the filters that are not zero.

    k: size of the filters. angle: direction across the edges, 0 to 180 degrees. coherence: 1 if all power
    lies in that direction, 0 for a filter without a direction (its angle then reads 0). Random filters of 3
    × 3 have coherences around 0.26.
    """

    k: tuple[int, ...]
    angle: Floats
    coherence: Floats


def orientations(some: Filters) -> Orientations:
    """Angle and coherence of 2-D filters, from their power P over all frequencies up to half a cycle.

    The mean of exp(2iθ) weighted by P(f), θ being the direction of the frequency f: its magnitude is the
    coherence, half of its angle the angle (directions have no sign, so their doubles are averaged). Filters
    of zeros have no direction and are left out.

    >>> sobel = np.array([[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]])
    >>> orientations(sobel).angle.tolist(), orientations(sobel.swapaxes(1, 2)).angle.tolist()
    ([0.0], [90.0])
    """
    k = _checked(some, "an orientation")
    if len(k) != 2:
        raise WorkbenchError(f"an orientation needs filters of two dimensions, but {by(k)} came")
    unit = _unit(some)
    up, right = (np.subtract.outer(at, at) for at in _positions(k))
    doubled = _doubled(np.hypot(up, right)) * np.exp(2j * np.arctan2(up, right))
    along, across, power = (
        np.einsum("ni,ij,nj->n", unit, kernel, unit, optimize=True)
        for kernel in (doubled.real, doubled.imag, _disc(np.hypot(up, right)))
    )
    coherence = np.clip(np.hypot(along, across) / np.maximum(power, np.finfo(float).tiny), 0, 1)
    coherence = np.where(coherence < 1e-9, 0.0, coherence)  # of rounding alone
    angle = np.round(np.degrees(np.arctan2(across, along)) / 2, 9) % 180
    return Orientations(k, np.where(coherence == 0, 0.0, angle), coherence)


def rose(found: Orientations, sectors: int = 12) -> tuple[Floats, Floats]:
    """Shares of the filters by angle, each counting as much as it is coherent.

    Returns the middles of the sectors from 0 to 180 degrees, the first around 0, and the shares, which add
    up to 1 (to 0 if no filter has a direction).
    """
    if sectors < 2:
        raise WorkbenchError(f"a rose needs at least two sectors, but {sectors} came")
    width = 180 / sectors
    sector = np.rint(found.angle / width).astype(int) % sectors
    shares = np.bincount(sector, found.coherence, sectors)
    total = float(shares.sum()) or 1.0
    return width * np.arange(sectors, dtype=np.float64), np.asarray(shares / total, np.float64)


@lru_cache(maxsize=64)
def random_orientations(k: tuple[int, int], n: int = 20000, seed: int = 0) -> Orientations:
    """Orientations of n random filters of one size: a square grid does not treat all directions alike."""
    d = prod(k)
    return orientations(np.random.default_rng([seed, *k]).normal(size=(n, d)).reshape(n, *k))


@dataclass(frozen=True)
class Phases:
    """Where each filter has its peak in frequency, and its phase there; [n] each, zeros left out.

    frequency: magnitude of the peak, cycles per pixel. angle: its direction, 0 to 180 degrees, 0 in one
    dimension. phase: at the peak, seen from the middle of the filter, above -180 to 180 degrees: 0 adds,
    180 subtracts, -90 differentiates along the angle, 90 against it. even: share of the energy that is
    unchanged when the filter is turned by half a turn: 1 for smoothing and second derivatives, 0 for first
    derivatives.
    """

    frequency: Floats
    angle: Floats
    phase: Floats
    even: Floats


def phases(some: Filters, steps: int = STEPS) -> Phases:
    """Peak frequency, phase there, and even share of 1-D or 2-D filters.

    The peak is looked for on `steps` frequencies along each axis; of f and -f, which say the same, the one
    in the upper half plane is taken.

    >>> found = phases(np.array([[1.0, 2.0, 1.0], [-1.0, 0.0, 1.0]]))
    >>> found.phase.tolist(), found.even.tolist()
    ([0.0, -90.0], [1.0, 0.0])
    """
    k, axis = _checked(some, "a phase"), _frequencies(steps)
    unit = _unit(some)
    grid = np.stack(np.meshgrid(*[axis] * len(k), indexing="ij"), axis=-1).reshape(-1, len(k))
    up, right = (grid[:, 0], grid[:, 1]) if len(k) == 2 else (np.zeros(len(grid)), grid[:, 0])
    kept = np.flatnonzero((up > 0) | ((up == 0) & (right >= 0)))
    order = kept[np.argsort(np.hypot(up, right)[kept], kind="stable")]  # of equal peaks the lowest frequency
    up, right, waves = up[order], right[order], _waves(k, [axis] * len(k))[order].T
    peak, value = np.empty(len(unit), int), np.empty(len(unit), complex)
    for start in range(0, len(unit), CHUNK):
        rows = slice(start, start + CHUNK)
        power = (unit[rows] @ waves.real) ** 2 + (unit[rows] @ waves.imag) ** 2
        peak[rows] = (power > power.max(axis=1, keepdims=True) * (1 - 1e-9)).argmax(axis=1)
        value[rows] = np.einsum("ni,in->n", unit[rows], waves[:, peak[rows]])
    turned = unit[:, ::-1]  # half a turn reverses the order of the weights
    even = np.clip(((unit + turned) ** 2).sum(axis=1) / 4, 0, 1)
    phase = np.round(np.degrees(np.angle(value)), 9)
    return Phases(
        np.hypot(up, right)[peak],
        np.degrees(np.arctan2(up, right))[peak],
        np.where(phase <= -180, 180.0, phase) + 0.0,
        np.round(even, 12),
    )


def _checked(some: Filters, what: str) -> tuple[int, ...]:
    """Size of the filters, if they have one or two dimensions and more than one weight."""
    k = stacked(some).shape[1:]
    need_pattern(k, what)
    if len(k) > 2:
        raise WorkbenchError(f"{what} needs filters of one or two dimensions, but {by(k)} came")
    return k


def _frequencies(steps: int) -> Floats:
    """From -0.5 to 0.5 cycles per pixel."""
    if steps < 3 or steps % 2 == 0:
        raise WorkbenchError(f"steps must be an odd number from 3, so that 0 is among them, but {steps} came")
    return np.linspace(-0.5, 0.5, steps)


def _unit(some: Filters) -> Floats:
    """Filters with unit energy as rows, without those of zeros."""
    X = flat(scaled(some))
    X = X[np.abs(X).max(axis=1) > 0]
    if not len(X):
        raise WorkbenchError("expected a filter that is not zero, but all are")
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def _positions(k: tuple[int, ...]) -> list[Floats]:
    """Where each weight lies, seen from the middle, in pixels up and right: one [d] for each axis."""
    axes = [np.arange(side) - (side - 1) / 2 for side in k]
    if len(k) == 2:
        axes[0] = -axes[0]
    return [axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")]


def _waves(k: tuple[int, ...], axes: list[Floats]) -> NDArray[np.complex128]:
    """exp(-2πi f·x) of each frequency at each weight: [frequencies, d]."""
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(k))
    return np.exp(-2j * pi * grid @ np.stack(_positions(k)))


def _disc(distance: Floats) -> Floats:
    """∫ exp(-2πi f·x) df over |f| ≤ 1/2, for |x| = distance."""
    far = np.where(distance == 0, 1, distance)
    return np.where(distance == 0, pi / 4, j1(pi * far) / (2 * far))


def _doubled(distance: Floats) -> Floats:
    """∫ exp(2iθ) exp(-2πi f·x) df over |f| ≤ 1/2 for x to the right; turned by φ, it gains exp(2iφ)."""
    u = pi * np.where(distance == 0, 1, distance)
    return np.where(distance == 0, 0.0, -pi / (2 * u**2) * (2 - 2 * j0(u) - u * j1(u)))
