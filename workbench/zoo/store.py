"""The filter database on disk: Parquet files that DuckDB reads, one set of files for each model.

    models/<model_id>.parquet                          one row: every knob, seed, score, trivial score, time
    layers/<model_id>.parquet                          one row for each convolution, of any size
    filters/data=<data>/task=<task>/<model_id>.parquet one row for each filter of 3 x 3

A query that names a data set or a task opens the folders of that name alone; one that names a model skips all
others by the smallest and largest number that each file keeps in its footer. So a billion rows are files that
are mostly not read.

A decayed channel holds weights of 1e-8 beside others of 1, and float16 turns those into zeros. Therefore a
filter is kept as `scale`, its largest magnitude in float32, and w0 ... w8 between -1 and 1 in float16: what
is compared between populations anyway, to half of one part in 1024 of its largest weight, whatever its size.
"""

import contextlib
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench import _paths
from workbench.errors import WorkbenchError
from workbench.probes import FilterSet, filter_quality, init_projection

LAYER_BITS = 12  # layer_id = model_id * 4096 + which convolution of the model
WEIGHTS = tuple(f"w{place}" for place in range(9))
TABLES = ("models", "layers", "filters")
LEVEL = 9  # of zstd
PLAIN_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

# Columns of `models` with their types; what a public model does not tell is NULL.
MODELS = {
    "model_id": "int64",
    "name": "string",
    "source": "string",
    "data": "string",
    "task": "string",
    "wiring": "string",
    "depth": "int32",
    "width": "int32",
    "weight_decay": "float64",
    "labels": "string",
    "steps": "int32",
    "seed": "int32",
    "batch": "int32",
    "lr": "float64",
    "metric": "string",
    "score": "float64",
    "trivial": "float64",
    "memory": "float64",
    "parameters": "int64",
    "filters": "int64",
    "seconds": "float64",
    "machine": "string",
    "added": "string",
}
LAYERS = {
    "layer_id": "int64",
    "model_id": "int64",
    "name": "string",
    "depth": "int32",
    "depth_norm": "float64",
    "kernel": "string",
    "groups": "int32",
    "c_in": "int32",
    "c_out": "int32",
    "n": "int64",
    "sparsity": "float64",
    "dead_share": "float64",
    "H": "float64",
    "H_live": "float64",
    "H_null": "float64",
    "H_low": "float64",
    "orth": "float64",
    "init_projection": "float64",
}
FILTERS = {"model_id": "int64", "layer_id": "int64", "o": "int32", "i": "int32", "scale": "float32"}
FILTERS |= dict.fromkeys(WEIGHTS, "float16")


@dataclass(frozen=True)
class Entry:
    """One model on its way into the database: a row, rows of layers, and columns of filters."""

    model: Mapping[str, Any]
    layers: Sequence[Mapping[str, Any]] = field(repr=False)
    filters: Mapping[str, NDArray[Any]] = field(repr=False)


def entry(
    model: Mapping[str, Any], found: FilterSet, initial: Mapping[str, ArrayLike] | None = None
) -> Entry:
    """A model's rows from its filters.

    model: its columns of `models`, `model_id`, `name`, `data` and `task` at least. initial: the first weights
    of its layers by name, where they are known. Convolutions of other sizes than 3 x 3 have a row in `layers`
    and none in `filters`.
    """
    if len(found) >= 1 << LAYER_BITS:
        raise WorkbenchError(f"a model may have {(1 << LAYER_BITS) - 1} convolutions, but {len(found)} came")
    for column in ("data", "task"):
        if not PLAIN_WORD.fullmatch(str(model[column])):
            raise WorkbenchError(
                f"{column} must be a word of letters, digits, dots, dashes and underscores, "
                f"but {model[column]!r} came"
            )
    first = model["model_id"] << LAYER_BITS
    layers, parts = [], []
    for layer, quality in zip(found, filter_quality(found), strict=True):
        known = None if initial is None else initial.get(layer.name)
        layers.append(
            {
                "layer_id": first + layer.depth,
                "model_id": model["model_id"],
                "name": layer.name,
                "depth": layer.depth,
                "depth_norm": layer.depth_norm,
                "kernel": "x".join(map(str, layer.k)),
                "groups": layer.groups,
                "c_in": layer.c_in,
                "c_out": layer.c_out,
                "n": layer.n,
                "sparsity": quality.sparsity,
                "dead_share": quality.dead,
                "H": quality.entropy,
                "H_live": quality.entropy_live,
                "H_null": quality.null_median,
                "H_low": quality.null_low,
                "orth": quality.orthogonality,
                "init_projection": None if known is None else init_projection(layer.weights, known),
            }
        )
        if layer.k == (3, 3):
            parts.append(filter_columns(model["model_id"], first + layer.depth, layer.weights))
    if not parts:
        raise WorkbenchError(f"{model['name']} has no convolution of 3 x 3, which the database is made of")
    filters = {name: np.concatenate([part[name] for part in parts]) for name in FILTERS}
    return Entry({**model, "filters": len(filters["o"])}, layers, filters)


