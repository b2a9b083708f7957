"""SQL against NumPy, and questions that cannot be answered."""

import threading

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.probes import components, shifts
from workbench.zoo import Table, Zoo, everything, own, pack, query, shipped


def of(zoo, where):
    return zoo.filters(where).reshape(-1, 9).astype(np.float64)


@pytest.mark.parametrize("by", ["data", "task", "seed", "name"])
def test_covariances_are_those_of_numpy(zoo, by):
    found = zoo.covariances(by)
    assert list(found.groups) == [
        row["g"] for row in zoo.query(f"SELECT DISTINCT {by} AS g FROM models ORDER BY g").rows()
    ]
    for group, n, mean, matrix in zip(found.groups, found.counts, found.means, found.matrices, strict=True):
        X = of(zoo, f"{by} IS NOT DISTINCT FROM {group!r}" if group is not None else f"{by} IS NULL")
        assert n == len(X)
        np.testing.assert_allclose(mean, X.mean(axis=0), atol=1e-13)
        np.testing.assert_allclose(matrix, np.cov(X.T), atol=1e-13)


def test_histograms_are_those_of_the_components(zoo):
    axes = components(zoo.filters())
    found = zoo.histograms(axes)
    assert set(found) == {f"m{number}" for number in range(5)}
    for name, counts in found.items():
        np.testing.assert_array_equal(counts, axes.histograms(zoo.filters(f"name = '{name}'")))
    few = zoo.histograms(axes, by="data", where="task = 'x'", bins=7)
    assert set(few) == {"a", "b"}
    np.testing.assert_array_equal(few["b"], axes.histograms(zoo.filters("data = 'b'"), bins=7))


def test_histograms_keep_filters_beyond_the_range_and_filters_of_zeros(tmp_path, put, zoo):
    axes = components(zoo.filters("data = 'c'"))  # few filters: a narrow range
    found = zoo.histograms(axes, by="data")
    assert (found["a"].sum(axis=1) == len(zoo.filters("data = 'a'"))).all()
    np.testing.assert_array_equal(found["a"], axes.histograms(zoo.filters("data = 'a'")))


def test_populations_are_models_and_fit_the_shifts(zoo):
    found = zoo.populations("data")
    assert {group: [len(model) for model in models] for group, models in found.items()} == {
        "a": [28, 28], "b": [28, 28], "c": [15],
    }  # fmt: skip
    np.testing.assert_array_equal(found["b"][1], zoo.filters("name = 'm3'"))
    assert shifts(found, n=6, resamples=0).names == ("a", "b", "c")
    by_seed = zoo.populations("seed", "data != 'a'")
    assert [(seed, len(models)) for seed, models in by_seed.items()] == [(0, 1), (1, 1), (None, 1)]


def test_depth_is_grouped_by_layers(zoo):
    found = zoo.populations("decile")
    assert [(decile, len(models)) for decile, models in found.items()] == [(0, 4), (9, 5)]
    raw = zoo.query("SELECT w0 FROM filters WHERE layer_id = 2 << 12 ORDER BY o, i")["w0"]
    np.testing.assert_array_equal(found[0][2][:, 0, 0], raw)
    assert zoo.covariances("decile").counts.tolist() == [16, 111]
    axes = components(zoo.filters())
    expected = sum(axes.histograms(model) for model in found[9])
    np.testing.assert_array_equal(zoo.histograms(axes, by="decile")[9], expected)


def test_samples_are_equal_without_repeats_and_the_same_again(zoo):
    found = zoo.sample(12, by="data")
    assert {group: some.shape for group, some in found.items()} == {g: (12, 3, 3) for g in "abc"}
    assert len(np.unique(found["a"].reshape(12, 9), axis=0)) == 12
    everything_of_a = {tuple(row) for row in zoo.filters("data = 'a'").reshape(-1, 9)}
    assert {tuple(row) for row in found["a"].reshape(12, 9)} <= everything_of_a
    np.testing.assert_array_equal(zoo.sample(12, by="data")["b"], found["b"])
    assert not np.array_equal(zoo.sample(12, by="data", seed=1)["b"], found["b"])
    with pytest.raises(WorkbenchError, match="data 'c' has 15 filters, fewer than the 16 asked for"):
        zoo.sample(16, by="data")
    with pytest.raises(WorkbenchError, match="n of at least 1"):
        zoo.sample(0)


def test_filters_come_in_the_order_of_the_layers(zoo, put, tmp_path):
    found = put(tmp_path / "one", 9)
    expected = np.concatenate([layer.filters for layer in found])
    raw = Zoo(tmp_path / "one").filters(raw=True)
    np.testing.assert_allclose(raw, expected, atol=2e-3)
    assert raw.dtype == np.float32


def test_only_the_folders_of_a_data_set_are_opened(zoo):
    plan = zoo.explain("SELECT avg(w0) FROM filters WHERE data = 'b'")
    assert "Scanning Files: 2/5" in plan
    assert "w8" not in plan
    done = zoo.explain("SELECT avg(w0) FROM filters WHERE model_id = 3", analyze=True)
    assert "28 rows" in done.lower()


