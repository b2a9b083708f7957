"""Attention among a few tokens at a time: the tokens of a square window, or those of a wide grid.

Tu et al., MaxViT, 2022, https://arxiv.org/abs/2204.01697. Both cut a map of tokens into parts that know
nothing of each other, and attend inside of each part. They differ in which tokens make a part:

    window   side x side tokens that lie together            one part for each window of the map
    grid     side x side tokens, height / side rows apart    one part for each place inside of a grid cell

`WindowAttention2d` and `GridAttention2d` are the same attention around another cut, and
`MultiAxisAttention2d` is one after the other.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.layers.layer_norm import LayerNorm2d
from workbench.layers.windows import from_windows, to_windows


def to_grid(x: Tensor, side: int) -> Tensor:
    """[batch, channels, height, width] -> [batch * parts, channels, side, side].

    A part has one token of each of the side x side cells that a coarse grid cuts the map into; there are
    (height / side) * (width / side) parts, ordered by the place in the cell, row by row.

    >>> to_grid(torch.arange(16.0).view(1, 1, 4, 4), 2)[1, 0]  # the second token of each 2 x 2 cell
    tensor([[ 1.,  3.],
            [ 9., 11.]])
    """
    check_parts("grid", side, x.shape[2], x.shape[3])
    cut = x.unflatten(3, (side, -1)).unflatten(2, (side, -1))  # [batch, channels, side, rows, side, columns]
    return cut.permute(0, 3, 5, 1, 2, 4).flatten(0, 2)


def from_grid(parts: Tensor, size: tuple[int, int]) -> Tensor:
    """The inverse of `to_grid`, `size` being the (height, width) of the map."""
    side = parts.shape[-1]
    cut = parts.unflatten(0, (-1, size[0] // side, size[1] // side))
    return cut.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)


def check_parts(what: str, side: int, height: int, width: int) -> None:
    """Raises WorkbenchError, in one sentence, where a map cannot be cut into parts of this side."""
    if side < 1 or height % side or width % side:
        raise WorkbenchError(
            f"a {what} of side {side} needs a map whose height and width it divides, "
            f"but {height} x {width} came"
        )


def offsets(side: int) -> Tensor:
    """For each pair of tokens of a square the number of its offset (dy, dx): int64 [side**2, side**2].

    Row: the query, column: the key; numbers run from 0 to (2 * side - 1) ** 2 - 1.
    """
    y, x = torch.arange(side * side) // side, torch.arange(side * side) % side
    apart_y, apart_x = y - y[:, None], x - x[:, None]
    return (apart_y + side - 1) * (2 * side - 1) + apart_x + side - 1


class RelativeAttention2d(nn.Module):
    """Every token of a small square asks every other one, and minds where the other one lies.

    [batch, channels, side, side] -> the same. In each head, softmax(queries @ keys.T / root of dim + bias)
    @ values; bias holds one learned number for each head and each offset (dy, dx) of key and query. 1 x 1
    projections before and after; `heads` must divide the channels.
    """

    numbers: Tensor

    def __init__(self, channels: int, side: int, heads: int = 1) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise WorkbenchError(
                f"heads must divide the channels, but {heads} heads and {channels} channels came"
            )
        if side < 1:
            raise WorkbenchError(f"a part has a side of at least 1 token, but {side} came")
        self.side, self.heads = side, heads
        self.ask = nn.Conv2d(channels, 3 * channels, 1)
        self.answer = nn.Conv2d(channels, channels, 1)
        self.bias = nn.Parameter(0.02 * torch.randn(heads, (2 * side - 1) ** 2))
        self.register_buffer("numbers", offsets(side), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = self.asked(x)
        mixed = values @ self.weights(queries, keys).mT  # [batch, heads, dim, tokens]
        return self.answer(mixed.flatten(1, 2).unflatten(2, (self.side, self.side)))

    def asked(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [batch, heads, dim, tokens]."""
        queries, keys, values = self.ask(x).unflatten(1, (3, self.heads, -1)).flatten(4).unbind(1)
        return queries, keys, values

    def weights(self, queries: Tensor, keys: Tensor) -> Tensor:
        """[batch, heads, queries, keys], each row sums to 1."""
        scores = (queries * queries.shape[2] ** -0.5).mT @ keys
        return (scores + self.bias[:, self.numbers]).softmax(-1)


