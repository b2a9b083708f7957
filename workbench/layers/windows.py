"""A map cut into square windows that know nothing of each other, and put together again."""

import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError


def to_windows(x: Tensor, side: int) -> Tensor:
    """[batch, channels, height, width] -> [batch * windows, channels, side, side], row by row.

    Where `side` does not divide height or width, zeros are added below and on the right.

    >>> import torch
    >>> to_windows(torch.zeros(2, 3, 10, 7), 7).shape
    torch.Size([4, 3, 7, 7])
    """
    if x.dim() != 4 or side < 1:
        raise WorkbenchError(
            "windows need a map [batch, channels, height, width] and a side of at least 1, "
            f"but {list(x.shape)} and {side} came"
        )
    below, right = -x.shape[2] % side, -x.shape[3] % side
    if below or right:
        x = F.pad(x, (0, right, 0, below))
    cut = x.unflatten(3, (-1, side)).unflatten(2, (-1, side))  # [batch, channels, rows, side, columns, side]
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def from_windows(windows: Tensor, size: tuple[int, int]) -> Tensor:
    """The inverse of `to_windows`, `size` being the (height, width) of the map; what was added goes."""
    side, (height, width) = windows.shape[-1], size
    rows, columns = -(-height // side), -(-width // side)
    cut = windows.unflatten(0, (-1, rows, columns)).permute(0, 3, 1, 4, 2, 5)
    return cut.flatten(4, 5).flatten(2, 3)[:, :, :height, :width]


class Windowed(nn.Module):
    """Runs a module that keeps shapes in every window of `side` by `side` on its own.

    [batch, channels, height, width] -> the same. A map of just that size goes in as it is. The zeros that
    fill up the last windows take part like any other pixel.
    """

    def __init__(self, inside: nn.Module, side: int) -> None:
        super().__init__()
        self.inside, self.side = inside, side

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[2], x.shape[3])
        if size == (self.side, self.side):
            return self.inside(x)
        return from_windows(self.inside(to_windows(x, self.side)), size)
