"""all-MiniLM-L6-v2 as a torch module: six layers of twelve heads, with its trained weights."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from workbench_datasets import load

from workbench.errors import WorkbenchError

LAYERS, HEADS, WIDTH, MOST_TOKENS = 6, 12, 384, 512
INSIDE = {
    "self_attn.out_proj": "attention.output.dense",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm1": "attention.output.LayerNorm",
    "norm2": "output.LayerNorm",
}


class SentenceEncoder(nn.Module):
    """Token ids [batch, tokens] -> one vector for each token [batch, tokens, 384].

    arrays: the trained arrays by their published names, as `load("minilm")` gives them; default those. Its
    layers are torch's own, in evaluation mode, so on a CPU each runs as one fused operator that never shows
    its attention. Sentences of one batch have one length; up to 512 tokens.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]] | None = None) -> None:
        super().__init__()
        arrays = load("minilm") if arrays is None else arrays

        def array(name: str) -> Tensor:
            return torch.from_numpy(np.array(arrays[name]))

        self.words = nn.Embedding.from_pretrained(array("embeddings.word_embeddings.weight"))
        self.places = nn.Embedding.from_pretrained(array("embeddings.position_embeddings.weight"))
        self.register_buffer("kind", array("embeddings.token_type_embeddings.weight")[0])
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.norm.load_state_dict({end: array(f"embeddings.LayerNorm.{end}") for end in ("weight", "bias")})
        self.layers = nn.ModuleList()
        for number in range(LAYERS):
            layer = nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, activation="gelu", batch_first=True, layer_norm_eps=1e-12
            )
            at, state = f"encoder.layer.{number}", {}
            for end in ("weight", "bias"):
                parts = [array(f"{at}.attention.self.{part}.{end}") for part in ("query", "key", "value")]
                state[f"self_attn.in_proj_{end}"] = torch.cat(parts)
                state |= {f"{own}.{end}": array(f"{at}.{name}.{end}") for own, name in INSIDE.items()}
            layer.load_state_dict(state)
            self.layers.append(layer)
        self.eval().requires_grad_(False)

    def forward(self, ids: Tensor) -> Tensor:
        if ids.dim() != 2 or ids.shape[1] > MOST_TOKENS:
            raise WorkbenchError(
                f"expected token ids [batch, up to {MOST_TOKENS} tokens], but shape {tuple(ids.shape)} came"
            )
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return x

    def embed(self, ids: Tensor) -> Tensor:
        """What goes into the first layer, [batch, tokens, 384]: word, place and kind of sentence."""
        return self.norm(self.words(ids) + self.places.weight[: ids.shape[1]] + self.kind)


def word_pieces(
    sentence: str, vocabulary: Sequence[str] | None = None
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The pieces that the encoder reads, [CLS] first and [SEP] last, and their ids.

    Letters become small and lose their accents, signs stand alone, and a word that is not in the vocabulary
    is cut into the longest pieces that are (`##` continues a word); [UNK] where there are none.

    vocabulary: the pieces in the order of their ids; default the encoder's own.

    >>> word_pieces("The unseen cat.", ("[CLS]", "[SEP]", "[UNK]", "the", "un", "##seen", "."))
    (('[CLS]', 'the', 'un', '##seen', '[UNK]', '.', '[SEP]'), (0, 3, 4, 5, 2, 6, 1))
    """
    known = _ids() if vocabulary is None else {piece: i for i, piece in enumerate(vocabulary)}
    plain = "".join(
        c for c in unicodedata.normalize("NFD", sentence.lower()) if unicodedata.category(c) != "Mn"
    )
    pieces = ["[CLS]"]
    for word in re.findall(r"[^\W_]+|[^\w\s]|_", plain):
        pieces += _cut(word, known)
    pieces.append("[SEP]")
    return tuple(pieces), tuple(known[piece] for piece in pieces)


def _cut(word: str, known: Mapping[str, int]) -> list[str]:
    pieces: list[str] = []
    rest = word
    while rest:
        start = "##" if pieces else ""
        end = next((end for end in range(len(rest), 0, -1) if start + rest[:end] in known), 0)
        if not end:
            return ["[UNK]"]
        pieces.append(start + rest[:end])
        rest = rest[end:]
    return pieces


@cache
def _ids() -> dict[str, int]:
    return {piece: i for i, piece in enumerate(load("minilm-vocabulary"))}
