"""The protocol: everything comes back as it went, and no bytes from outside can do harm."""

import contextlib
import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.judge import wire
from workbench.judge.profiles import arrays, shapes

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(),
    arrays(shapes(2)),
    arrays(shapes(1), dtype=np.float32),
    arrays(shapes(3, most=3), dtype=np.int16),
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


def there(value, trusted=False):
    """Through the wire as the other process would see it."""
    blobs = []
    stream = io.BytesIO()
    wire.write_frame(stream, {"value": wire.encode(wire.plain(value, trusted), blobs)}, blobs)
    stream.seek(0)
    header, payload = wire.read_frame(stream)
    return wire.decode(header["value"], payload, trusted)


def same(a, b):
    if isinstance(a, wire.Array):
        return a.data.dtype == b.data.dtype and np.array_equal(a.data, b.data)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_values_come_back_as_they_went(value):
    assert same(wire.plain(value), there(value))


@settings(max_examples=40, deadline=None)
@given(arrays(shapes(2)))
def test_towards_the_candidate_arrays_keep_their_layout_in_memory_of_their_own(array):
    copy = wire.alive(there(array, trusted=True))
    assert np.array_equal(copy, array)
    assert all(s == t for n, s, t in zip(array.shape, copy.strides, array.strides, strict=True) if n > 1)
    assert not np.shares_memory(copy, array)
    assert copy.flags.writeable


def test_clones_of_broadcast_and_empty_arrays():
    broadcast = np.broadcast_to(np.arange(3.0), (4, 3))
    assert np.array_equal(wire.clone(broadcast), broadcast)
    assert wire.clone(np.empty((0, 3))).shape == (0, 3)


def test_scalars_of_every_library_are_plain_numbers():
    assert [type(wire.plain(v)) for v in (np.float32(1), np.int8(1), np.bool_(True), np.array(2.0))] == [
        float,
        int,
        bool,
        float,
    ]


def test_what_does_not_travel_says_what_it_is():
    assert wire.plain({1, 2}) == wire.Other("an object of type set")
    assert wire.plain(np.array(["a"])).name.startswith("an array of dtype")
    assert isinstance(wire.plain(10**2000), wire.Other)


def test_functions_travel_towards_the_candidate_only():
    function = lambda x: x + 1  # noqa: E731
    assert wire.alive(there([function], trusted=True))[0](1) == 2
    with pytest.raises(wire.Garbage):
        wire.decode(["pickle", 0], memoryview(b""))


@pytest.mark.parametrize(
    "node",
    [
        None,
        3,
        [],
        ["nonsense"],
        ["int", "3"],
        ["int", True],
        ["bool", 1],
        ["float"],
        ["list", 3],
        ["dict", [[[], ["none"]]]],
        ["array", "<f8", [3], "numpy", "", False],
        ["array", "|O", [0], "numpy", "", False],
        ["array", "<f8", [-1], "numpy", "", False],
        ["array", "<f8", [2**62, 2**62, 0], "numpy", "", False],
        ["array", "no dtype", [0], "numpy", "", False],
        ["array", "<f8", "ab", "numpy", "", False],
        ["too large", [1, "x"], "f"],
    ],
    ids=str,
)
def test_malformed_values_are_garbage(node):
    with pytest.raises(wire.Garbage):
        wire.decode(node, memoryview(b""))


def test_bytes_left_over_are_garbage():
    with pytest.raises(wire.Garbage):
        wire.decode(["none"], memoryview(b"more"))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["array", "dict", "list"]),
    lambda inner: st.lists(inner, max_size=6),
)


@settings(max_examples=100, deadline=None)
@given(JSON, st.binary(max_size=40))
def test_no_json_does_more_than_be_refused(node, payload):
    with contextlib.suppress(wire.Garbage):
        wire.decode(node, memoryview(payload))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_no_bytes_do_more_than_be_refused(data, with_head):
    data = (wire.HEAD.pack(wire.MAGIC, max(0, len(data) - 3), 3) if with_head else b"") + data
    with contextlib.suppress(wire.Garbage, EOFError):
        wire.read_frame(io.BytesIO(data), limit=1000)


def test_deeply_nested_json_is_refused():
    text = b"[" * 100_000
    with pytest.raises(wire.Garbage):
        wire.read_frame(io.BytesIO(wire.HEAD.pack(wire.MAGIC, len(text), 0) + text), limit=1000)


def test_sizes_above_the_limit_are_refused_before_they_are_read():
    with pytest.raises(wire.Garbage):
        wire.read_frame(io.BytesIO(struct.pack("<4sIQ", wire.MAGIC, 2, 2**60)), limit=1000)
    with pytest.raises(wire.Garbage):
        wire.read_frame(io.BytesIO(struct.pack("<4sIQ", wire.MAGIC, 2**31, 0)), limit=1000)


def test_an_array_above_the_limit_travels_as_its_shape():
    blobs = []
    node = wire.encode(wire.plain(np.zeros((10, 10))), blobs, limit=100)
    assert wire.decode(json.loads(json.dumps(node)), memoryview(b"")) == wire.TooLarge((10, 10), "float64")
    assert blobs == []
