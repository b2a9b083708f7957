"""What attention is computed from: trained heads that read prose, and the patches of a photograph.

    scores = queries · keysᵀ / √(components),    attention = softmax of each row of scores

`beta` multiplies every score (the root of it goes into queries, the root into keys): an inverse temperature.
Below 1 rows spread over more keys, above 1 they settle on fewer.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _encoder, minilm, pictures
from ._card import Card, DataSet
from ._files import shipped
from ._made import code, number, one_of, whole
from ._word_pieces import word_pieces
from .errors import DataError
from .pictures import PHOTOGRAPHS

DESCRIPTIONS = (
    *("breast_cancer", "california_housing", "covtype", "diabetes", "digits", "iris", "kddcup99", "lfw"),
    *("linnerud", "olivetti_faces", "rcv1", "species_distributions", "twenty_newsgroups"),
)
LONGEST = 512  # tokens, as many as the encoder has learnt positions for
TEXTS = 6
LAYERS = 6
BETAS = (0.1, 0.25, 0.5, 1.0, 2.0)
BETA_OPTION = (
    f"0.001 to 100, what every score is multiplied by; the lessons use {', '.join(f'{b:g}' for b in BETAS)}"
)
LARGEST = 128  # side of a picture in patches
PATCH = 3  # pixels in each direction


def attention_bank(text: int = 0, layer: int = 0, tokens: int = LONGEST, beta: float = 1.0) -> dict[str, Any]:
    """`words`: a tuple of word pieces; `queries`, `keys`, `values`: float32 [heads 12, tokens, 32]."""
    text, layer = whole("text", text, 0, TEXTS - 1), whole("layer", layer, 0, LAYERS - 1)
    words, found = _encoded(text, whole("tokens", tokens, 3, LONGEST))
    arrays = {part: found[part][layer].astype(np.float32) for part in ("queries", "keys", "values")}
    return {"words": words} | _warmed(arrays, beta)


def attention_patches(picture: str = "astronaut", side: int = 56, beta: float = 1.0) -> dict[str, Any]:
    """`image`: float32 [side, side, 3]; `queries`, `keys`, `values`: float32 [heads 1, side * side, 27].

    Each pixel of the image that is made so small is a token: the colours of it and of the eight around it, a
    pixel at the border being its own neighbour. All 27 numbers have mean 0 and standard deviation 1.
    """
    one_of("picture", picture, PHOTOGRAPHS)
    image = pictures.photographs(whole("side", side, 2, LARGEST))[PHOTOGRAPHS.index(picture)]
    rim = PATCH // 2
    padded = np.pad(image, ((rim, rim), (rim, rim), (0, 0)), mode="edge").astype(np.float64)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (PATCH, PATCH), (0, 1))
    flat = patches.reshape(side * side, -1)
    flat = ((flat - flat.mean(0)) / np.maximum(flat.std(0), 1e-6)).astype(np.float32)[None]
    return {"image": image} | _warmed({"queries": flat, "keys": flat.copy(), "values": flat.copy()}, beta)


def _warmed(arrays: dict[str, NDArray[np.float32]], beta: float) -> dict[str, NDArray[np.float32]]:
    root = np.float32(np.sqrt(number("beta", beta, 0.001, 100)))
    return arrays | {part: arrays[part] * root for part in ("queries", "keys")}


@cache
def _encoded(text: int, tokens: int) -> tuple[tuple[str, ...], dict[str, NDArray[np.float16]]]:
    """One pass over the first `tokens` tokens of a text, kept in half precision as the same everywhere."""
    words = ("[CLS]", *_pieces()[text * (LONGEST - 2) :][: tokens - 2], "[SEP]")
    if len(words) != tokens:
        raise DataError(f"text {text} was expected to have {tokens} tokens, but has {len(words)}")
    ids = {piece: i for i, piece in enumerate(minilm.vocabulary())}
    found = _encoder.encode(dict(minilm.tensors()), [ids[word] for word in words])
    return words, {part: array.astype(np.float16) for part, array in found.items() if part != "states"}


@cache
def _pieces() -> list[str]:
    return word_pieces(prose(), {piece: i for i, piece in enumerate(minilm.vocabulary())})


def prose() -> str:
    """All whole sentences of scikit-learn's descriptions of its data sets, one after the other."""
    return " ".join(
        paragraph for path in _descriptions() for paragraph in paragraphs(path.read_text("utf-8"))
    )


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a reStructuredText that are prose: no titles, tables, lists, code or directives."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        plain = " ".join(block.split())
        if re.match(r"\W", plain.lstrip('`"(')) or re.search(r">>>|={4}|-{4}", plain):
            continue
        plain = re.sub(r" ?\[\d+\]_", "", plain)  # marks of footnotes
        plain = re.sub(r"(:\w+)?:?`+([^`<]*?)(?: ?<[^>]*>)?`+_*", r"\2", plain)  # roles, code and links
        if len(plain.split()) >= 8 and plain[-1] in ".:":
            found.append(plain.rstrip(":") + "." * plain.endswith(":"))
    return found


