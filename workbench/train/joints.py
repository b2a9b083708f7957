"""Joints as heat maps, and back: what a pose estimator learns, and how its answer is judged.

Places are (y, x) in pixels of the picture, whole numbers at the middle of a pixel. A map may be coarser than
the picture: with one number for every s pixels, number i stands at s i + (s - 1) / 2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError

SIGMA = 2.0  # pixels of the picture
NEAR = 3.0


def heat_maps(joints: Tensor, visible: Tensor, size: int, out: int, sigma: float = SIGMA) -> Tensor:
    """A bump of height 1 at each visible joint: [n, joints, out, out].

    joints: [n, people, joints, (y, x)]. visible: [n, people, joints]. size: side of the picture in pixels.
    out: side of the maps. sigma: standard deviation of the bump in pixels of the picture. Where people
    overlap, the higher bump counts.
    """
    stride = size / out
    grid = torch.arange(out, dtype=torch.float32) * stride + (stride - 1) / 2
    bumps = torch.exp(-((joints[..., None] - grid) ** 2) / (2 * sigma**2))  # [n, people, joints, 2, out]
    y, x = bumps[..., 0, :, None], bumps[..., 1, None, :]
    return (y * x * visible[..., None, None].to(bumps.dtype)).amax(1)


def decode(maps: Tensor, size: int) -> Tensor:
    """Where each map [n, joints, out, out] is highest: (y, x) in pixels of the picture, [n, joints, 2]."""
    out = maps.shape[-1]
    stride = size / out
    best = maps.flatten(2).argmax(2)
    return torch.stack([best // out, best % out], -1) * stride + (stride - 1) / 2


@dataclass(frozen=True)
class HeatMapLoss:
    """Mean squared difference from the heat maps of the joints, weighted by 1 + weight * target.

    Without the weight, an empty map is nearly right: a bump covers few pixels. Call it with maps
    [n, joints, out, out] and Y [n, people, joints, (y, x, visible)].
    """

    size: int
    sigma: float = SIGMA
    weight: float = 20.0

    def __call__(self, output: Tensor, Y: Tensor) -> Tensor:
        _check(output, Y)
        target = heat_maps(Y[..., :2], Y[..., 2], self.size, output.shape[-1], self.sigma)
        return ((1 + self.weight * target) * (output - target) ** 2).mean()


@dataclass(frozen=True)
class JointScore:
    """The share of visible joints whose map is highest within `near` pixels of them (PCK), 0 to 1.

    With several people in the picture, the peak counts for a joint if it lies at anybody's.
    `only`: numbers of the joints that are judged, all without it.
    """

    size: int
    near: float = NEAR
    only: tuple[int, ...] | None = None

    def __call__(self, output: Tensor, Y: Tensor) -> float:
        _check(output, Y)
        found = decode(output, self.size)[:, None]  # [n, 1, joints, 2]
        visible = Y[..., 2] > 0
        close = ((found - Y[..., :2]).norm(dim=-1) <= self.near) & visible
        right, judged = close.any(1), visible.any(1)
        if self.only is not None:
            right, judged = right[:, self.only], judged[:, self.only]
        return (right.sum().double() / judged.sum()).item()


def _check(output: Tensor, Y: Tensor) -> None:
    joints = Y.shape[2]
    if output.ndim != 4 or output.shape[1] != joints or output.shape[-1] != output.shape[-2]:
        raise WorkbenchError(
            f"expected square maps [n, {joints}, side, side], one a joint, but {list(output.shape)} came"
        )
