"""Makes the data file that ships in this package once more, from what it was computed from.

    python -m workbench_datasets.build attention-words

needs the weights of all-MiniLM-L6-v2 and writes the same bytes each time.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np

from .attention_words import FILE, PARTS, SENTENCES, SHA256, tensor_name
from .minilm import tensors, vocabulary


def attention_words(folder: Path) -> Path:
    """Runs the encoder over every sentence and keeps queries, keys and values in `folder`.

    Raises DataError where the weights are not on this computer.
    """
    from safetensors.numpy import save

    from ._encoder import encode

    arrays, ids = dict(tensors()), {token: place for place, token in enumerate(vocabulary())}
    kept = {}
    for number, sentence in enumerate(SENTENCES):
        found = encode(arrays, [ids[word] for word in sentence.split()])
        for part in PARTS:
            # in C order: safetensors writes memory as it lies
            kept[tensor_name(number, part)] = np.ascontiguousarray(found[part], np.float16)
    path = folder / FILE
    path.write_bytes(save(kept))
    return path


BUILDERS = {"attention-words": (attention_words, SHA256)}


def main(arguments: list[str] | None = None) -> None:
    """The command: builds one data set and says whether its loader expects what came out."""
    parser = argparse.ArgumentParser(prog="python -m workbench_datasets.build", description=__doc__)
    parser.add_argument("name", choices=BUILDERS, help="the data set to build")
    parser.add_argument(
        "--into", type=Path, default=Path(__file__).parent, metavar="FOLDER", help="default: the package"
    )
    chosen = parser.parse_args(arguments)
    build, expected = BUILDERS[chosen.name]
    path = build(chosen.into)
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    then = "as expected" if sha256 == expected else f"but {chosen.name} expects {expected}: change it there"
    print(f"{path.name}: {len(content)} bytes, SHA-256 {sha256}, {then}")


if __name__ == "__main__":
    main()
