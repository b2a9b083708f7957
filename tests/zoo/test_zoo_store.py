"""What is written is what is read: sizes, float16, replacing, whole files only."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from workbench.errors import WorkbenchError
from workbench.zoo import Zoo, store


def test_decayed_filters_survive_float16(tmp_path, random_layers):
    found = random_layers(0, (8, 4, 3, 3))
    W = found.layers[0].weights
    W *= np.logspace(0, -30, 32).reshape(8, 4, 1, 1)  # down to 1e-30, far below what float16 can hold
    W[2, 1] = 0
    assert (W.astype(np.float16)[-1] == 0).all()
    row = {"model_id": 7, "name": "faded", "data": "a", "task": "x"}
    store.write(tmp_path, store.entry(row, found))
    zoo = Zoo(tmp_path)
    scaled, raw = zoo.filters(), zoo.filters(raw=True)
    peaks = np.abs(scaled).max(axis=(1, 2))
    assert (peaks[np.arange(32) != 9] == 1).all()
    assert peaks[9] == 0
    expected = W.reshape(32, 3, 3)
    error = np.abs(raw - expected).max(axis=(1, 2))
    assert (error <= np.abs(expected).max(axis=(1, 2)) * 2**-11).all()


def test_columns_say_which_filter_is_which(tmp_path, put):
    found = put(tmp_path, 3, shapes=((2, 1, 3, 3), (3, 2, 3, 3)))
    rows = Zoo(tmp_path).query("SELECT *, layer_id & 4095 AS l FROM filters WHERE o = 2 AND i = 1").rows()
    (row,) = rows
    assert (row["l"], row["layer_id"], row["model_id"]) == (1, (3 << 12) + 1, 3)
    W = found["l1"].weights[2, 1]
    np.testing.assert_allclose(
        row["scale"] * np.array([row[name] for name in store.WEIGHTS]).reshape(3, 3), W, atol=2e-3
    )


def test_layers_of_other_sizes_are_told_but_not_stored(tmp_path, put):
    put(tmp_path, 1, shapes=((4, 3, 7, 7), (4, 4, 3, 3), (4, 4, 1, 1), (4, 4, 3)))
    zoo = Zoo(tmp_path)
    found = zoo.query("SELECT kernel, n, H, H_null, orth, depth_norm FROM layers ORDER BY depth").rows()
    assert [row["kernel"] for row in found] == ["7x7", "3x3", "1x1", "3"]
    assert found[2]["H"] is None
    assert 0.9 < found[0]["H"] < np.log10(11)
    assert found[1]["depth_norm"] == pytest.approx(1 / 3)
    assert len(zoo.filters()) == 16
    assert zoo.query("SELECT filters FROM models")["filters"] == [16]


def test_a_single_layer_has_a_depth(tmp_path, put):
    put(tmp_path, 1, shapes=((1, 1, 3, 3),))
    (row,) = Zoo(tmp_path).query("SELECT * FROM layers").rows()
    assert row["depth_norm"] == 0
    assert row["H"] is None  # one filter varies in nothing
    assert row["init_projection"] is None


def test_models_without_3_by_3_and_words_that_are_no_folders_are_refused(tmp_path, put):
    with pytest.raises(WorkbenchError, match="m1 has no convolution of 3 x 3"):
        put(tmp_path, 1, shapes=((4, 3, 5, 5),))
    for word in ("../up", "", "a b", "x=y"):
        with pytest.raises(WorkbenchError, match="task must be a word of letters"):
            put(tmp_path, 1, task=word)
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_model_takes_the_place_of_its_namesake_in_another_folder(tmp_path, put):
    put(tmp_path, 1, data="a")
    put(tmp_path, 1, data="b", shapes=((2, 1, 3, 3),))
    zoo = Zoo(tmp_path)
    assert zoo.query("SELECT data, count(*) AS n FROM filters GROUP BY data").rows() == [
        {"data": "b", "n": 2}
    ]
    assert zoo.query("SELECT count(*) AS n FROM layers")["n"] == [1]


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path, put, monkeypatch):
    put(tmp_path, 1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}

    def broken(table, path, **options):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", broken)
    with pytest.raises(OSError, match="disk full"):
        put(tmp_path, 1)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_file_that_is_being_written_is_not_read(tmp_path, put):
    put(tmp_path, 1)
    (tmp_path / "models" / ".2.parquet-9-abc").write_bytes(b"half")
    (tmp_path / "models" / ".3.parquet").write_bytes(b"half")
    assert Zoo(tmp_path).query("SELECT count(*) AS n FROM models")["n"] == [1]


def test_a_million_filters_take_twenty_megabytes(tmp_path):
    columns = store.filter_columns(1, 1 << 12, np.random.default_rng(0).standard_normal((150, 150, 3, 3)))
    row = {"model_id": 1, "name": "a", "data": "a", "task": "x"}
    store.write(tmp_path, store.Entry(row, [], columns))
    (path,) = (tmp_path / "filters").rglob("*.parquet")
    assert path.stat().st_size / 150**2 < 21
