"""Text as the word pieces that all-MiniLM-L6-v2 reads."""

import re
import unicodedata
from collections.abc import Mapping


def word_pieces(text: str, ids: Mapping[str, int]) -> list[str]:
    """The pieces of a text, without the marks at its ends; `ids` has a number for each piece that exists.

    Letters become small and lose their accents, signs stand alone, and a word that is not there is cut into
    the longest pieces that are (`##` continues a word); [UNK] where there are none.
    """
    plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    return [piece for word in re.findall(r"[^\W_]+|[^\w\s]|_", plain) for piece in _cut(word, ids)]


def _cut(word: str, ids: Mapping[str, int]) -> list[str]:
    pieces: list[str] = []
    while word:
        start = "##" if pieces else ""
        end = next((end for end in range(len(word), 0, -1) if start + word[:end] in ids), 0)
        if not end:
            return ["[UNK]"]
        pieces.append(start + word[:end])
        word = word[end:]
    return pieces
