"""Questions to the filter database, in SQL or by name; DuckDB reads only the columns and files it needs.

Three tables: `models`, `layers` and `filters` (their columns: `workbench.zoo.store`). `filters` has `data`
and `task` beside its own columns, so that the commonest groups need no join.
"""

import html
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.probes.filter_components import BINS, Components
from workbench.zoo import store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SHOWN = 20  # rows of a table that is printed
OWN = ("data", "task", "model_id")  # of the columns of models, those that filters have too
DECILE = "decile"  # of the relative depth of a layer
HIVE = "hive_partitioning = true, hive_types_autocast = false"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Table:
    """The answer to a query: columns by name, all of one length."""

    columns: Mapping[str, NDArray[Any]] = field(repr=False)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            raise WorkbenchError(f"no column is called {name!r}; there are {', '.join(self.columns)}")
        return self.columns[name]

    def rows(self) -> list[dict[str, Any]]:
        """One dict for each row; NULL is None."""
        lists = {name: _plain(values) for name, values in self.columns.items()}
        return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]

    def __str__(self) -> str:
        cells = [
            list(self.columns),
            *([_cell(value) for value in row.values()] for row in self.rows()[:SHOWN]),
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
        return "\n".join([*lines, *self._left_out()])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.columns)
        rows = (
            "".join(f"<td>{html.escape(_cell(v))}</td>" for v in row.values()) for row in self.rows()[:SHOWN]
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        after = "".join(f"<p>{line}</p>" for line in self._left_out())
        return f'<table class="wb-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{after}'

    def _left_out(self) -> list[str]:
        return [f"and {len(self) - SHOWN:,} more rows"] if len(self) > SHOWN else []


@dataclass(frozen=True, eq=False)
class Covariances:
    """Of the scaled filters of each group. groups: [g]. counts: [g]. means: [g, 9]. matrices: [g, 9, 9],
    divided by n - 1; NaN for a group of one filter."""

    groups: tuple[Any, ...]
    counts: NDArray[np.int64]
    means: Floats = field(repr=False)
    matrices: Floats = field(repr=False)


class Zoo:
    """One or several databases, read as one: a model that two of them have counts once, from the first.

    >>> Zoo(folder).query("SELECT data, count(*) AS n FROM filters GROUP BY data ORDER BY data")
    """

    def __init__(self, *folders: Path | str) -> None:
        self.folders = [Path(folder) for folder in folders]
        for folder in self.folders:
            if not any(_files(folder, "models")):
                raise WorkbenchError(f"there is no filter database in {folder}: it has no table of models")
        if not self.folders:
            raise WorkbenchError(
                "there is no filter database yet: `workbench zoo build --budget smoke` makes a small one"
            )

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Table:
        """The answer to one question in SQL; `?` stand for the parameters, in order."""
        with self._cursor() as cursor:
            found = cursor.execute(sql, list(parameters)).fetchnumpy()
            return Table({name: _filled(values) for name, values in found.items()})

    def explain(self, sql: str, analyze: bool = False) -> str:
        """How DuckDB would answer, or with `analyze` how it did: which files and columns are read."""
        with self._cursor() as cursor:
            found = cursor.execute(f"EXPLAIN {'ANALYZE ' if analyze else ''}{sql}").fetchall()
            return "\n".join(text for _, text in found)

    def info(self) -> Table:
        """What there is: models and filters of each data set and task."""
        return self.query(
            "SELECT source, data, task, count(*) AS models, sum(filters)::BIGINT AS filters, "
            "avg(score) AS score, avg(trivial) AS trivial "
            "FROM models GROUP BY ALL ORDER BY source DESC, task, data"
        )

    def filters(self, where: str = "true", raw: bool = False) -> NDArray[np.float32]:
        """All filters for which the condition on `models` holds: [n, 3, 3].

        where: SQL, e.g. "data = 'digits' AND weight_decay = 0.02". Each filter is scaled to a largest
        magnitude of 1; with `raw` it has the size that it was trained to. They come in the order of model,
        layer, output, input.
        """
        found = self.query(
            f"SELECT f.scale, {_weights('f')} FROM filters f WHERE {self._chosen(where)} "
            "ORDER BY f.model_id, f.layer_id, f.o, f.i"
        )
        w = _stacked(found)
        return w * found["scale"][:, None, None] if raw else w

    def populations(self, by: str = "data", where: str = "true") -> dict[Any, list[NDArray[np.float32]]]:
        """The filters of each group, model by model: group -> one [n, 3, 3] for each of its models, scaled.

        by: a column of `models`, or "decile", the tenth of the depth in which a layer lies, 0 to 9. This is
        what `workbench.probes.shifts` takes: filters of one model are relatives, and models are compared.
        """
        found = self.query(
            f"SELECT {_group(by)} AS g, f.model_id AS model, {_weights('f')} FROM {_table(by)} "
            f"WHERE {self._chosen(where)} ORDER BY g, model, f.layer_id, f.o, f.i"
        )
        groups, models = np.array(_plain(found["g"]), dtype=object), found["model"]
        first = np.flatnonzero((groups[1:] != groups[:-1]) | (models[1:] != models[:-1])) + 1
        populations: dict[Any, list[NDArray[np.float32]]] = {}
        for group, part in zip(groups[[0, *first]], np.split(_stacked(found), first), strict=True):
            populations.setdefault(group, []).append(part)
        return populations

    def sample(self, n: int, by: str = "data", where: str = "true", seed: int = 0) -> dict[Any, Any]:
        """n filters of each group, drawn at random without replacement: group -> [n, 3, 3], scaled.

        by: as for `populations`. Populations must be compared at equal n, as a shift between histograms grows
        when n falls. The same database and seed give the same filters. Raises WorkbenchError for a group that
        has fewer.
        """
        if n < 1:
            raise WorkbenchError(f"a sample needs n of at least 1, but {n} came")
        found = self.query(
            f"SELECT g, {_weights('f')} FROM "
            f"(SELECT {_group(by)} AS g, f.* FROM {_table(by)} WHERE {self._chosen(where)}) f "
            "QUALIFY row_number() OVER (PARTITION BY g ORDER BY "
            "md5(concat_ws(' ', ?, model_id, layer_id, o, i))) <= ? ORDER BY g, layer_id, o, i",
            [seed, n],
        )
        w = _stacked(found)
        groups = {group: w[found["g"] == group] for group in dict.fromkeys(_plain(found["g"]))}
        for group, some in groups.items():
            if len(some) < n:
                raise WorkbenchError(f"{by} {group!r} has {len(some)} filters, fewer than the {n} asked for")
        return groups

    def covariances(self, by: str = "data", where: str = "true") -> Covariances:
        """Mean and covariance of the scaled filters of each group, computed where the data are.

        by: as for `populations`. One pass over the filters; 9 + 45 numbers a group come back.
        """
        pairs = [(a, b) for a in range(9) for b in range(a, 9)]
        sums = ", ".join(f"avg(w{a}::DOUBLE) AS m{a}" for a in range(9))
        products = ", ".join(f"covar_samp(w{a}::DOUBLE, w{b}::DOUBLE) AS c{a}{b}" for a, b in pairs)
        found = self.query(
            f"SELECT {_group(by)} AS g, count(*) AS n, {sums}, {products} FROM {_table(by)} "
            f"WHERE {self._chosen(where)} GROUP BY g ORDER BY g"
        )
        matrices = np.empty((len(found), 9, 9))
        for a, b in pairs:
            matrices[:, a, b] = matrices[:, b, a] = found[f"c{a}{b}"]
        means = np.stack([found[f"m{a}"] for a in range(9)], axis=-1)
        return Covariances(tuple(_plain(found["g"])), found["n"], means, matrices)

    def histograms(
        self, components: Components, by: str = "name", where: str = "true", bins: int = BINS
    ) -> dict[Any, NDArray[np.int64]]:
        """How many filters of each group have a coefficient in each bin: group -> [9, bins].

        by: as for `populations`; by default each model is a group. The same numbers as
        `components.histograms` of the group's filters, in one pass and without loading them.
        """
        if components.k != (3, 3):
            raise WorkbenchError(
                f"the database holds filters of 3 x 3, but components of {components.k} came"
            )
        if bins < 2:
            raise WorkbenchError(f"a histogram needs at least two bins, but {bins} came")
        axes, middle = components.eigenfilters.reshape(9, 9), components.mean.reshape(9)
        width = components.high - components.low
        places = []
        for axis in range(9):
            along = " + ".join(
                f"(w{k}::DOUBLE - {_exact(middle[k])}) * {_exact(axes[axis, k])}" for k in range(9)
            )
            share = f"({along} - {_exact(components.low)}) / {_exact(width)}"
            places.append(f"greatest(0, least({bins - 1}, floor({share} * {bins})))::INTEGER AS b{axis}")
        names = [f"b{axis}" for axis in range(9)]
        found = self.query(
            f"WITH placed AS (SELECT {_group(by)} AS g, {', '.join(places)} FROM {_table(by)} "
            f"WHERE {self._chosen(where)}) SELECT g, grouping({', '.join(names)}) AS which, "
            f"coalesce({', '.join(names)}) AS bin, count(*) AS n FROM placed GROUP BY GROUPING SETS "
            f"({', '.join(f'(g, {name})' for name in names)}) ORDER BY g"
        )
        groups = dict.fromkeys(_plain(found["g"]))
        counts = {group: np.zeros((9, bins), np.int64) for group in groups}
        # grouping() sets the bit of each column that was not grouped by; the first column has the highest
        axis_of = {(1 << 9) - 1 - (1 << (8 - axis)): axis for axis in range(9)}
        for group, which, place, n in zip(
            _plain(found["g"]), found["which"], found["bin"], found["n"], strict=True
        ):
            counts[group][axis_of[int(which)], place] = n
        return counts

    def _chosen(self, where: str) -> str:
        """A condition on `models` as one on filters `f`, spelt out so that DuckDB can skip files."""
        if where == "true":
            return where
        found = self.query(f"SELECT model_id, data, task FROM models WHERE {where}")
        if not len(found):
            raise WorkbenchError(f"no model of the database has {where}")
        ids = ", ".join(map(str, found["model_id"].tolist()))
        data, task = (", ".join(sorted(set(map(_quoted, found[name])))) for name in ("data", "task"))
        return f"f.data IN ({data}) AND f.task IN ({task}) AND f.model_id IN ({ids})"

    @cached_property
    def _connection(self) -> "DuckDBPyConnection":
        """DuckDB in memory, with the three tables as views: each query looks anew which files there are."""
        import duckdb

        connection = duckdb.connect()
        for table in store.TABLES:
            connection.execute(f"CREATE VIEW {table} AS {self._view(table)}")
        return connection

    @contextmanager
    def _cursor(self) -> "Iterator[DuckDBPyConnection]":
        """For one query, in any thread; what goes wrong in it is told in one sentence."""
        import duckdb

        try:
            with self._connection.cursor() as cursor:
                yield cursor
        except duckdb.Error as error:
            sentence = " ".join(str(error).partition("LINE ")[0].split())  # what follows draws the place
            raise WorkbenchError(f"the query cannot be answered: {sentence}") from None

    def _view(self, table: str) -> str:
        parts = []
        for number, folder in enumerate(self.folders):
            # a model of an earlier database hides the one of the same number in a later one
            seen = [_source("models", _files(earlier, "models")) for earlier in self.folders[:number]]
            hidden = "".join(f" AND model_id NOT IN (SELECT model_id FROM {source})" for source in seen)
            source = _source(table, _files(folder, table))
            parts.append(f"SELECT * FROM {source}" + (f" WHERE true{hidden}" if hidden else ""))
        return " UNION ALL BY NAME ".join(parts)


def _files(folder: Path, table: str) -> list[str]:
    """What to read: one file with the whole table, or a file for each model."""
    if (whole := folder / f"{table}.parquet").is_file():
        return [str(whole)]
    return (
        [str(folder / table / "**" / "[!.]*.parquet")] if any((folder / table).rglob("[!.]*.parquet")) else []
    )


def _source(table: str, files: list[str]) -> str:
    """The files as SQL; DuckDB opens those that it needs when it needs them."""
    listed = ", ".join(_quoted(file) for file in files)
    return f"read_parquet([{listed}], {HIVE if table == 'filters' else 'hive_partitioning = false'})"


def _weights(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in store.WEIGHTS)


def _group(by: str) -> str:
    """What filters are grouped by; their own columns need no join."""
    if by == DECILE:
        return "least(9, floor(10 * l.depth_norm))::INTEGER"
    if by not in store.MODELS:
        known = ", ".join((DECILE, *store.MODELS))
        raise WorkbenchError(f"groups are made by one of {known}, but {by!r} came")
    return f"{'f' if by in OWN else 'm'}.{by}"


def _table(by: str) -> str:
    """The filters with what they are grouped by."""
    if by == DECILE:
        return "filters f JOIN layers l ON f.layer_id = l.layer_id"
    return "filters f" if by in OWN else "filters f JOIN models m ON f.model_id = m.model_id"


def _stacked(found: Table) -> NDArray[np.float32]:
    """The nine columns as filters: [n, 3, 3]."""
    return np.stack([found[name] for name in store.WEIGHTS], axis=-1).reshape(-1, 3, 3)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _exact(value: float) -> str:
    """A float64 literal with all its digits."""
    return f"({float(value)!r}::DOUBLE)"


def _filled(values: Any) -> NDArray[Any]:
    """A column without a mask: NULL is NaN among floats, None among the rest."""
    if not np.ma.isMaskedArray(values):
        return values
    if values.dtype.kind == "f":
        return values.filled(np.nan)
    if not values.mask.any():
        return values.data
    objects = values.data.astype(object)
    objects[values.mask] = None
    return objects


def _plain(values: NDArray[Any]) -> list[Any]:
    return [None if isinstance(value, float) and np.isnan(value) else value for value in values.tolist()]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