def _descriptions() -> list[Path]:
    return [shipped("sklearn", "datasets", "descr", f"{name}.rst") for name in DESCRIPTIONS]


def _sources() -> list[Path]:
    weights = minilm._verified(minilm.WEIGHTS, minilm.WEIGHTS_SHA256)
    vocabulary = minilm._verified(minilm.VOCABULARY, minilm.VOCABULARY_SHA256)
    return [weights, vocabulary, *_descriptions(), *code("attention_bank", "_encoder", "_word_pieces")]


PARTS = ("queries", "keys", "values")
DATA_SETS = [
    DataSet(
        Card(
            name="attention-bank",
            title="Queries, keys and values of a transformer that reads long prose",
            origin="all layers and heads of sentence-transformers/all-MiniLM-L6-v2, computed in float64 from "
            "its published weights and rounded to float16; the prose is what scikit-learn writes about its "
            f"data sets, joined and cut into {TEXTS} texts of {LONGEST} tokens",
            licence="weights: Apache-2.0 (model card); prose: BSD-3-Clause (scikit-learn)",
            shapes={"words": f"str [{LONGEST}]"} | {part: f"float32 [12, {LONGEST}, 32]" for part in PARTS},
            units="head, word piece, component; a query times a key, divided by √32, is the logarithm of an "
            "attention weight up to a constant of the row",
            good_for="real attention over hundreds of words, at any temperature: what part of it can go",
            sources=_sources,
            options={
                "text": f"0 to {TEXTS - 1}; no stretch of prose is in two of them",
                "layer": f"0 to {LAYERS - 1}, from the words upwards",
                "tokens": f"3 to {LONGEST}, the marks [CLS] and [SEP] included: the beginning of the text",
                "beta": BETA_OPTION,
            },
        ),
        attention_bank,
    ),
    DataSet(
        Card(
            name="attention-patches",
            title="Patches of a photograph as queries, keys and values",
            origin="every pixel of a photograph made small, with the eight around it; nothing is trained. "
            "The photographs are those of scikit-image and scikit-learn.",
            licence="public domain, CC0, and CC BY 2.0 (china, flower): see the cards of the photographs",
            shapes={"image": "float32 [56, 56, 3]"} | {part: "float32 [1, 3136, 27]" for part in PARTS},
            units="head, token row by row, colours of 3 x 3 pixels with mean 0 and standard deviation 1; "
            "queries and keys are the same",
            good_for="attention among thousands of tokens that may be alike: Gaussian similarity, landmarks",
            sources=lambda: [*pictures._sources(PHOTOGRAPHS), *code("attention_bank", "pictures", "images")],
            options={
                "picture": ", ".join(PHOTOGRAPHS),
                "side": f"2 to {LARGEST}, patches in each direction",
                "beta": BETA_OPTION,
            },
            members=PHOTOGRAPHS,
        ),
        attention_patches,
    ),
]
