"""Tokens mixed along columns, then along rows, with a raft of channels tied together.

Tatsunami and Taki, RaftMLP, 2021, https://arxiv.org/abs/2108.04384.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.layers.drop_path import DropPath
from workbench.layers.layer_norm import LayerNorm2d

Axis = Literal["rows", "columns"]


def to_rafts(x: Tensor, raft: int, axis: Axis) -> Tensor:
    """[batch, channels, height, width] -> [batch, channels / raft, lines, raft * length].

    The channels fall into `raft` blocks of channels / raft each; a raft is made of one channel of each block,
    those with the same place in their blocks. axis: along what a line runs; a column is `height` long, and
    there are `width` of them. Inside of a line, one block's numbers follow the other's.

    >>> to_rafts(torch.arange(8.0).view(1, 4, 2, 1), 2, "columns")[0, :, 0]  # channels 0 and 2, 1 and 3
    tensor([[0., 1., 4., 5.],
            [2., 3., 6., 7.]])
    """
    blocks = x.unflatten(1, (raft, -1))  # [batch, raft, channels / raft, height, width]
    order = (0, 2, 4, 1, 3) if axis == "columns" else (0, 2, 3, 1, 4)
    return blocks.permute(*order).flatten(3)


def from_rafts(lines: Tensor, raft: int, axis: Axis) -> Tensor:
    """The inverse of `to_rafts`."""
    blocks = lines.unflatten(3, (raft, -1))  # [batch, channels / raft, lines, raft, length]
    order = (0, 3, 1, 4, 2) if axis == "columns" else (0, 3, 1, 2, 4)
    return blocks.permute(*order).flatten(1, 2)


class RaftAxis(nn.Module):
    """x + perceptron(norm x) along one axis: [batch, channels, height, width] -> the same.

    The norm is of each token's channels, all of them. The perceptron maps the raft * length numbers of a line
    to `expansion` times as many, GELU, and back; all lines and all rafts share it.
    """

    def __init__(
        self, channels: int, length: int, axis: Axis, raft: int, expansion: float, drop: float = 0.0
    ) -> None:
        super().__init__()
        self.axis, self.raft, self.length = axis, raft, length
        wide, hidden = raft * length, max(1, round(expansion * raft * length))
        self.norm = LayerNorm2d(channels)
        self.mix = nn.Sequential(nn.Linear(wide, hidden), nn.GELU(), nn.Linear(hidden, wide))
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.drop(self.mix(to_rafts(self.norm(x), self.raft, self.axis)))
        return x + from_rafts(mixed, self.raft, self.axis)


class RaftMixing(nn.Module):
    """Columns first, then rows, each with norm and shortcut of its own: [batch, channels, *size] -> the same.

    size: one side or (height, width); a map of any other size is refused, since every place has weights of
    its own. raft: how many channels are tied together; it must divide the channels, and 1 ties none. drop:
    share of the samples whose branches are dropped in training. There are about 2 * expansion * raft**2 *
    (height**2 + width**2) weights, however many channels there are.
    """

    def __init__(
        self,
        channels: int,
        size: int | tuple[int, int],
        *,
        raft: int = 2,
        expansion: float = 2,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else size
        if min(self.size) < 1 or expansion <= 0:
            raise WorkbenchError(
                f"sides must be at least 1 and expansion positive, but {self.size} and {expansion} came"
            )
        if raft < 1 or channels % raft:
            raise WorkbenchError(
                f"a raft must divide the channels, but a raft of {raft} and {channels} channels came"
            )
        self.vertical = RaftAxis(channels, self.size[0], "columns", raft, expansion, drop)
        self.horizontal = RaftAxis(channels, self.size[1], "rows", raft, expansion, drop)

    def forward(self, x: Tensor) -> Tensor:
        self._check(x.shape[2], x.shape[3])
        mixed: Tensor = self.horizontal(self.vertical(x))
        return mixed

    def visible(self, height: int, width: int) -> Tensor:
        """A token sees its row, and through it every column: bool [tokens, tokens], all true."""
        self._check(height, width)
        return torch.ones(height * width, height * width, dtype=torch.bool)

    def _check(self, height: int, width: int) -> None:
        if (height, width) != self.size:
            raise WorkbenchError(
                f"this mixing was made for maps of {self.size[0]} x {self.size[1]} tokens, "
                f"but {height} x {width} came"
            )
