"""Many pixels talk through a few slots: gathered by content, mixed by attention, dealt out again by content.

    L = s cos(slot, x)                     [slots, pixels]
    gathered = softmax over pixels (L) x   a slot is a weighted mean of all pixels
    mixed = attention among the slots      the same work for every size of the map
    dealt = softmax over slots (Lᵀ) mixed  a pixel takes a weighted mean of all slots

Lei Zhu et al., Revisiting the Integration of Convolution and Attention for Vision Backbone, 2024,
https://arxiv.org/abs/2411.14429.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.layers.depthwise_conv import DepthwiseConv2d
from workbench.layers.self_attention import SelfAttention2d

Start = Literal["pooled", "learned"]


def slot_logits(slots: Tensor, x: Tensor, scale: Tensor | float) -> Tensor:
    """scale * cosine of every slot with every pixel.

    [..., slots, d], [..., pixels, d] -> [..., slots, pixels]. A vector of zeros has cosine 0 with all others.
    """
    return F.normalize(slots, dim=-1) @ (scale * F.normalize(x, dim=-1)).mT


def gather(logits: Tensor, x: Tensor) -> Tensor:
    """What each slot collects: [..., slots, pixels], [..., pixels, d] -> [..., slots, d].

    Over the pixels the weights of one slot sum to 1.
    """
    return logits.softmax(-1) @ x


def deal(logits: Tensor, slots: Tensor) -> Tensor:
    """What each pixel gets back: [..., slots, pixels], [..., slots, d] -> [..., pixels, d].

    Over the slots the weights of one pixel sum to 1.
    """
    return logits.softmax(-2).mT @ slots


class SlotMixing(nn.Module):
    """Attention among slots * slots slots beside a convolution: [batch, channels, height, width] -> the same.

    start: "pooled": the slots begin as the means of slots * slots rectangles of the map; "learned": as
        parameters, the same for every image.
    scale: what logits are multiplied by at first, 1 / root of channels unless said; it is learnt where
        `learn_scale`. Cosines lie between -1 and 1, so the shares of two slots in one pixel can differ by a
        factor of e^(2 scale) and no more.
    attend: with False the slots do not see each other.
    kernel: side of the depthwise convolution in the branch beside, between two of 1 x 1; 0 for no branch.

    The work of gathering and dealing grows with height * width, that of attention among the slots does not.
    """

    def __init__(
        self,
        channels: int,
        slots: int = 8,
        heads: int = 1,
        *,
        start: Start = "pooled",
        scale: float | None = None,
        learn_scale: bool = True,
        attend: bool = True,
        kernel: int = 5,
    ) -> None:
        super().__init__()
        if slots < 1:
            raise WorkbenchError(f"slots must be 1 or more along each side, but {slots} came")
        if kernel < 0 or (kernel and kernel % 2 == 0):
            raise WorkbenchError(f"kernel must be odd, or 0 for no convolution, but {kernel} came")
        if start not in get_args(Start):
            raise WorkbenchError(f"start must be 'pooled' or 'learned', but {start!r} came")
        self.slots, self.start = slots, start
        first = torch.tensor(float(channels**-0.5 if scale is None else scale))
        if learn_scale:
            self.scale = nn.Parameter(first)
        else:
            self.register_buffer("scale", first)
        if start == "learned":
            self.first_slots = nn.Parameter(0.02 * torch.randn(slots**2, channels))
        self.relate = SelfAttention2d(channels, heads) if attend else nn.Identity()
        self.local = local_branch(channels, kernel) if kernel else None

    def forward(self, x: Tensor, seed_map: Tensor | None = None) -> Tensor:
        """seed_map: what pooled slots are the means of, [batch, channels, any height, any width]; x unless
        given. A block gives its own input here, before the norm."""
        logits, pixels = self.logits(x, seed_map), _lines(x)
        slots = self.related(gather(logits, pixels))
        mixed = deal(logits, slots).mT.reshape(x.shape)
        return mixed if self.local is None else mixed + self.local(x)

    def logits(self, x: Tensor, seed_map: Tensor | None = None) -> Tensor:
        """How alike slots and pixels are before both softmaxes: [batch, slots, pixels]."""
        if x.ndim != 4:
            raise WorkbenchError(f"expected [batch, channels, height, width], but {list(x.shape)} came")
        if self.start == "learned":
            return slot_logits(self.first_slots, _lines(x), self.scale)
        means = F.adaptive_avg_pool2d(x if seed_map is None else seed_map, self.slots)
        return slot_logits(_lines(means), _lines(x), self.scale)

    def related(self, slots: Tensor) -> Tensor:
        """The slots after attention among them: [batch, slots, channels] -> the same."""
        found: Tensor = self.relate(slots.mT[..., None])[..., 0].mT
        return found

    def attention_rows(self, x: Tensor, queries: list[int]) -> Tensor:
        """Rows of the matrix that stands between values and outputs: [batch, heads, len(queries), pixels].

        Dealing, attention and gathering are three matrices in a row, and their product is one attention
        matrix whose rank cannot exceed the number of slots. The convolution beside is not in it.
        """
        logits = self.logits(x)
        gathers, deals = logits.softmax(-1)[:, None], logits.softmax(-2).mT[:, None, queries]
        if isinstance(self.relate, SelfAttention2d):
            asked = self.relate.ask(gather(logits, _lines(x)).mT[..., None])
            q, k, _ = asked.unflatten(1, (3, self.relate.heads, -1)).flatten(4).unbind(1)
            deals = deals @ (q.mT @ k * q.shape[2] ** -0.5).softmax(-1)
        return deals @ gathers

    def visible(self, height: int, width: int) -> Tensor:
        """Which pixels an output depends on, bool [pixels, pixels]: all of them, through every slot."""
        return torch.ones(height * width, height * width, dtype=torch.bool)

    def extra_repr(self) -> str:
        return f"slots={self.slots} x {self.slots}, start={self.start!r}"


def local_branch(channels: int, kernel: int = 5) -> nn.Sequential:
    """1 x 1, depthwise kernel x kernel, 1 x 1: [batch, channels, height, width] -> the same."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1), DepthwiseConv2d(channels, kernel), nn.Conv2d(channels, channels, 1)
    )


def _lines(x: Tensor) -> Tensor:
    """[batch, channels, height, width] -> [batch, pixels, channels]."""
    return x.flatten(2).mT
