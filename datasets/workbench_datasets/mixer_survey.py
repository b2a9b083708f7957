"""What fifteen mixers came to in one small network, as recorded: errors over seeds and sizes of maps."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ._card import Card, DataSet
from ._files import shipped
from .digests import verified

FILE = "mixer_survey.json"
SHA256 = "5b08cc5434fc812d20d5ff62ebefb8e51b6e3e7f83d8d578e4234ed72dc33801"


def mixer_survey() -> dict[str, Any]:
    """`mixers`: a tuple of strings; `seeds`, `sides`, `maps`: int64; `rates`: float64 [mixers];
    `errors`: float64 [mixers, seeds, sides], NaN where the weights of a mixer belong to another size.
    """
    found = json.loads(_verified().read_text(encoding="utf-8"))
    return {
        "mixers": tuple(found["mixers"]),
        "seeds": np.array(found["seeds"]),
        "sides": np.array(found["sides"]),
        "maps": np.array(found["maps"]),
        "rates": np.array(found["rates"]),
        "errors": np.array(found["errors"], float),  # None becomes NaN
    }


def _verified() -> Path:
    return verified(shipped("workbench_datasets", FILE), SHA256)


DATA_SETS = [
    DataSet(
        Card(
            name="mixer-survey",
            title="Fifteen mixers on scattered regions: errors over five seeds and three sizes of maps",
            origin="trained by this project: two layers, 32 numbers a token, 500 steps of 32 maps of 8 x 8 "
            "tokens, AdamW with one cycle; of three learning rates each mixer has the one that was best on "
            "held-out maps; then asked about the same test maps of 8 x 8, 16 x 16 and 32 x 32 tokens",
            licence="CC0",
            shapes={
                "mixers": "str [15]",
                "seeds": "int64 [5]",
                "sides": "int64 [3]",
                "maps": "int64 [3]",
                "rates": "float64 [15]",
                "errors": "float64 [15, 5, 3]",
            },
            units="mixer, seed, side; errors are mean squared errors, nan where a mixer fits one size alone; "
            "maps: how many test maps of that side",
            good_for="what a mixer makes of what it sees, held against `region_ideal`",
            sources=lambda: [_verified()],
        ),
        mixer_survey,
    )
]
