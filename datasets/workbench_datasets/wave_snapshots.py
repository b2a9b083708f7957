"""Snapshots of waves on a membrane with a fixed rim: smooth pictures whose grain is their wavelength.

The wave equation u_tt = Δu on a square grid, by leapfrog: uₙ₊₁ = 2uₙ - uₙ₋₁ + c² L uₙ with the five-point L
and Courant number c. For one mode sin(iπx/N) sin(jπy/N) the scheme is solved exactly: its amplitude is
cos(nω) with sin²(ω/2) = c² (sin²(iπ/2N) + sin²(jπ/2N)).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._made import PART_OPTION, SEED_OPTION, code, generator, whole

WAVELENGTHS = (4.0, 6.0, 9.0, 14.0)  # cells of the grid, of the packets at the start; one class each
PACKETS = 4
SPREAD = 4.0  # cells, standard deviation of a packet
COURANT = 0.5
LONGEST = 60  # steps before a snapshot
RIM = 8  # cells around the picture on each side

Array = NDArray[np.float64]


def wave_snapshots(
    size: int = 16, images: int = 600, part: str = "train", seed: int = 0
) -> dict[str, NDArray[Any]]:
    """`images`: float32 [images, size, size] in [0, 1], 1/2 at rest; `labels`: int64 [images], 0 to 3."""
    size, images = whole("size", size, 8, 128), whole("images", images, 1, 20_000)
    draws = generator("wave-snapshots", part, seed)
    labels = draws.integers(len(WAVELENGTHS), size=images)
    when = draws.integers(0, LONGEST + 1, size=images)
    u = start(np.asarray(WAVELENGTHS)[labels], size + 2 * RIM, draws)
    seen = np.empty((images, size, size))
    for step, field in enumerate(leapfrog(u, LONGEST)):
        seen[when == step] = field[when == step, RIM : RIM + size, RIM : RIM + size]
    seen /= 2 * np.abs(seen).max(axis=(1, 2), keepdims=True)
    return {"images": (seen + 0.5).astype(np.float32), "labels": labels}


def start(wavelengths: Array, cells: int, draws: np.random.Generator) -> Array:
    """Packets at random places, running in random directions: [n] -> [n, cells, cells], 0 at the rim."""
    n, y, x = len(wavelengths), *np.mgrid[:cells, :cells]
    u = np.zeros((n, cells, cells))
    for _ in range(PACKETS):
        angle, phase = draws.uniform(0, 2 * np.pi, (2, n, 1, 1))
        at_y, at_x = draws.uniform(0.2 * cells, 0.8 * cells, (2, n, 1, 1))
        along = (x - at_x) * np.cos(angle) + (y - at_y) * np.sin(angle)
        distance = (x - at_x) ** 2 + (y - at_y) ** 2
        waves = np.cos(2 * np.pi * along / wavelengths[:, None, None] + phase)
        u += waves * np.exp(-distance / (2 * SPREAD**2))
    u[:, [0, -1], :] = u[:, :, [0, -1]] = 0
    return u


def leapfrog(u: Array, steps: int, courant: float = COURANT) -> Any:
    """Yields the membrane at steps 0, 1, ..., `steps`, let go at rest: u [n, cells, cells], rim 0."""
    yield u
    before, u = u, u + courant**2 / 2 * _laplacian(u)
    for _ in range(steps):
        yield u
        before, u = u, 2 * u - before + courant**2 * _laplacian(u)


def _laplacian(u: Array) -> Array:
    """Five points, 0 on the rim, which stands still."""
    L = np.zeros_like(u)
    inner = u[:, 1:-1, 1:-1]
    L[:, 1:-1, 1:-1] = u[:, :-2, 1:-1] + u[:, 2:, 1:-1] + u[:, 1:-1, :-2] + u[:, 1:-1, 2:] - 4 * inner
    return L


DATA_SETS = [
    DataSet(
        Card(
            name="wave-snapshots",
            title="Snapshots of waves on a membrane, with labels",
            origin=f"made: {PACKETS} packets of one wavelength ({', '.join(f'{w:g}' for w in WAVELENGTHS)} "
            f"cells, the class) and standard deviation {SPREAD:g} cells, let go at rest on a grid with a "
            f"fixed rim; leapfrog with Courant number {COURANT} for 0 to {LONGEST} steps; the picture is the "
            f"middle of the grid, {RIM} cells from the rim, scaled to its largest displacement",
            licence="made by this project",
            shapes={"images": "float32 [600, 16, 16]", "labels": "int64 [600]"},
            units="snapshot, height, width; 1/2 at rest, 0 and 1 the largest displacement; labels 0 to 3",
            good_for="smooth pictures by a law of physics, beside photographs",
            sources=lambda: code("wave_snapshots"),
            options={
                "size": "side of a picture in cells, 8 to 128",
                "images": "how many pictures",
                "part": PART_OPTION,
                "seed": SEED_OPTION,
            },
        ),
        wave_snapshots,
    )
]
