"""Masses in a row between two walls, held by springs that stiffen: many tones that trade their energy.

Mass i feels F(xᵢ₊₁ - xᵢ) - F(xᵢ - xᵢ₋₁) with F(d) = d + stiffening d³, and the walls stand still. Without
stiffening the motion is a sum of normal modes, each with its own frequency 2 sin(kπ / (2 channels + 2)), and
a linear forecast can be exact; with it the modes are coupled. The steps are those of Störmer and Verlet:
they keep the volume of states, so the energy swings a little about its true value and does not drift.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._made import SEED_OPTION, code, generator, number, whole

STEP = 0.05  # of the integration; without stiffening no mode turns by more than 0.1 in it
STEPS = 6  # of the integration between two rows
AMPLITUDE = 0.5  # standard deviation of where the masses start, and of their velocities

Array = NDArray[np.float64]


def oscillators(
    channels: int = 8, length: int = 2000, stiffening: float = 1.0, seed: int = 0
) -> dict[str, NDArray[Any]]:
    """`series`: float32 [length, channels], where the masses are; `velocities`: float32, of the same shape;
    `energies`: float64 [length], which would be one number if time were not cut into steps."""
    channels, length = whole("channels", channels, 1, 64), whole("length", length, 1, 1_000_000)
    stiffening = number("stiffening", stiffening, 0, 5)
    draws = generator("oscillators", seed=seed)
    place, velocity = AMPLITUDE * draws.standard_normal((2, channels))
    places, velocities = np.empty((2, length, channels))
    for row in range(length):
        places[row], velocities[row] = place, velocity
        place, velocity = _advance(place, velocity, stiffening)
    return {
        "series": places.astype(np.float32),
        "velocities": velocities.astype(np.float32),
        "energies": energy(places, velocities, stiffening),
    }


def _advance(place: Array, velocity: Array, stiffening: float) -> tuple[Array, Array]:
    """One row on: half a push, then moves and whole pushes in turn, and half a push to end with."""
    velocity = velocity + STEP / 2 * _force(place, stiffening)
    for _ in range(STEPS):
        place = place + STEP * velocity
        push = STEP * _force(place, stiffening)
        velocity = velocity + push
    return place, velocity - push / 2


def _force(place: Array, stiffening: float) -> Array:
    stretch = _stretch(place)
    pull = stretch + stiffening * stretch * stretch * stretch
    return pull[1:] - pull[:-1]


def _stretch(place: Array) -> Array:
    """How much each spring is longer than at rest; the walls are places that stay 0: [..., channels + 1]."""
    stretch = np.empty((*place.shape[:-1], place.shape[-1] + 1))
    stretch[..., 1:-1] = place[..., 1:] - place[..., :-1]
    stretch[..., 0], stretch[..., -1] = place[..., 0], -place[..., -1]
    return stretch


def energy(place: Array, velocity: Array, stiffening: float) -> Array:
    """Of motion and of springs together: [..., channels] -> [...]."""
    squares = np.square(_stretch(place))
    return (np.square(velocity) / 2).sum(-1) + (squares / 2 + stiffening * np.square(squares) / 4).sum(-1)


DATA_SETS = [
    DataSet(
        Card(
            name="oscillators",
            title="Masses in a row between two walls, held by springs that stiffen",
            origin="made: xᵢ'' = F(xᵢ₊₁ - xᵢ) - F(xᵢ - xᵢ₋₁) with F(d) = d + stiffening d³ and walls at "
            f"x = 0; places and velocities start as normal draws with standard deviation {AMPLITUDE}; "
            f"Störmer-Verlet steps of {STEP}, {STEPS} to a row",
            licence="made by this project",
            shapes={
                "series": "float32 [2000, 8]",
                "velocities": "float32 [2000, 8]",
                "energies": "float64 [2000]",
            },
            units=f"row (time, {STEP * STEPS:.1f} apart), mass; mass and stiffness of a spring at rest are 1",
            good_for="forecasting waves that run and come back; exactly linear where stiffening is 0",
            sources=lambda: code("oscillators"),
            options={
                "channels": "masses, 1 to 64",
                "length": "rows",
                "stiffening": "0 for springs that obey Hooke's law, to 5",
                "seed": SEED_OPTION,
            },
        ),
        oscillators,
    )
]
