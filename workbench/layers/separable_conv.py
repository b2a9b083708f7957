"""A convolution whose kernels are sums of products of one-way filters, from the first step of training on.

For output o, input i, row y and column x of the kernel, and `rank` terms r:

    three ways   K[o, i, y, x] = sum over r of  down[o, r, y] * across[o, r, x] * mix[o, r, i]
    two ways     K[o, i, y, x] = sum over r of  down[o, i, r, y] * across[o, i, r, x]

that is rank * out * (ky + kx + in) or rank * out * in * (ky + kx) weights for ky * kx * in * out. The sum can
be run in two ways with the same answer: *composed*, as one kernel, or *factored*, as thin filters in turn.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError

Ways = Literal[2, 3]
Pair = tuple[int, int]


class SeparableConv2d(nn.Module):
    """[batch, inputs, height, width] -> [batch, outputs, ...], as `nn.Conv2d` with centred zero padding.

    kernel: odd, one number or (rows, columns). rank: how many products are added up. ways: 3, one filter
    each along rows, columns and channels; 2, rows and columns alone, for every pair of channels. factored:
    how `forward` runs; the answer is the same up to rounding, and it may be changed at any time.

    The first weights are drawn so that the *composed* kernel has He's variance, 2 / (ky * kx * inputs).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | Pair = 3,
        rank: int = 1,
        ways: Ways = 3,
        *,
        stride: int | Pair = 1,
        dilation: int | Pair = 1,
        bias: bool = True,
        factored: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.dilation = pair(kernel), pair(stride), pair(dilation)
        if any(side < 1 or side % 2 == 0 for side in self.kernel):
            raise WorkbenchError(f"kernel sides must be odd, so that they have a middle, but {kernel} came")
        if ways not in (2, 3):
            raise WorkbenchError(f"ways must be 2 or 3, but {ways!r} came")
        if min(inputs, outputs, rank, *self.stride, *self.dilation) < 1:
            raise WorkbenchError(
                "inputs, outputs, rank, stride and dilation must be at least 1, but "
                f"{inputs}, {outputs}, {rank}, {stride} and {dilation} came"
            )
        self.inputs, self.outputs, self.rank, self.ways, self.factored = inputs, outputs, rank, ways, factored
        self.padding = tuple(d * (k - 1) // 2 for k, d in zip(self.kernel, self.dilation, strict=True))
        terms = (outputs, rank) if ways == 3 else (outputs, inputs, rank)
        self.down = nn.Parameter(torch.empty(*terms, self.kernel[0]))
        self.across = nn.Parameter(torch.empty(*terms, self.kernel[1]))
        self.mix = nn.Parameter(torch.empty(outputs, rank, inputs)) if ways == 3 else None
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all factors from one normal law: `rank` products of `ways` factors share He's variance."""
        fan_in = self.kernel[0] * self.kernel[1] * self.inputs
        std = (2 / (fan_in * self.rank)) ** (1 / (2 * self.ways))
        for factor in self.factors():
            nn.init.normal_(factor, std=std)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def factors(self) -> tuple[nn.Parameter, ...]:
        """The one-way filters: down, across and, with three ways, mix."""
        return (self.down, self.across) if self.mix is None else (self.down, self.across, self.mix)

    def compose(self) -> Tensor:
        """The kernel that the filters stand for, [outputs, inputs, ky, kx]."""
        if self.mix is None:
            return torch.einsum("oiry,oirx->oiyx", self.down, self.across)
        return torch.einsum("ory,orx,ori->oiyx", self.down, self.across, self.mix)

    def forward(self, x: Tensor) -> Tensor:
        if not self.factored:
            return F.conv2d(x, self.compose(), self.bias, self.stride, self.padding, self.dilation)
        if self.mix is None:
            return self._two_ways(x)
        return self._three_ways(x, self.mix)

    def _three_ways(self, x: Tensor, mix: Tensor) -> Tensor:
        """Channels first, while nothing else is done for them; then rows; the last filter adds the terms."""
        terms = self.outputs * self.rank
        h = F.conv2d(x, mix.reshape(terms, self.inputs, 1, 1))
        h = self._along_rows(h, self.down.reshape(terms, 1, -1, 1), terms)
        return self._along_columns(h, self.across.unsqueeze(2))

    def _two_ways(self, x: Tensor) -> Tensor:
        """Every input meets outputs * rank filters, whose results are then sorted by output."""
        down = self.down.transpose(0, 1).reshape(self.inputs * self.outputs * self.rank, 1, -1, 1)
        h = self._along_rows(x, down, self.inputs)
        h = h.unflatten(1, (self.inputs, self.outputs, self.rank)).transpose(1, 2).flatten(1, 3)
        return self._along_columns(h, self.across.flatten(1, 2).unsqueeze(2))

    def _along_rows(self, x: Tensor, down: Tensor, groups: int) -> Tensor:
        steps = {"stride": (self.stride[0], 1), "padding": (self.padding[0], 0)}
        return F.conv2d(x, down, None, **steps, dilation=(self.dilation[0], 1), groups=groups)

    def _along_columns(self, x: Tensor, across: Tensor) -> Tensor:
        steps = {"stride": (1, self.stride[1]), "padding": (0, self.padding[1])}
        return F.conv2d(x, across, self.bias, **steps, dilation=(1, self.dilation[1]), groups=self.outputs)

    def extra_repr(self) -> str:
        return f"{self.inputs}, {self.outputs}, kernel={self.kernel}, rank={self.rank}, ways={self.ways}"


def separated(kernel: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The best `rank` products of every plane: [..., ky, kx] -> [..., rank, ky] and [..., rank, kx].

    By singular values, the root of each on either side. Where a plane has fewer, the rest is zero.
    """
    if kernel.ndim < 2 or rank < 1:
        raise WorkbenchError(
            f"expected a kernel [..., ky, kx] and rank >= 1, but {list(kernel.shape)}, {rank} came"
        )
    left, values, right = torch.linalg.svd(kernel, full_matrices=False)
    root = values.sqrt()
    down, across = (left * root[..., None, :]).mT, right * root[..., :, None]
    missing = max(0, rank - values.shape[-1])
    return tuple(F.pad(part[..., :rank, :], (0, 0, 0, missing)) for part in (down, across))  # type: ignore[return-value]


def pair(sides: int | Pair) -> Pair:
    """One number stands for both axes."""
    return (sides, sides) if isinstance(sides, int) else sides
