"""A database as three files to hand out, with their checksums and a card."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.zoo import store
from workbench.zoo.asking import Zoo

SUMS = "SHA256SUMS"
CARD = "filters.parquet.md"
ROW_GROUP = 1 << 20  # filters


def pack(zoo: Zoo, folder: Path | str, where: str = "true") -> dict[str, str]:
    """Writes `models.parquet`, `layers.parquet` and `filters.parquet`, and returns the SHA-256 of each.

    where: which models, as a condition in SQL. Models lie in the order of data, task and name; filters are
    written model by model, so that a database of any size can be packed. Beside them: SHA256SUMS in the
    format of `sha256sum`, and a card.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = Path(folder)
    chosen = zoo.query(f"SELECT * FROM models WHERE {where} ORDER BY data, task, name").rows()
    if not chosen:
        raise WorkbenchError(f"no model of the database has {where}")
    ids = [row["model_id"] for row in chosen]
    order = {model_id: position for position, model_id in enumerate(ids)}
    layers = zoo.query(
        f"SELECT * FROM layers WHERE model_id IN ({', '.join(map(str, ids))}) ORDER BY layer_id"
    ).rows()
    layers.sort(key=lambda row: (order[row["model_id"]], row["depth"]))
    for table, rows in (("models", chosen), ("layers", layers)):
        columns = store.MODELS if table == "models" else store.LAYERS
        with store.beside(place / f"{table}.parquet") as path:
            pq.write_table(pa.Table.from_pylist(rows, store.schema(columns)), path, **store.layout(table))
    # data and task have no folder here, so they become columns, which repeat and cost nothing
    columns = {"data": "string", "task": "string", **store.FILTERS}
    layout = store.layout("filters")
    layout["use_dictionary"] += ["data", "task"]
    with (
        store.beside(place / "filters.parquet") as path,
        pq.ParquetWriter(path, store.schema(columns), **layout) as writer,
    ):
        waiting: list[Any] = []
        for model_id in ids:
            waiting.append(_filters(zoo, model_id, columns))
            if sum(map(len, waiting)) >= ROW_GROUP:
                writer.write_table(pa.concat_tables(waiting), ROW_GROUP)
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting), ROW_GROUP)
    sums = {f"{table}.parquet": _sha256(place / f"{table}.parquet") for table in store.TABLES}
    (place / SUMS).write_text("".join(f"{sha}  {file}\n" for file, sha in sums.items()), encoding="utf-8")
    (place / CARD).write_text(_card(chosen), encoding="utf-8")
    return sums


def _filters(zoo: Zoo, model_id: int, columns: Mapping[str, str]) -> Any:
    """The filters of one model as an Arrow table."""
    import pyarrow as pa

    found = zoo.query(
        f"SELECT {', '.join(columns)} FROM filters WHERE model_id = {model_id} ORDER BY layer_id, o, i"
    )
    kinds = {name: object if kind == "string" else kind for name, kind in columns.items()}
    return pa.table({n: found[n].astype(kind) for n, kind in kinds.items()}, schema=store.schema(columns))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _card(models: list[dict[str, Any]]) -> str:
    """What the files hold, for a reader who has only them."""
    filters = sum(row["filters"] for row in models)
    steps = sorted({row["steps"] for row in models if row["steps"]})
    data, tasks = (sorted({row[name] for row in models}) for name in ("data", "task"))
    trained = f", {' or '.join(map(str, steps))} steps each" if steps else ""
    lines = [
        "# Filters of small trained networks",
        "",
        f"{len(models)} networks{trained}, {filters:,} filters of 3 x 3.",
        "",
        f"- data: {', '.join(data)}",
        f"- tasks: {', '.join(tasks)}",
        "- models.parquet: one row a network, with every knob, its score and the score that costs nothing",
        "- layers.parquet: one row a convolution, with sparsity, variance entropy and its null,",
        "  orthogonality, and how much of the first weights is left",
        "- filters.parquet: one row a filter; w0 to w8, row by row, are scaled to a largest magnitude of 1,",
        "  and `scale` (float32) gives the trained size back",
        "  (the largest file, because every filter is kept: their distribution is what is studied)",
        f"- {SUMS}: `sha256sum -c {SUMS}` says whether the files are whole",
    ]
    if all(row["source"] == "zoo" for row in models):
        lines += [
            "",
            "Trained by this project (`workbench zoo build`) on pictures of `workbench_datasets`, whose",
            "cards name their origins. Made anew on another computer, weights differ in their last digits.",
        ]
    return "\n".join([*lines, ""])
