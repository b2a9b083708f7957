"""ConvFirst: the block that looks around before it widens (Lavin, 2024, https://arxiv.org/abs/2404.03617)."""

from torch import Tensor, nn

from workbench.layers.conv_norm import ConvNorm


class ConvFirst(nn.Module):
    """x + project(silu(expand(conv(x)))), each a convolution with its norm; none but expand is activated.

    [batch, channels, height, width] -> [batch, out, height / stride, width / stride], rounded up. conv is
    `kernel` x `kernel` and sees `group_width` channels at a time; expand is 1 x 1 to `expansion` times the
    channels, project 1 x 1 to `out`. x is added where channels and size stay.

    Differs from `MBConv` by the order: here the spatial convolution works on the narrow tensor, and the wide
    one lies between two products at one pixel. So a pixel's part of it is needed for that pixel alone.
    """

    def __init__(
        self,
        channels: int,
        out: int | None = None,
        expansion: int = 6,
        *,
        kernel: int = 3,
        stride: int = 1,
        group_width: int = 8,
    ) -> None:
        super().__init__()
        out = channels if out is None else out
        wide = expansion * channels
        self.branch = nn.Sequential(
            ConvNorm(channels, channels, kernel, stride, groups=channels // group_width),
            ConvNorm(channels, wide),
            nn.SiLU(),
            ConvNorm(wide, out),
        )
        self.adds = stride == 1 and out == channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x)
        return x + y if self.adds else y
