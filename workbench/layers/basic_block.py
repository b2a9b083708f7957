"""The residual block of two 3 x 3 convolutions (ResNet, He et al., 2016, https://arxiv.org/abs/1512.03385)."""

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """relu(shortcut(x) + norm(conv(relu(norm(conv(x)))))), both convolutions 3 x 3.

    [batch, channels, height, width] -> [batch, out, height / stride, width / stride], rounded up. The
    shortcut is x itself, or a 1 x 1 convolution with its norm where channels or size change (the source's
    option B).
    """

    def __init__(self, channels: int, out: int | None = None, stride: int = 1) -> None:
        super().__init__()
        out = channels if out is None else out
        self.branch = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if out != channels or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.shortcut(x) + self.branch(x))
