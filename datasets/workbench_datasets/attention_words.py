"""What the heads of a trained transformer attend with, for three sentences: no weights needed.

softmax(queries · keysᵀ / √32) of one head is its attention. Some heads do what a few words can say (layers
and heads count from 0; the numbers are shares of a word's attention):

    layer 0 head 2    to the word before: 1.00, whatever the words are
    layer 1 head 8    to the word after: 0.72 on average in the first sentence; most of the rest to [CLS]
    layer 0 head 8    from each "the" to every "the" alike, itself included: 0.21 to 0.26
    layer 2 head 9    to the same word elsewhere: 0.69 from the first "bank" to the second, 0.89 back; words
                      that come once look at [CLS], 0.78 on average
    layer 3 head 1    from "it" to what it stands for: the cat 0.61 and the cake 0.17 where it was hungry,
                      the cat 0.04 and the cake 0.46 where it was sweet
    layer 4 head 5    to [CLS], from everywhere: 0.9 on average, a place to look at when nothing else matters

The two meanings of "bank" are less clear: no head turns both of them to their own noun with more than 0.10,
and in layer 0 head 4 the bank for money gives 0.42 to "river" and 0.07 to "money". The second and the third
sentence were picked because head 1 of layer 3 changes its mind between them. Of 17 pairs of that kind that
were tried, it did so in 5; in 14 the last word moved it in the right direction.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ._card import Card, DataSet
from ._files import shipped
from .digests import verified
from .errors import DataError

SENTENCES = (
    "[CLS] she sat on the bank of the river while he went to the bank for money . [SEP]",
    "[CLS] the cat ate the cake because it was hungry . [SEP]",
    "[CLS] the cat ate the cake because it was sweet . [SEP]",
)
LAYERS = 6
PARTS = ("queries", "keys", "values")
FILE = "attention_words.safetensors"
SHA256 = "6cfa73158c57a4a3bf7e896bc904ceeb4a5230c2a38c92c478609bfdfe52ce72"


def attention_words(sentence: int = 0, layer: int = 0) -> dict[str, Any]:
    """`words`: a tuple of strings; `queries`, `keys`, `values`: float32 [heads 12, words, 32]."""
    from safetensors import safe_open

    sentence = _within("sentence", sentence, len(SENTENCES))
    layer = _within("layer", layer, LAYERS)
    with safe_open(_verified(), framework="numpy") as file:
        parts = {part: file.get_tensor(tensor_name(sentence, part))[layer] for part in PARTS}
    words = tuple(SENTENCES[sentence].split())
    return {"words": words} | {part: array.astype(np.float32) for part, array in parts.items()}


def tensor_name(sentence: int, part: str) -> str:
    """The name in the file of one sentence's queries, keys or values: float16 [layers, heads, words, 32]."""
    return f"{sentence}.{part}"


def _verified() -> Path:
    return verified(shipped("workbench_datasets", FILE), SHA256)


def _within(option: str, value: object, count: int) -> int:
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and 0 <= value < count:
        return int(value)
    raise DataError(f"{option} must be a whole number from 0 to {count - 1}, but {value!r} came")


DATA_SETS = [
    DataSet(
        Card(
            name="attention-words",
            title="Queries, keys and values of a transformer that reads three sentences",
            origin="all six layers of sentence-transformers/all-MiniLM-L6-v2, computed in float64 from its "
            "published weights and kept in float16; the sentences are this project's own",
            licence="Apache-2.0, as the model (`license: apache-2.0` at the head of its README)",
            shapes={"words": "str [19]"} | {part: "float32 [12, 19, 32]" for part in PARTS},
            units="head, word, component; a query times a key, divided by √32, is the logarithm of an "
            "attention weight up to a constant of the row",
            good_for="real attention without the weights: the word before, the same word again, what `it` is",
            sources=lambda: [_verified()],
            options={
                "sentence": f"0 to {len(SENTENCES) - 1}, in the order of the members",
                "layer": f"0 to {LAYERS - 1}, from the words upwards",
            },
            members=SENTENCES,
        ),
        attention_words,
    )
]
