"""The filters of small networks, trained by this project: three Parquet files, of which this reads one.

`workbench.zoo` asks all three in SQL; here are the filters alone, as arrays.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from .errors import DataError

FOLDER = Path(__file__).with_name("filter_zoo")
SUMS = "SHA256SUMS"
FILTERS = 216_384  # of all 42 networks of the lesson budget


def files() -> list[Path]:
    """The three files, found whole."""
    try:
        lines = (FOLDER / SUMS).read_text(encoding="utf-8").splitlines()
        expected = {name: sha for sha, name in (line.split() for line in lines)}
        for name, sha in expected.items():
            if hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() != sha:
                raise DataError(f"{name} of the filter zoo is not the file that {SUMS} expects")
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError("the filter zoo was expected beside this package's code, but is not there") from None
    return [FOLDER / name for name in expected]


def filter_zoo() -> dict[str, NDArray[Any]]:
    """`filters`: float32 [n, 3, 3], each scaled to a largest magnitude of 1; `scale`: float32 [n], what it
    was divided by; `model`: int64 [n] and `layer`: int64 [n], the numbers of its network and convolution.
    """
    import pyarrow.parquet as pq

    (path,) = (path for path in files() if path.name == "filters.parquet")
    table = pq.read_table(path)
    weights = [table[f"w{place}"].to_numpy().astype(np.float32) for place in range(9)]
    return {
        "filters": np.stack(weights, axis=-1).reshape(-1, 3, 3),
        "scale": table["scale"].to_numpy().copy(),
        "model": table["model_id"].to_numpy().copy(),
        "layer": table["layer_id"].to_numpy().copy(),
    }


DATA_SETS = [
    DataSet(
        Card(
            name="filter-zoo",
            title="Filters of small networks, trained on eight picture sets",
            origin="trained by this project: trunks of 3 x 3 convolutions, batch norm and ReLU on pictures "
            "of 16 x 16, by stochastic gradients with Nesterov's momentum, one cycle up to a rate of 0.2, "
            "batches of 32; a network that does not beat a trivial score is left out",
            licence="made by this project; the pictures that were learnt have cards of their own",
            shapes={
                "filters": f"float32 [{FILTERS}, 3, 3]",
                "scale": f"float32 [{FILTERS}]",
                "model": f"int64 [{FILTERS}]",
                "layer": f"int64 [{FILTERS}]",
            },
            units="filter, row, column; -1 to 1, times scale the trained weights",
            good_for="what trained filters have in common; workbench.zoo asks it in SQL",
            sources=files,
        ),
        filter_zoo,
    )
]
