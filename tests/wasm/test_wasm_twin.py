"""The emitter in JavaScript gives the same bytes, and V8 the same numbers."""

import os
from dataclasses import asdict

import pytest

from workbench.errors import WorkbenchError
from workbench.wasm import (
    Passes,
    Product,
    Tile,
    computing,
    copying,
    gelu,
    has_node,
    in_node,
    layer_norm,
    listing,
    packing,
    product,
    softmax,
)

SHAPES = [
    Product(1, 1, 1),
    Product(5, 7, 3, bias=True),
    Product(13, 50, 11, lda=20, ldc=90),
    Product(128, 384, 384),
]
TILES = [Tile(), Tile(4, 2, 4), Tile(3, 3, 2, relaxed=True), Tile(8, 5, 16)]
PASSES = [Passes(), *(Passes().without(name) for name in ("offsets", "fold", "share"))]


@pytest.fixture(autouse=True)
def node():
    if not has_node():
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("node is missing: the JavaScript twin of the emitter is NOT tested")


def test_products_are_the_same_bytes():
    made = [(shape, tile, passes) for shape in SHAPES for tile in TILES for passes in PASSES]
    twins = in_node("emit", [["product", [asdict(part) for part in parts]] for parts in made])
    for parts, twin in zip(made, twins, strict=True):
        assert bytes(twin) == product(*parts), parts


def test_sums_in_memory_are_the_same_bytes():
    shape, passes = Product(9, 20, 5), Passes(accumulators=False)
    (twin,) = in_node("emit", [["product", [asdict(shape), asdict(TILES[1]), asdict(passes)]]])
    assert bytes(twin) == product(shape, TILES[1], passes)


def test_all_other_kernels_are_the_same_bytes():
    made = {
        ("softmax", 3, 7, 9, 0.3): softmax(3, 7, 9, 0.3),
        ("softmax", 4, 32, 32, 32**-0.5): softmax(4, 32, scale=32**-0.5),
        ("layerNorm", 3, 384, 1e-12): layer_norm(3, 384),
        ("layerNorm", 2, 5, 1e-5): layer_norm(2, 5, 1e-5),
        ("gelu", 31): gelu(31),
        ("packing", 3, 11, 2, 11, 1): packing(3, 11, 2, 11),
        ("packing", 33, 128, 3, 1, 384): packing(33, 128, 3, 1, 384),
        ("copying", 64): copying(64),
        ("computing", 50, True): computing(50, True),
        ("computing", 50, False): computing(50),
    }
    twins = in_node("emit", [[name, args] for name, *args in made])
    assert [bytes(twin) for twin in twins] == list(made.values())


@pytest.mark.parametrize("innermost", [False, True])
def test_listings_are_the_same_words(innermost):
    """Numbers are rounded by two languages; the rest is told letter by letter."""
    codes = [product(SHAPES[1], TILES[1]), product(SHAPES[2], TILES[3]), gelu(7), softmax(2, 6, scale=0.5)]
    twins = in_node("listings", [[list(code), innermost] for code in codes])
    for code, twin in zip(codes, twins, strict=True):
        own = listing(code, innermost)
        assert [line.split()[0] for line in own] == [line.split()[0] for line in twin]
        same = [line for line in own if not line.strip().startswith(("v128.const", "f32.const"))]
        assert same == [line for line in twin if not line.strip().startswith(("v128.const", "f32.const"))]


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_v8_computes_what_float64_does(shape):
    for tile in TILES[:3]:
        told = in_node("multiply", asdict(shape), asdict(tile), 1)
        assert told["valid"]
        assert told["error"] < 1e-6


def test_a_candidate_is_checked_and_timed():
    (told,) = in_node("tune", {"m": 8, "n": 16, "k": 8}, [asdict(Tile(4, 2))], {"ms": 0.2, "batches": 1})
    assert told["error"] < 1e-6
    assert told["gflops"] == pytest.approx(2 * 8 * 16 * 8 / told["ms"] / 1e6)
    assert told["bytes"] == len(product(Product(8, 16, 8), Tile(4, 2)))


def test_what_node_says_against_a_job_is_told():
    with pytest.raises(WorkbenchError, match=r"node stopped: .*Error"):
        in_node("nothing")
