"""Attention without multiplications between tokens: queries and keys of zeros and ones.

Linear attention joins keys and values first, and only then asks with the queries:

    y = v / 2 + q (k^T v) / pi,    q and k of length 1,    y scaled to length 1

1 - angle / pi says how near a query is to a key. It begins as 1 / 2 + (q . k) / pi, with q . k = cos(angle);
its second term, summed over all keys, is q (k^T v) / pi, at a cost that grows with the number of tokens and
not with its square. The first term would be half the sum of all values; the source takes half of the
token's own value. If q and k are zeros and ones, k^T v is a sum of those rows of v whose key has the bit:
additions alone.
"""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.layers.kernel_hashing import KernelHash

Form = Literal["softmax", "linear", "binary", "hashed"]


def binary(x: Tensor) -> Tensor:
    """1 where x lies above the mean of the whole tensor, else 0. Gradients pass where 0 <= x <= 1."""
    inside = x.clamp(0, 1)
    return inside + ((x > x.mean()).to(x.dtype) - inside).detach()


class BinaryAttention2d(nn.Module):
    """Attention between all pixels of a map, in one of four forms: [batch, channels, height, width] -> same.

    form:
        "softmax"   softmax(q k^T / root of dim) v, as everywhere
        "linear"    v / 2 + q (k^T v) / pi with real q and k of length 1
        "binary"    the same with q and k of zeros and ones, by a threshold at their mean
        "hashed"    the same with codes of `KernelHash`, learned to tell similar from dissimilar tokens

    The last three add a convolution of the values along the row of tokens, with one filter of `reach` taps
    for each head. All four have the projections `ask` and `answer`, so that one can be made of the other.
    `of` does that. "hashed" uses the projection of the queries for keys, too.
    """

    def __init__(self, channels: int, heads: int = 1, form: Form = "binary", *, reach: int = 9) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise WorkbenchError(
                f"heads must divide the channels, but {heads} heads and {channels} channels came"
            )
        if form not in get_args(Form):
            raise WorkbenchError(f"form must be one of {', '.join(get_args(Form))}, but {form!r} came")
        if reach < 1 or reach % 2 == 0:
            raise WorkbenchError(f"reach must be an odd number of tokens, but {reach} came")
        self.channels, self.heads, self.form, self.reach = channels, heads, form, reach
        self.ask = nn.Linear(channels, 3 * channels)
        self.answer = nn.Linear(channels, channels)
        if form != "softmax":
            self.along = nn.Conv2d(
                heads, heads, (reach, 1), padding=(reach // 2, 0), groups=heads, bias=False
            )
        if form == "hashed":
            self.hash = KernelHash(heads, channels // heads)

    @classmethod
    def of(cls, other: "BinaryAttention2d", form: Form) -> "BinaryAttention2d":
        """The same projections in another form; what the other one does not have gets new weights."""
        found = cls(other.channels, other.heads, form, reach=other.reach)
        there = other.state_dict()
        own = {name: there.get(name, value) for name, value in found.state_dict().items()}
        found.load_state_dict(own)
        return found

    def visible(self, height: int, width: int) -> Tensor:
        """Which input token (column) each output token (row) may depend on: all."""
        return torch.ones(height * width, height * width, dtype=torch.bool)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values before anything is done to them, [batch, heads, tokens, dim] each."""
        asked = self.ask(x.flatten(2).mT).unflatten(2, (3, self.heads, -1))
        q, k, v = asked.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As this form uses them, [batch, heads, tokens, dim] each; codes of a hash have their own length."""
        q, k, v = self.projected(x)
        if self.form == "softmax":
            return q, k, v
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        if self.form == "binary":
            q, k = binary(q), binary(k)
        elif self.form == "hashed":
            q = k = self.hash(q)
        return q, k, v

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.queries_keys_values(x)
        if self.form == "softmax":
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = F.normalize(v / 2 + q @ (k.mT @ v) / math.pi, dim=-1) + self.along(v)
        out: Tensor = self.answer(mixed.transpose(1, 2).flatten(2))
        return out.mT.unflatten(2, x.shape[2:])
