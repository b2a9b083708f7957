"""Temperatures along a rod that heaters warm now and then.

The rod has length 1 and ends at temperature 0. Its temperature u(x, t) follows

    du/dt = D d²u/dx² + q₁(t) h(x - x₁) + q₂(t) h(x - x₂),

where h is 1 over a tenth of the rod and each heater q is off (0) or on (8), switched by chance. In the modes
sin(kπx) the equation falls apart into one equation each, which between two switchings is solved exactly: the
distance of a mode to its balance shrinks by exp(-D k² π² dt). Nothing is approximated in time; in space, the
modes above the last are left out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._made import SEED_OPTION, code, generator, whole

DIFFUSIVITY = 0.2  # D, in rods squared a unit of time
HEAT = 8.0  # what a heater adds in a unit of time: a rod heated for long is at about 1 there
STEP = 0.01  # time between two rows; the slowest mode decays by 1/e in 1 / (D π²) = 51 rows
MODES = np.arange(1, 65)
HEATERS = (0.3, 0.72)  # their middles
WIDTH = 0.1  # of a heater
SWITCHING = 0.04  # chance of a heater to be switched at a row: it stays as it is for 25 rows on average
BEFORE = 500  # rows that are left out, after which the cold start is forgotten


def heat_series(channels: int = 8, length: int = 2000, seed: int = 0) -> dict[str, NDArray[Any]]:
    """`series`: float32 [length, channels], temperatures; `places`: float64 [channels], where they are taken;
    `heaters`: float32 [length, 2], 0 or 1 over the time before each row."""
    channels, length = whole("channels", channels, 1, 64), whole("length", length, 1, 1_000_000)
    draws = generator("heat-series", seed=seed)
    switched = draws.random((BEFORE + length, len(HEATERS))) < SWITCHING
    heaters = (np.cumsum(switched, axis=0) + draws.integers(2, size=len(HEATERS))) % 2
    places = np.arange(1, channels + 1) / (channels + 1)
    amplitudes = modes(HEAT * heaters.astype(float))[BEFORE:]
    series = amplitudes @ np.sin(np.pi * np.outer(MODES, places))
    return {
        "series": series.astype(np.float32),
        "places": places,
        "heaters": heaters[BEFORE:].astype(np.float32),
    }


def modes(heaters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Amplitudes [rows, modes] of a rod that starts cold, at the end of each row's time, from q [rows, 2]."""
    from scipy.signal import lfilter

    rates = DIFFUSIVITY * (np.pi * MODES) ** 2
    # The share of mode k in a heater: 2 ∫ sin(kπx) over its width.
    middles = np.sin(np.pi * np.outer(HEATERS, MODES))
    shares = 4 / (np.pi * MODES) * np.sin(np.pi * MODES * WIDTH / 2) * middles
    balances = heaters @ shares / rates
    kept = np.exp(-rates * STEP)
    return np.stack(
        [lfilter([1 - keep], [1, -keep], goal) for keep, goal in zip(kept, balances.T, strict=True)], -1
    )


DATA_SETS = [
    DataSet(
        Card(
            name="heat-series",
            title="Temperatures along a rod that two heaters warm now and then",
            origin="made: du/dt = D d²u/dx² + q₁(t) h(x - x₁) + q₂(t) h(x - x₂) on a rod of length 1 with "
            f"ends at 0; D = {DIFFUSIVITY}, h is 1 over a width of {WIDTH} about x₁ = {HEATERS[0]} and "
            f"x₂ = {HEATERS[1]}; each q is 0 or {HEAT:g} and changes with chance {SWITCHING} at a row; "
            f"rows are {STEP} apart; solved exactly in time for {len(MODES)} modes, started {BEFORE} rows "
            "before the first",
            licence="made by this project",
            shapes={"series": "float32 [2000, 8]", "places": "float64 [8]", "heaters": "float32 [2000, 2]"},
            units="row (time), place; temperature, 0 at the ends of the rod; places in lengths of the rod; "
            "heaters 0 off, 1 on",
            good_for="forecasting with neighbours: heat spreads through the channels, the heaters come by "
            "chance",
            sources=lambda: code("heat_series"),
            options={
                "channels": "places at equal distances, 1 to 64",
                "length": "rows",
                "seed": SEED_OPTION,
            },
        ),
        heat_series,
    )
]
