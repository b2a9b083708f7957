"""MBConv, the inverted residual block of mobile networks (Sandler et al., 2018, https://arxiv.org/abs/1801.04381)."""

from torch import Tensor, nn

from workbench.layers.conv_norm import ConvNorm


class MBConv(nn.Module):
    """x + project(silu(conv(silu(expand(x))))), each a convolution with its norm.

    [batch, channels, height, width] -> [batch, out, height / stride, width / stride], rounded up. expand is
    1 x 1 to `expansion` times the channels, conv `kernel` x `kernel` on all of these, `group_width` at a time
    (1: depthwise), project 1 x 1 to `out`. x is added where channels and size stay.

    Differs from the source: SiLU in the place of ReLU6, as in later networks, and no squeeze-and-excitation.
    """

    def __init__(
        self,
        channels: int,
        out: int | None = None,
        expansion: int = 6,
        *,
        kernel: int = 3,
        stride: int = 1,
        group_width: int = 1,
    ) -> None:
        super().__init__()
        out = channels if out is None else out
        wide = expansion * channels
        self.branch = nn.Sequential(
            ConvNorm(channels, wide),
            nn.SiLU(),
            ConvNorm(wide, wide, kernel, stride, groups=wide // group_width),
            nn.SiLU(),
            ConvNorm(wide, out),
        )
        self.adds = stride == 1 and out == channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x)
        return x + y if self.adds else y
