"""MobileNetV3-Large, a network that others are held against.

Howard et al., 2019, https://arxiv.org/abs/1905.02244.
"""

from typing import NamedTuple

from torch import Tensor, nn

from workbench.layers.conv_norm import ConvNorm
from workbench.layers.residual import Residual


class Step(NamedTuple):
    """One row of the source's table; `swish` stands for hard swish in the place of ReLU."""

    kernel: int
    hidden: int
    outputs: int
    squeezes: bool
    swish: bool
    stride: int


LARGE = (
    Step(3, 16, 16, False, False, 1),
    Step(3, 64, 24, False, False, 2),
    Step(3, 72, 24, False, False, 1),
    Step(5, 72, 40, True, False, 2),
    Step(5, 120, 40, True, False, 1),
    Step(5, 120, 40, True, False, 1),
    Step(3, 240, 80, False, True, 2),
    Step(3, 200, 80, False, True, 1),
    Step(3, 184, 80, False, True, 1),
    Step(3, 184, 80, False, True, 1),
    Step(3, 480, 112, True, True, 1),
    Step(3, 672, 112, True, True, 1),
    Step(5, 672, 160, True, True, 2),
    Step(5, 960, 160, True, True, 1),
    Step(5, 960, 160, True, True, 1),
)


class HardSqueezeExcite(nn.Module):
    """x * hardsigmoid(expand(relu(reduce(mean of x)))); the middle is a multiple of 8 channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = multiple_of_8(channels / 4)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, middle, 1),
            nn.ReLU(),
            nn.Conv2d(middle, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class MobileNetV3(nn.Module):
    """Wide inside, thin between, depthwise in the middle.

    [batch, inputs, height, width] -> [batch, outputs].
    """

    def __init__(self, steps: tuple[Step, ...] = LARGE, inputs: int = 3, outputs: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNorm(inputs, 16, 3, 2), nn.Hardswish()]
        channels = 16
        for step in steps:
            layers.append(inverted_residual(channels, step))
            channels = step.outputs
        layers += [ConvNorm(channels, 6 * channels), nn.Hardswish()]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(6 * channels, 1280), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1280, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


def inverted_residual(inputs: int, step: Step) -> nn.Module:
    """1 x 1 to the hidden channels, depthwise, squeeze-excite, 1 x 1 back; a shortcut where shapes agree."""
    act = nn.Hardswish if step.swish else nn.ReLU
    parts: list[nn.Module] = []
    if step.hidden != inputs:
        parts += [ConvNorm(inputs, step.hidden), act()]
    parts += [ConvNorm(step.hidden, step.hidden, step.kernel, step.stride, groups=step.hidden), act()]
    if step.squeezes:
        parts.append(HardSqueezeExcite(step.hidden))
    parts.append(ConvNorm(step.hidden, step.outputs))
    branch = nn.Sequential(*parts)
    return Residual(branch) if step.stride == 1 and inputs == step.outputs else branch


def multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8, but not less than nine tenths of what was asked for."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near if near >= 0.9 * channels else near + 8
