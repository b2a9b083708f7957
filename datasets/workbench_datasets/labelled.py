"""Small labelled pictures for learning: digits and faces."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._files import shipped


def _digits_file() -> Path:
    return shipped("sklearn", "datasets", "data", "digits.csv.gz")


def _faces_file() -> Path:
    return shipped("skimage", "data", "lfw_subset.npy")


def digits() -> dict[str, NDArray[Any]]:
    """`images`: float32 [1797, 8, 8] in [0, 1]; `labels`: int64 [1797], the digit."""
    table = np.loadtxt(_digits_file(), delimiter=",", dtype=np.float32)
    return {
        "images": table[:, :-1].reshape(-1, 8, 8) / np.float32(16),
        "labels": table[:, -1].astype(np.int64),
    }


def faces() -> dict[str, NDArray[Any]]:
    """`images`: float32 [200, 25, 25] in [0, 1]; `labels`: int64 [200], 1 for a face, 0 for background."""
    images = np.load(_faces_file()).astype(np.float32)
    labels = np.zeros(len(images), dtype=np.int64)
    labels[:100] = 1  # the first hundred are faces
    return {"images": images, "labels": labels}


DATA_SETS = [
    DataSet(
        Card(
            name="digits",
            title="Handwritten digits, 8 x 8",
            origin="E. Alpaydin and C. Kaynak, 1998: test part of Optical Recognition of Handwritten Digits, "
            "UCI repository; counts of set pixels in 4 x 4 blocks, written by 13 people",
            licence="unknown, shipped with scikit-learn",
            shapes={"images": "float32 [1797, 8, 8]", "labels": "int64 [1797]"},
            units="digit, height, width; 0 paper to 1 ink (the stored 0 to 16, divided by 16); labels 0 to 9",
            good_for="classifiers that train in seconds, kernel methods, embeddings",
            sources=lambda: [_digits_file()],
        ),
        digits,
    ),
    DataSet(
        Card(
            name="faces",
            title="Faces and background patches, 25 x 25",
            origin="drawn from Labeled Faces in the Wild (Huang and others, 2012): 100 faces, then 100 "
            "patches of the same pictures' background, of which a few show part of a face",
            licence="unknown, shipped with scikit-image",
            shapes={"images": "float32 [200, 25, 25]", "labels": "int64 [200]"},
            units="patch, height, width; 0 black to 1 white; label 1 is a face, 0 is background",
            good_for="detection with few examples, eigenfaces, Haar features",
            sources=lambda: [_faces_file()],
        ),
        faces,
    ),
]
