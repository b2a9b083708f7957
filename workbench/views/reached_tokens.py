"""One token on a photograph, and which tokens it has heard of, hop after hop."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from plotly.colors import hex_to_rgb

from workbench.errors import WorkbenchError
from workbench.views.painted import SIDE, Bytes, Painting
from workbench.views.pictures import checked_image
from workbench.views.theme import BLUE, YELLOW

CLEAR, OUTSIDE, NEW, TOKEN = range(4)  # marks: what was reached before has the colours of the photograph


def painted_reach(image: ArrayLike, first: ArrayLike, position: Sequence[int], hops: int) -> Painting:
    """What a token can depend on after so many hops.

    Tokens reached by the last hop are yellow, those reached before are clear, all others dark; the token
    itself is blue.

    image: [height, width] or [height, width, 3] in [0, 1], whole patches of tokens. first: [rows, columns],
    the hop by which each token is reached first, 0 for the token itself, negative for never. position: its
    (row, column).
    """
    photograph, found = checked_image(image), np.asarray(first)
    if found.ndim != 2 or any(
        side % tokens for side, tokens in zip(photograph.shape, found.shape, strict=False)
    ):
        raise WorkbenchError(
            f"the picture must be whole patches, one for each token, but {photograph.shape[0]} × "
            f"{photograph.shape[1]} pixels and tokens {list(found.shape)} came"
        )
    at = (int(position[0]), int(position[1]))
    if hops < 0 or found[at] != 0:
        raise WorkbenchError(f"expected 0 hops or more and first[{at}] = 0, but {hops} and {found[at]} came")
    reached = (found >= 0) & (found <= hops)
    marks = np.where(reached, CLEAR, OUTSIDE).astype(np.uint8)
    if hops:
        marks[found == hops] = NEW
    marks[at] = TOKEN
    patch = [side // tokens for side, tokens in zip(photograph.shape, found.shape, strict=False)]
    fine = np.kron(marks, np.ones(patch, np.uint8))
    count, share = int(reached.sum()), 100 * reached.mean()
    word = "hop" if hops == 1 else "hops"
    caption = f"After {hops} {word}: {count} of {found.size} tokens, {share:.3g} %."
    alt = (
        f"Photograph cut into {found.shape[0]} by {found.shape[1]} tokens. After {hops} {word} the token in "
        f"row {at[0]}, column {at[1]} has heard of {count} tokens, {share:.3g} % of all, "
        f"{int((found == hops).sum()) if hops else 0} of them new."
    )
    scale = max(1, round(SIDE / max(fine.shape)))
    return Painting(np.rint(255 * photograph).astype(np.uint8), fine, _colours(), alt, caption, scale)


@cache
def _colours() -> Bytes:
    """One row for each mark."""
    inks = ((YELLOW, 130), (BLUE, 255))
    marks = [(0, 0, 0, 0), (0, 0, 0, 190), *((*hex_to_rgb(colour), opacity) for colour, opacity in inks)]
    table: NDArray[np.uint8] = np.rint(marks).astype(np.uint8)
    return table
