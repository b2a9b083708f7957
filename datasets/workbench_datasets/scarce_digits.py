"""Few digits with some wrong labels to learn from, many clean ones to be tested on."""

from typing import Any

from numpy.typing import NDArray

from ._card import Card, DataSet
from ._made import SEED_OPTION, code, generator, number, whole
from .labelled import DATA_SETS as LABELLED
from .labelled import digits

TEST = 1000  # the last rows of the data set `digits`, whatever the seed
POOL = 797  # the rows before them


def scarce_digits(
    images: int = 150, wrong: float = 0.2, part: str = "train", seed: int = 0
) -> dict[str, NDArray[Any]]:
    """`images`: float32 [n, 8, 8] in [0, 1]; `labels`: int64 [n]; `clean`: int64 [n], the true digits.

    Training: `images` rows drawn without repetition from the first 797 of `digits`; a share `wrong` of them,
    rounded, gets one of the nine other labels. Test: the last 1000 rows, all labels right, whatever
    `images`, `wrong` and `seed` are.
    """
    count, share = whole("images", images, 1, POOL), number("wrong", wrong, 0, 1)
    draws = generator("scarce-digits", part, seed)
    everything = digits()
    if part == "test":
        pictures, clean = everything["images"][POOL:].copy(), everything["labels"][POOL:].copy()
        return {"images": pictures, "labels": clean.copy(), "clean": clean}
    rows = draws.permutation(POOL)[:count]
    pictures, clean = everything["images"][rows], everything["labels"][rows]
    # The rows are already in random order, so the first ones are a random share.
    flipped = round(share * count)
    labels = clean.copy()
    labels[:flipped] = (labels[:flipped] + draws.integers(1, 10, size=flipped)) % 10
    order = draws.permutation(count)
    return {"images": pictures[order], "labels": labels[order], "clean": clean[order]}


DATA_SETS = [
    DataSet(
        Card(
            name="scarce-digits",
            title="150 digits with a fifth of the labels wrong, and 1000 clean ones to test on",
            origin="the data set `digits`: training images are drawn from its first 797 rows, test images "
            "are its last 1000, written in part by other people; wrong labels are drawn evenly from the "
            "nine others",
            licence=LABELLED[0].card.licence,
            shapes={"images": "float32 [150, 8, 8]", "labels": "int64 [150]", "clean": "int64 [150]"},
            units="digit, height, width; 0 paper to 1 ink; labels as given, clean as they should be",
            good_for="where regularisation pays: overfitting, label noise, training against architecture",
            sources=lambda: [*LABELLED[0].card.sources(), *code("scarce_digits", "labelled")],
            options={
                "images": f"how many training images, at most {POOL}; the test part has always {TEST}",
                "wrong": "share of wrong labels in the training part, 0 to 1",
                "part": "'train' or 'test': they share no row of `digits`",
                "seed": SEED_OPTION + "; the test part is the same for all",
            },
        ),
        scarce_digits,
    )
]
