"""Every mixer of tokens under one name and one form: [batch, channels, height, width] -> the same.

mixer("window", 32, 8, window=4)            one mixer, for maps of 8 x 8
mixer_network("window", 8, width=32, depth=2)   the same small network around any of them
visible(mixer, 8, 8)                        who may see whom (see `token_visibility`)
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers.cascaded_group_attention import CascadedGroupAttention
from workbench.layers.landmark_attention import LandmarkAttention2d
from workbench.layers.mixer_net import MixerNet
from workbench.layers.mlp_mixing import MLPMixing
from workbench.layers.multi_axis_attention import GridAttention2d, MultiAxisAttention2d, WindowAttention2d
from workbench.layers.neighborhood_attention import NeighborhoodAttention2d
from workbench.layers.raft_mixing import RaftMixing
from workbench.layers.self_attention import SelfAttention2d
from workbench.layers.slot_mixing import SlotMixing, local_branch
from workbench.layers.sparse_low_rank_attention import SparseLowRankAttention2d
from workbench.layers.visual_attention import GatedAttention, KernelGate

Size = int | tuple[int, int]
Pair = tuple[int, int]


def mixer(kind: str, channels: int, size: Size, /, **options: Any) -> nn.Module:
    """A mixer by its kind, for maps of `size` (a side, or height and width).

    full                every token attends to all; heads=1
    window              to its square; window=4, heads=1
    grid                to every n-th token of rows and columns, grid x grid of them; grid=4, heads=1
    window-grid         both in turn; window=4, grid=4, heads=1
    neighborhood        to the nearest window x window; window=5, dilation=1, heads=1
    landmark            to all, through learnt landmarks, one for each ratio x ratio tokens; ratio=2, heads=1
    sparse-low-rank     to all, to size x size of them exactly; support="window", size=5, features, heads=1
    slots               to all, through slots that content fills; slots=4 along each side, scale, heads=1
    cascade             to all, head after head; heads=4; square maps only
    raft                perceptrons along columns, then along rows; raft=2, expansion=2
    mlp                 one perceptron over all tokens; expansion=2
    convolution         1 x 1, depthwise kernel x kernel, 1 x 1; kernel=5
    gated-convolution   times what two depthwise convolutions find around it; local=5, taps=7, dilation=3
    none                nothing: no token sees another

    Further options are those of the classes. raft, mlp and cascade work on maps of this size alone.
    """
    if kind not in MIXERS:
        raise WorkbenchError(f"no mixer is called {kind!r}; there are {', '.join(MIXERS)}")
    height, width = (size, size) if isinstance(size, int) else size
    if min(channels, height, width) < 1:
        raise WorkbenchError(
            f"a mixer needs at least 1 channel and 1 token, but {channels} and {height} x {width} came"
        )
    try:
        return MIXERS[kind](channels, (height, width), **options)
    except TypeError as error:
        raise WorkbenchError(f"mixer {kind!r} does not take {options}: {error}") from None


def mixer_network(
    kind: str,
    size: Size,
    /,
    *,
    width: int = 32,
    depth: int = 2,
    inputs: int = 4,
    outputs: int = 1,
    feed_forward: int = 2,
    **options: Any,
) -> MixerNet:
    """`MixerNet` around mixers of one kind; feed_forward is its `expansion`, `options` are the mixer's."""
    return MixerNet(
        lambda channels: mixer(kind, channels, size, **options),
        width=width,
        depth=depth,
        inputs=inputs,
        outputs=outputs,
        expansion=feed_forward,
    )


def _cascade(channels: int, size: Pair, /, heads: int = 4, **options: Any) -> nn.Module:
    if size[0] != size[1]:
        raise WorkbenchError(f"cascaded attention works on square maps, but {size[0]} x {size[1]} came")
    return CascadedGroupAttention(channels, heads, size[0], **options)


MIXERS: dict[str, Callable[..., nn.Module]] = {
    "full": lambda channels, size, /, **o: SelfAttention2d(channels, **o),
    "window": lambda channels, size, /, window=4, **o: WindowAttention2d(channels, window, **o),
    "grid": lambda channels, size, /, grid=4, **o: GridAttention2d(channels, grid, **o),
    "window-grid": lambda channels, size, /, window=4, grid=4, **o: MultiAxisAttention2d(
        channels, window, grid, **o
    ),
    "neighborhood": lambda channels, size, /, window=5, **o: NeighborhoodAttention2d(channels, window, **o),
    "landmark": lambda channels, size, /, ratio=2, **o: LandmarkAttention2d(channels, ratio=ratio, **o),
    "sparse-low-rank": lambda channels, size, /, **o: SparseLowRankAttention2d(channels, **o),
    "slots": lambda channels, size, /, slots=4, **o: SlotMixing(channels, slots, **o),
    "cascade": _cascade,
    "raft": lambda channels, size, /, **o: RaftMixing(channels, size, **o),
    "mlp": lambda channels, size, /, **o: MLPMixing(size, **o),
    "convolution": lambda channels, size, /, **o: local_branch(channels, **o),
    "gated-convolution": lambda channels, size, /, **o: GatedAttention(channels, KernelGate(channels, **o)),
    "none": lambda channels, size, /: nn.Identity(),
}
