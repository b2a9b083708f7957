"""The filter database at the size of 10 and 100 million filters, against NumPy that reads file after file.

The filters are drawn from a normal distribution, for speed alone: nothing else may be said about them. They
are written once below the build directory (about 20 bytes a filter: 2 GB for 100 million) and found again.
Before a benchmark runs, it prints how DuckDB answers: which folders and columns it reads.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from workbench import _paths
from workbench.bench.running import Benchmark
from workbench.errors import WorkbenchError
from workbench.probes import Components, components
from workbench.zoo import Zoo, store

GROUPS, MODELS = 10, 10  # data sets, and models of each
BYTES = 24  # of disk to ask for, a filter
QUICK = 20_000  # filters


def synthesised(rows: int) -> Path:
    """A database of normal filters in ten equal data sets; what is there already stays."""
    folder = _paths.build_dir() / "bench" / f"filters-{rows}"
    folder.mkdir(parents=True, exist_ok=True)
    each = rows // (GROUPS * MODELS)
    missing = [model for model in range(GROUPS * MODELS) if not store.has(folder, model)]
    if shutil.disk_usage(folder).free < len(missing) * each * BYTES:
        raise WorkbenchError(f"{rows:,} filters need {rows * BYTES / 1e9:.1f} GB of disk in {folder}")
    for model in missing:
        weights = np.random.default_rng(model).standard_normal((each, 1, 3, 3), dtype=np.float32)
        first = model << store.LAYER_BITS
        row = {"model_id": model, "name": str(model), "source": "synthesised", "filters": each}
        row |= {"data": f"d{model % GROUPS}", "task": "none"}
        filters = store.filter_columns(model, first, weights)
        store.write(folder, store.Entry(row, [{"layer_id": first, "model_id": model}], filters))
    return folder


def _made(millions: int, quick: bool) -> tuple[Zoo, Path, int]:
    rows = QUICK if quick else millions * 10**6
    folder = synthesised(rows)
    return Zoo(folder), folder, rows


def _plan(zoo: Zoo, where: str) -> None:
    sql = f"SELECT data, covar_samp(w0, w1) FROM filters WHERE {where} GROUP BY data"
    print(zoo.explain(sql), file=sys.stderr)


def _covariances(millions: int, quick: bool) -> Benchmark:
    """Means and 45 covariances of the filters of each of ten data sets."""
    zoo, folder, rows = _made(millions, quick)
    _plan(zoo, "true")
    flops = rows * 2.0 * (9 + 45)
    kernel = partial(_matrices, zoo, "true")
    return Benchmark(kernel, {"numpy, file by file": lambda: covariances_by_numpy(folder)}, flops, 1e-6)


def _one_group(millions: int, quick: bool) -> Benchmark:
    """The same for one data set, whose folder alone is read, against all ten and a choice after."""
    zoo, _, rows = _made(millions, quick)
    _plan(zoo, "data = 'd0'")
    kernel = partial(_matrices, zoo, "data = 'd0'")
    return Benchmark(kernel, {"all read": lambda: _matrices(zoo, "true")[:1]}, rows / GROUPS * 108.0, 1e-6)


def _histograms(millions: int, quick: bool) -> Benchmark:
    """Histograms of 9 coefficients in 70 bins, a data set at a time."""
    zoo, folder, rows = _made(millions, quick)
    first = zoo.filters("model_id = 0")
    axes = components(first)

    def by_sql() -> np.ndarray:
        return np.stack([*zoo.histograms(axes, by="data").values()]).astype(np.float64)

    peers = {"numpy, file by file": lambda: histograms_by_numpy(folder, axes)}
    # a coefficient at the border of two bins may fall to either side of it
    return Benchmark(by_sql, peers, rows * 9 * 2.0 * 9, tolerance=1e-4)


def _matrices(zoo: Zoo, where: str) -> np.ndarray:
    return zoo.covariances("data", where).matrices


def covariances_by_numpy(folder: Path) -> np.ndarray:
    """[groups, 9, 9], from sums over one file after the other."""
    found = []
    for files in _groups(folder):
        n, total, products = 0, np.zeros(9), np.zeros((9, 9))
        for X in files:
            n, total, products = n + len(X), total + X.sum(axis=0), products + X.T @ X
        found.append((products - np.outer(total, total) / n) / (n - 1))
    return np.stack(found)


def histograms_by_numpy(folder: Path, axes: Components) -> np.ndarray:
    """[groups, 9, bins], by the components' own histograms."""
    return np.stack(
        [
            sum(axes.histograms(X.reshape(-1, 3, 3)).astype(np.float64) for X in files)
            for files in _groups(folder)
        ]
    )


def _groups(folder: Path) -> Iterator[Iterator[np.ndarray]]:
    """For each data set, the filters of its files: float64 [n, 9]."""
    for group in sorted((folder / "filters").glob("data=*")):
        yield map(_read, sorted(group.glob("task=*/*.parquet")))


def _read(path: Path) -> np.ndarray:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=list(store.WEIGHTS), partitioning=None)
    return np.stack([table[name].to_numpy() for name in store.WEIGHTS], axis=-1).astype(np.float64)


BENCHMARKS: dict[str, Callable[[bool], Benchmark]] = {
    "filter-covariances-10m": partial(_covariances, 10),
    "filter-covariances-100m": partial(_covariances, 100),
    "filter-histograms-10m": partial(_histograms, 10),
    "filter-histograms-100m": partial(_histograms, 100),
    "filter-one-data-set-100m": partial(_one_group, 100),
}
