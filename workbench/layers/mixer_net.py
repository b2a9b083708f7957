"""A small network around any mixer of tokens: the same embedding, feed-forward and head, so that only the
mixer differs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.layers.layer_norm import LayerNorm2d


class MixerLayer(nn.Module):
    """x + mixer(norm x), then x + feed-forward(norm x): [batch, width, height, width] -> the same.

    Norms are of each token's channels, and the feed-forward is 1 x 1 to `expansion` times the channels, GELU,
    1 x 1 back: tokens meet in the mixer alone.
    """

    def __init__(self, mixer: nn.Module, width: int, expansion: int = 2) -> None:
        super().__init__()
        self.norm, self.mixer, self.second_norm = LayerNorm2d(width), mixer, LayerNorm2d(width)
        self.feed_forward = nn.Sequential(
            nn.Conv2d(width, expansion * width, 1), nn.GELU(), nn.Conv2d(expansion * width, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mixer(self.norm(x))
        return x + self.feed_forward(self.second_norm(x))


class MixerNet(nn.Module):
    """1 x 1 embedding, `depth` layers of mixer and feed-forward, norm, 1 x 1 head.

    [batch, inputs, height, width] -> [batch, outputs, height, width], one answer for each token.

    mixer: makes a module that keeps [batch, width, height, width], from `width`.

    >>> net = MixerNet(lambda width: nn.Identity(), width=8, depth=2, inputs=4, outputs=1)
    >>> net(torch.zeros(2, 4, 5, 7)).shape
    torch.Size([2, 1, 5, 7])
    """

    def __init__(
        self,
        mixer: Callable[[int], nn.Module],
        *,
        width: int,
        depth: int,
        inputs: int,
        outputs: int,
        expansion: int = 2,
    ) -> None:
        super().__init__()
        if min(width, inputs, outputs, expansion) < 1 or depth < 0:
            raise WorkbenchError(
                "width, inputs, outputs and expansion must be at least 1 and depth at least 0, "
                f"but {width}, {inputs}, {outputs}, {expansion} and {depth} came"
            )
        self.embedding = nn.Conv2d(inputs, width, 1)
        self.layers = nn.Sequential(*(MixerLayer(mixer(width), width, expansion) for _ in range(depth)))
        self.norm = LayerNorm2d(width)
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.layers(self.embedding(x))))


def reached(visible: Tensor, hops: int) -> Tensor:
    """What a token may depend on after so many layers that each keep their input: bool [tokens, tokens].

    visible: bool [tokens, tokens], row: a token, column: whether it may see that one in a single layer.

    >>> line = torch.eye(5).roll(1, 1).bool()  # each token sees the next one
    >>> reached(line, 2)[0].tolist()
    [True, True, True, False, False]
    """
    if hops < 0 or visible.ndim != 2 or visible.shape[0] != visible.shape[1]:
        raise WorkbenchError(
            "reached needs a square visible set and 0 hops or more, "
            f"but {list(visible.shape)} and {hops} came"
        )
    step = (visible.bool() | torch.eye(len(visible), dtype=torch.bool)).float()
    found = torch.eye(len(visible))
    for _ in range(hops):
        found = (found @ step).clamp_max(1)
    return found.bool()
