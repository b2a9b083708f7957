"""The bank of attention inputs: held to the encoder in torch, to a word cutter, and to pixels."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from workbench_datasets import DataError, attention_bank, card, load
from workbench_datasets._word_pieces import word_pieces
from workbench_datasets.attention_bank import BETAS, LAYERS, TEXTS, paragraphs

from workbench.layers import SentenceEncoder
from workbench.layers import word_pieces as words_of_the_encoder
from workbench.probes import attention


@pytest.fixture(scope="module", autouse=True)
def _weights() -> None:
    try:
        load("minilm")
    except DataError as absent:
        pytest.skip(str(absent))


def rows(data: dict[str, np.ndarray]) -> np.ndarray:
    scores = data["queries"] @ data["keys"].swapaxes(1, 2) / np.sqrt(data["keys"].shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def test_the_heads_attend_as_those_of_the_encoder_in_torch():
    """The second text and its words through torch's own layers: the same maps, to half precision."""
    vocabulary = load("minilm-vocabulary")
    words = load("attention-bank", text=1, tokens=40)["words"]
    ids = torch.tensor([[vocabulary.index(word) for word in words]])
    with torch.no_grad():
        maps = attention(SentenceEncoder(), ids)
    for layer in (0, LAYERS - 1):
        found = rows(load("attention-bank", text=1, layer=layer, tokens=40))
        np.testing.assert_allclose(found, maps[layer].numpy()[0], atol=2e-3)


def test_texts_are_prose_of_their_own_and_a_short_one_is_the_beginning():
    texts = [load("attention-bank", text=text, tokens=12)["words"] for text in range(TEXTS)]
    assert len(set(texts)) == TEXTS
    pieces = attention_bank._pieces()
    assert len(pieces) >= TEXTS * 510
    assert list(load("attention-bank", text=2, tokens=20)["words"][1:-1]) == pieces[1020:1038]
    assert sum(piece == "[UNK]" for piece in pieces) == 0
    assert sum(piece.startswith("##") for piece in pieces) < len(pieces) / 4
    assert sum(piece.isalpha() for piece in pieces) > len(pieces) / 2


def test_words_are_cut_as_the_encoder_cuts_them():
    ids = {piece: i for i, piece in enumerate(load("minilm-vocabulary"))}
    for text in (attention_bank.prose()[:3000], "Naïve café_x ##unwordly 30×30m … \u00ad \U0001f600"):
        assert tuple(word_pieces(text, ids)) == words_of_the_encoder(text)[0][1:-1]


def test_prose_leaves_out_what_is_none():
    text = """
.. _label:

Title of the whole
------------------

The first paragraph has a :func:`call.me` and ``code`` and a `link
<https://example.org>`_ and a mark [2]_.

* A list with enough words to be a paragraph if it were one.

=====  =====
A      table of words that could be taken for a paragraph
=====  =====

Too short.

    >>> this is(code with words) that could be taken for a paragraph

It goes on like this, with words enough::
"""
    assert paragraphs(text) == [
        "The first paragraph has a call.me and code and a link and a mark.",
        "It goes on like this, with words enough.",
    ]


@pytest.mark.parametrize("name", ["attention-bank", "attention-patches"])
def test_beta_multiplies_every_score_and_shares_it_between_both_sides(name):
    options = {"tokens": 24} if name == "attention-bank" else {"side": 6}
    plain = load(name, **options)
    for beta in BETAS:
        warm = load(name, beta=beta, **options)
        for part in ("queries", "keys"):
            np.testing.assert_allclose(warm[part], plain[part] * np.sqrt(beta), rtol=1e-6)
        np.testing.assert_array_equal(warm["values"], plain["values"])
    flat, sharp = (rows(load(name, beta=beta, **options)) for beta in (0.1, 2))
    assert (flat.max(-1) < sharp.max(-1) + 1e-6).all()


def test_a_patch_is_nine_pixels_and_the_rim_repeats():
    data = load("attention-patches", picture="coffee", side=5)
    image = data["image"].astype(np.float64)
    where = np.clip(np.arange(-1, 2)[None] + np.arange(5)[:, None], 0, 4)  # [place, tap]
    patches = image[where[:, None, :, None], where[None, :, None, :]]  # [row, column, tap, tap, colour]
    flat = patches.transpose(0, 1, 4, 2, 3).reshape(25, 27)
    flat = (flat - flat.mean(0)) / flat.std(0)
    np.testing.assert_allclose(data["queries"][0], flat, atol=1e-4)
    np.testing.assert_array_equal(data["queries"], data["keys"])
    assert not np.shares_memory(data["queries"], data["keys"])


def test_pictures_differ_and_no_picture_is_empty():
    found = [
        load("attention-patches", picture=name, side=8)["queries"]
        for name in card("attention-patches").members
    ]
    assert all(np.isfinite(q).all() and q.std() > 0.9 for q in found)
    assert all(abs(a - b).max() > 0.1 for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("name", "option", "value", "needs"),
    [
        ("attention-bank", "text", TEXTS, "0 to 5"),
        ("attention-bank", "layer", -1, "0 to 5"),
        ("attention-bank", "tokens", 2, "3 to 512"),
        ("attention-bank", "beta", 0, "0.001 to 100"),
        ("attention-patches", "picture", "camera", "'astronaut'"),
        ("attention-patches", "side", 1000, "2 to 128"),
        ("attention-patches", "beta", "hot", "0.001 to 100"),
    ],
)
def test_options_out_of_range_say_what_they_may_be(name, option, value, needs):
    with pytest.raises(DataError, match=needs):
        load(name, **{option: value})


def test_a_text_that_is_too_short_is_refused(monkeypatch):
    monkeypatch.setattr(attention_bank, "_pieces", lambda: ["the"] * 10)
    with pytest.raises(DataError, match="expected to have 77 tokens, but has 12"):
        load("attention-bank", text=0, tokens=77)


def test_what_is_loaded_is_fresh():
    first = load("attention-bank", tokens=5)
    first["queries"][:] = 7
    assert abs(load("attention-bank", tokens=5)["queries"]).max() != 7