def filter_columns(model_id: int, layer_id: int, weights: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Columns of the filters of one layer: weights [c_out, c_in / groups, 3, 3]."""
    out, into = weights.shape[:2]
    flat = weights.reshape(out * into, 9).astype(np.float64)
    scale = np.abs(flat).max(axis=1).astype(np.float32)
    w = (flat / np.where(scale > 0, scale, 1)[:, None]).astype(np.float16)
    o, i = np.divmod(np.arange(out * into, dtype=np.int32), into)
    ids = {"model_id": np.full(len(w), model_id), "layer_id": np.full(len(w), layer_id)}
    return {**ids, "o": o, "i": i, "scale": scale, **dict(zip(WEIGHTS, w.T, strict=True))}


def home() -> Path:
    """The reader's own database."""
    return _paths.home() / "zoo"


def paths(folder: Path, model: Mapping[str, Any]) -> dict[str, Path]:
    """Where the files of a model are, by table."""
    file = f"{model['model_id']}.parquet"
    partition = f"data={model['data']}", f"task={model['task']}"
    return {
        "filters": folder.joinpath("filters", *partition, file),
        "layers": folder / "layers" / file,
        "models": folder / "models" / file,
    }


def has(folder: Path, model_id: int) -> bool:
    """Whether the database has a model; its row in `models` is written last."""
    return (folder / "models" / f"{model_id}.parquet").is_file()


def write(folder: Path, new: Entry) -> None:
    """Puts a model into the database, in place of an earlier one of the same number.

    Every file is written beside and moved into place; several processes may write at once.
    """
    import pyarrow.parquet as pq

    places = paths(folder, new.model)
    for old in (folder / "filters").glob(f"data=*/task=*/{new.model['model_id']}.parquet"):
        if old != places["filters"]:  # it was in another partition
            old.unlink(missing_ok=True)
    for name, table in tables(new).items():
        with beside(places[name]) as path:
            pq.write_table(table, path, **layout(name))


def tables(new: Entry) -> dict[str, Any]:
    """The Arrow tables of an entry, `models` last."""
    import pyarrow as pa

    filters = pa.table(dict(new.filters), schema=schema(FILTERS))
    layers = pa.Table.from_pylist([dict(row) for row in new.layers], schema=schema(LAYERS))
    models = pa.Table.from_pylist([{name: new.model.get(name) for name in MODELS}], schema=schema(MODELS))
    return {"filters": filters, "layers": layers, "models": models}


def schema(columns: Mapping[str, str]) -> Any:
    """An Arrow schema from names and types."""
    import pyarrow as pa

    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])


def layout(table: str) -> dict[str, Any]:
    """How a table is written: mantissas do not compress, whatever repeats does."""
    if table != "filters":
        return {"compression": "zstd"}
    return {
        "compression": "zstd",
        "compression_level": LEVEL,
        "use_dictionary": [name for name, kind in FILTERS.items() if kind.startswith("int")],
        "column_encoding": {"scale": "BYTE_STREAM_SPLIT"},
    }


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A file to write; it takes its place when it is whole, and goes when something went wrong."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f".{path.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        yield own
        os.replace(own, path)
    finally:
        own.unlink(missing_ok=True)
