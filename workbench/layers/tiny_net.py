"""A small network around any block: the same stem and head, so that only the block differs."""

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError

Head = Literal["classes", "pixels"]


class TinyNet(nn.Module):
    """Stem, `depth` blocks of `width` channels, norm, head.

    block: makes a block that keeps [batch, width, height, width], from `width`.
    stem: one convolution of stride `stem_stride` (3 x 3 up to stride 2, beyond that 2 * stride - 1, so that
        windows overlap), batch norm, GELU.
    head: "classes" takes the mean over the map and a linear layer: [batch, inputs, h, w] -> [batch, outputs].
        "pixels" is a 1 x 1 convolution at the stem's resolution, stretched to the input's size (bilinear):
        -> [batch, outputs, h, w].

    >>> TinyNet(nn.Identity, width=8, depth=1, head="pixels")(torch.zeros(2, 1, 15, 16)).shape
    torch.Size([2, 6, 15, 16])
    """

    def __init__(
        self,
        block: Callable[[int], nn.Module],
        *,
        width: int,
        depth: int,
        inputs: int = 1,
        outputs: int = 6,
        stem_stride: int = 2,
        head: Head = "classes",
    ) -> None:
        super().__init__()
        if min(width, inputs, outputs, stem_stride) < 1 or depth < 0:
            raise WorkbenchError(
                "width, inputs, outputs and stem_stride must be at least 1 and depth at least 0, "
                f"but {width}, {inputs}, {outputs}, {stem_stride} and {depth} came"
            )
        if head not in ("classes", "pixels"):
            raise WorkbenchError(f"head must be 'classes' or 'pixels', but {head!r} came")
        kernel = max(3, 2 * stem_stride - 1)
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, width, kernel, stride=stem_stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.GELU(),
        )
        self.blocks = nn.Sequential(*(block(width) for _ in range(depth)))
        self.norm = nn.BatchNorm2d(width)
        self.pixels = head == "pixels"
        self.head = nn.Conv2d(width, outputs, 1) if self.pixels else nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        if not self.pixels:
            return self.head(features.mean((2, 3)))
        return F.interpolate(self.head(features), size=x.shape[2:], mode="bilinear", align_corners=False)

    def features(self, x: Tensor) -> Tensor:
        """The map in front of the head: [batch, width, h / stem_stride, w / stem_stride], rounded up."""
        return self.norm(self.blocks(self.stem(x)))
