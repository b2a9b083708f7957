"""What probing adds to a training step: a small residual network, forward and back, probed and plain.

Both give all gradients of the step. The speedup of the probed step is below one; 1 / speedup - 1 is what
probing adds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.bench.running import Benchmark


def small_resnet(width: int, blocks: int) -> Any:
    """Three stages of residual blocks for [batch, 3, size, size] -> [batch, 10]."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, channels: int, out: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(channels, out, 3, stride, 1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
                nn.Conv2d(out, out, 3, 1, 1, bias=False),
                nn.BatchNorm2d(out),
            )
            changes = stride > 1 or channels != out
            self.short = nn.Conv2d(channels, out, 1, stride, bias=False) if changes else nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.body(x) + self.short(x)).relu_()

    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    channels = width
    for stage in range(3):
        for block in range(blocks):
            out = width << stage
            layers.append(Block(channels, out, 2 if stage and not block else 1))
            channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def _step(quick: bool) -> Benchmark:
    """ResNet-20 on 32 images of 32 x 32 (quick: one block a stage, 4 of 16 x 16), cross-entropy."""
    import torch
    from torch.nn import functional as F

    from workbench.probes import probe

    torch.manual_seed(0)
    net = small_resnet(8, 1) if quick else small_resnet(16, 3)
    x = torch.randn(4, 3, 16, 16) if quick else torch.randn(32, 3, 32, 32)
    labels = torch.arange(len(x)) % 10

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, labels)

    def plain() -> np.ndarray:
        net.zero_grad()
        loss(net(x)).backward()
        return _flat(p.grad for p in net.parameters())

    def probed() -> np.ndarray:
        return _flat(probe(net, x, loss=loss).gradients.values())

    def _flat(gradients: Any) -> np.ndarray:
        return torch.cat([gradient.flatten() for gradient in gradients]).numpy()

    total = probe(net, x, loss=loss).total
    return Benchmark(probed, {"plain step": plain}, total.flops + total.backward_flops, tolerance=1e-9)


BENCHMARKS: dict[str, Callable[[bool], Benchmark]] = {"probe-resnet-step": _step}