def test_a_table_prints_and_gives_rows(zoo):
    found = zoo.query(
        "SELECT 'a<b' AS x, 1.23456 AS y, NULL::INTEGER AS z UNION ALL SELECT 'c', NULL, 3 ORDER BY x"
    )
    assert found.rows() == [{"x": "a<b", "y": 1.23456, "z": None}, {"x": "c", "y": None, "z": 3}]
    assert str(found).splitlines() == ["x    y      z", "a<b  1.235", "c           3"]
    assert "a&lt;b" in found._repr_html_()
    many = zoo.query("SELECT o FROM filters")
    assert str(many).endswith("and 107 more rows")
    assert len(many.rows()) == len(many) == 127
    empty = zoo.query("SELECT name FROM models WHERE false")
    assert (len(empty), empty.rows(), str(empty)) == (0, [], "name")
    assert isinstance(empty, Table)
    with pytest.raises(WorkbenchError, match="no column is called 'y'; there are name"):
        empty["y"]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (
            "SELECT nothing FROM models",
            'the query cannot be answered: Binder Error: Referenced column "nothing"',
        ),
        ("SELEC 1", "cannot be answered: Parser Error"),
        ("SELECT * FROM filtres", "cannot be answered: Catalog Error"),
        ("SELECT CAST('a' AS INTEGER)", "cannot be answered: Conversion Error"),
    ],
)
def test_a_wrong_query_gets_one_sentence(zoo, sql, words):
    with pytest.raises(WorkbenchError) as caught:
        zoo.query(sql)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert zoo.query("SELECT 1 AS a")["a"] == [1]  # the next one is answered


def test_groups_and_choices_that_are_not_there(zoo):
    with pytest.raises(WorkbenchError, match=r"by one of decile, model_id, .* 'w0' came"):
        zoo.covariances("w0")
    with pytest.raises(WorkbenchError, match="no model of the database has data = 'z'"):
        zoo.filters("data = 'z'")
    axes = components(np.random.default_rng(0).standard_normal((9, 5, 5)))
    with pytest.raises(WorkbenchError, match="filters of 3 x 3"):
        zoo.histograms(axes)


def test_models_that_come_later_are_seen(zoo, put):
    assert len(zoo.filters("data = 'a'")) == 56
    put(zoo.folders[0], 77, data="a")
    assert len(zoo.filters("data = 'a'")) == 84


def test_threads_may_ask_at_once(zoo):
    found = []
    threads = [threading.Thread(target=lambda: found.append(len(zoo.filters()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [127] * 4


def test_a_model_of_two_databases_counts_once(tmp_path, put, zoo):
    other = tmp_path / "other"
    put(other, 3, data="elsewhere")
    put(other, 8)
    both = Zoo(other, *zoo.folders)
    assert len(both.query("SELECT * FROM models")) == 6
    assert both.query("SELECT data FROM models WHERE model_id = 3")["data"] == ["elsewhere"]
    assert len(both.query("SELECT * FROM filters WHERE model_id = 3")) == 28
    assert len(both.query("SELECT * FROM layers WHERE model_id = 3")) == 2


def test_there_is_no_database(tmp_path):
    with pytest.raises(WorkbenchError, match=r"no filter database in .*nowhere"):
        Zoo(tmp_path / "nowhere")
    with pytest.raises(WorkbenchError, match="no filter database"):
        own()


def test_a_packed_database_is_the_same(tmp_path, zoo, put):
    sums = pack(zoo, tmp_path / "packed")
    packed = Zoo(tmp_path / "packed")
    for question in ("FROM models ORDER BY name", "FROM layers ORDER BY layer_id"):
        assert packed.query(question).rows() == zoo.query(question).rows()
    np.testing.assert_array_equal(packed.filters(raw=True), zoo.filters(raw=True))
    assert packed.info().rows() == zoo.info().rows()
    assert len(packed.filters("data = 'b'")) == 56
    lines = (tmp_path / "packed" / "SHA256SUMS").read_text().splitlines()
    assert [line.split() for line in lines] == [[sha, file] for file, sha in sums.items()]
    assert pack(packed, tmp_path / "again") == sums
    assert "127 filters" in (tmp_path / "packed" / "filters.parquet.md").read_text()
    pack(zoo, tmp_path / "some", "data = 'b'")
    assert len(Zoo(tmp_path / "some").filters()) == 56
    with pytest.raises(WorkbenchError, match="no model of the database has false"):
        pack(zoo, tmp_path / "none", "false")


def test_the_database_that_ships_is_asked_with_the_readers_own(tmp_path, zoo, put, monkeypatch):
    from workbench_datasets import DataError, filter_zoo, registry, used

    pack(zoo, tmp_path / "packed")
    monkeypatch.setattr(filter_zoo, "FOLDER", tmp_path / "packed")
    monkeypatch.setitem(registry._DATA_SETS, "filter-zoo", filter_zoo.DATA_SETS[0])
    assert len(shipped().query("FROM models")) == 5
    assert "filter-zoo" in used()
    data = filter_zoo.filter_zoo()
    order = np.lexsort([data["layer"], data["model"]])
    np.testing.assert_array_equal(data["filters"][order], zoo.filters())
    assert len(query("FROM models")) == 5
    put(tmp_path / "home" / "zoo", 50)
    assert len(everything().query("FROM models")) == 6
    assert len(own().query("FROM models")) == 1
    (tmp_path / "packed" / "filters.parquet").write_bytes(b"another")
    with pytest.raises(DataError, match=r"filters\.parquet of the filter zoo is not the file"):
        filter_zoo.files()
    with pytest.raises(WorkbenchError, match=r"filters\.parquet of the filter zoo is not the file"):
        shipped()
    (tmp_path / "packed" / "SHA256SUMS").unlink()
    with pytest.raises(DataError, match="is not there"):
        filter_zoo.files()
