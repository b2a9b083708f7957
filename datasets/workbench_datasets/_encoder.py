"""The encoder of all-MiniLM-L6-v2 in plain numpy: token ids in, what every layer attends with out.

Sums run in float64, so what is kept of them in half precision is the same on every machine.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADS = 12
EPSILON = 1e-12  # added to the variance in every normalisation, as the model's config.json says

Array = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]


def encode(arrays: Arrays, ids: Sequence[int]) -> dict[str, Array]:
    """One complete pass over one sentence.

    arrays: the trained arrays by their published names, as `load("minilm")` gives them.
    ids: token ids, [CLS] first and [SEP] last, at most as many as there are trained positions.

    Returns `queries`, `keys` and `values` of every layer and head, float64 [layers, heads, tokens, 32], and
    `states`, float64 [layers + 1, tokens, 384]: the embedded tokens, then what comes out of each layer.
    """
    state = embed(arrays, ids)
    states, inputs = [state], []
    for layer in range(sum(name.endswith(".intermediate.dense.weight") for name in arrays)):
        at = f"encoder.layer.{layer}"
        parts = [
            split(linear(arrays, f"{at}.attention.self.{name}", state)) for name in ("query", "key", "value")
        ]
        mixed = linear(arrays, f"{at}.attention.output.dense", join(attend(*parts)))
        state = normalise(arrays, f"{at}.attention.output.LayerNorm", state + mixed)
        wide = gelu(linear(arrays, f"{at}.intermediate.dense", state))
        narrow = linear(arrays, f"{at}.output.dense", wide)
        state = normalise(arrays, f"{at}.output.LayerNorm", state + narrow)
        inputs.append(parts)
        states.append(state)
    queries, keys, values = (np.stack(part) for part in zip(*inputs, strict=True))
    return {"queries": queries, "keys": keys, "values": values, "states": np.stack(states)}


def embed(arrays: Arrays, ids: Sequence[int]) -> Array:
    """Word, place and kind of sentence (always the first) added up and normalised: [tokens, 384]."""
    words = arrays["embeddings.word_embeddings.weight"][list(ids)].astype(np.float64)
    places = arrays["embeddings.position_embeddings.weight"][: len(ids)]
    kind = arrays["embeddings.token_type_embeddings.weight"][0]
    return normalise(arrays, "embeddings.LayerNorm", words + places + kind)


def attend(queries: Array, keys: Array, values: Array) -> Array:
    """softmax(Q Kᵀ / √32) V for every head at once; all three and the result are [heads, tokens, 32]."""
    scores = queries @ keys.swapaxes(-1, -2) / np.sqrt(queries.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ values


def linear(arrays: Arrays, name: str, x: Array) -> Array:
    """x Wᵀ + b; the published weights are [output, input]."""
    return x @ arrays[f"{name}.weight"].astype(np.float64).T + arrays[f"{name}.bias"]


def normalise(arrays: Arrays, name: str, x: Array) -> Array:
    """Every token to mean 0 and variance 1, then the trained scale and shift."""
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + EPSILON)
    return centred / deviation * arrays[f"{name}.weight"] + arrays[f"{name}.bias"]


def gelu(x: Array) -> Array:
    """x times the normal distribution function at x: the exact form, not the one with tanh."""
    from scipy.special import erf

    return x * (1 + erf(x / np.sqrt(2))) / 2


def split(x: Array) -> Array:
    """[tokens, heads * 32] -> [heads, tokens, 32]."""
    return x.reshape(len(x), HEADS, -1).swapaxes(0, 1)


def join(x: Array) -> Array:
    """[heads, tokens, 32] -> [tokens, heads * 32]."""
    return x.swapaxes(0, 1).reshape(x.shape[1], -1)