class PartAttention2d(nn.Module):
    """Attention inside the parts of a map; `WindowAttention2d` and `GridAttention2d` say which parts."""

    what: ClassVar[str]
    cut: ClassVar[
        "staticmethod[[Tensor, int], Tensor]"
    ]  # of a map, into [batch * parts, channels, side, side]
    join: ClassVar["staticmethod[[Tensor, tuple[int, int]], Tensor]"]

    def __init__(self, channels: int, side: int, heads: int = 1) -> None:
        super().__init__()
        self.side, self.inside = side, RelativeAttention2d(channels, side, heads)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self.inside(self.parts(x)), (x.shape[2], x.shape[3]))

    def parts(self, x: Tensor) -> Tensor:
        """[batch, channels, height, width] -> [batch * parts, channels, side, side]."""
        check_parts(self.what, self.side, x.shape[2], x.shape[3])
        return self.cut(x, self.side)

    def places(self, height: int, width: int) -> Tensor:
        """Which tokens make each part, as numbers row by row: int64 [parts, side**2]."""
        return self.parts(torch.arange(height * width).view(1, 1, height, width)).flatten(1)

    def visible(self, height: int, width: int) -> Tensor:
        """Who may see whom: bool [tokens, tokens], row: a token, column: one that it sees."""
        places = self.places(height, width)
        seen = torch.zeros(height * width, height * width, dtype=torch.bool)
        seen[places[:, :, None], places[:, None, :]] = True
        return seen

    def attention_rows(self, x: Tensor, queries: Sequence[int]) -> Tensor:
        """Rows of the whole map's attention: [batch, heads, len(queries), tokens], zero outside of a part."""
        places = self.places(x.shape[2], x.shape[3])
        asked = self.inside.asked(self.parts(x))[:2]
        weights = self.inside.weights(*asked).unflatten(0, (len(x), -1))  # [batch, parts, heads, n, n]
        position = places.flatten().argsort()[list(queries)]  # of each query among all parts, one by one
        part, within = position // places.shape[1], position % places.shape[1]
        rows = weights[:, part, :, within]  # [queries, batch, heads, n]
        found = rows.new_zeros(*rows.shape[:3], x.shape[2] * x.shape[3])
        where = places[part][:, None, None].expand_as(rows)
        return found.scatter(3, where, rows).permute(1, 2, 0, 3)

    def extra_repr(self) -> str:
        return f"side={self.side}"


class WindowAttention2d(PartAttention2d):
    """Every token attends to the `window` x `window` tokens of its own window: near ones, all of them.

    [batch, channels, height, width] -> the same; `window` must divide height and width.
    """

    what = "window"
    cut, join = staticmethod(to_windows), staticmethod(from_windows)

    def __init__(self, channels: int, window: int = 7, heads: int = 1) -> None:
        super().__init__(channels, window, heads)


class GridAttention2d(PartAttention2d):
    """Every token attends to `grid` x `grid` tokens that lie spread over the whole map, evenly.

    [batch, channels, height, width] -> the same; `grid` must divide height and width. Neighbours on the grid
    are height / grid rows or width / grid columns apart.
    """

    what = "grid"
    cut, join = staticmethod(to_grid), staticmethod(from_grid)

    def __init__(self, channels: int, grid: int = 7, heads: int = 1) -> None:
        super().__init__(channels, grid, heads)


class MultiAxisAttention2d(nn.Module):
    """First near, then far: window(x) + grid(norm(x + window(x))), a hop in the window and one on the grid.

    [batch, channels, height, width] -> the same; `window` and `grid` must divide height and width. Around it
    belongs a shortcut. On a map where each grid reaches into every window, all tokens meet.
    """

    def __init__(self, channels: int, window: int = 7, grid: int = 7, heads: int = 1) -> None:
        super().__init__()
        self.window = WindowAttention2d(channels, window, heads)
        self.norm = LayerNorm2d(channels)
        self.grid = GridAttention2d(channels, grid, heads)

    def forward(self, x: Tensor) -> Tensor:
        near: Tensor = self.window(x)
        return near + self.grid(self.norm(x + near))

    def visible(self, height: int, width: int) -> Tensor:
        """Who may see whom, in the window, on the grid, or in two hops: bool [tokens, tokens]."""
        near, far = self.window.visible(height, width), self.grid.visible(height, width)
        return far.float() @ near.float() > 0
