"""RandAugment (Cubuk et al., 2020, https://arxiv.org/abs/1909.13719) for batches of small grey pictures.

Each picture goes through `layers` operations drawn at random, all of one magnitude. The operations are those
of the source without the one that needs colours:

    moves     rotate, shear along x and y, translate along x and y
    tones     autocontrast, equalize, invert, posterize, solarize, solarize-add, contrast, brightness
    texture   sharpness, cutout
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.errors import WorkbenchError

Operation = Callable[[Tensor, Tensor], Tensor]

# Every operation takes pictures [n, 1, height, width] in [0, 1] and a signed strength [n], 1 or -1 at
# magnitude 10, and returns the same shape. Those that know no direction use its size, and three know none.


def _moved(x: Tensor, rows: tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """Each pixel fetches what lies where its matrix of two rows points to; what comes from outside is 0."""
    matrix = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def rotate(x: Tensor, strength: Tensor) -> Tensor:
    """By up to 30 degrees."""
    angle, zero = strength * math.pi / 6, torch.zeros_like(strength)
    tall = x.shape[2] / x.shape[3]
    cos, sin = torch.cos(angle), torch.sin(angle)
    return _moved(x, (cos, -sin * tall, zero, sin / tall, cos, zero))


def shear_x(x: Tensor, strength: Tensor) -> Tensor:
    """By up to 0.3 pixels a row."""
    zero, one = torch.zeros_like(strength), torch.ones_like(strength)
    return _moved(x, (one, 0.3 * strength * x.shape[2] / x.shape[3], zero, zero, one, zero))


def shear_y(x: Tensor, strength: Tensor) -> Tensor:
    """By up to 0.3 pixels a column."""
    return shear_x(x.mT, strength).mT


def translate_x(x: Tensor, strength: Tensor) -> Tensor:
    """By up to a quarter of the width."""
    zero, one = torch.zeros_like(strength), torch.ones_like(strength)
    return _moved(x, (one, zero, 0.5 * strength, zero, one, zero))


def translate_y(x: Tensor, strength: Tensor) -> Tensor:
    """By up to a quarter of the height."""
    return translate_x(x.mT, strength).mT


def autocontrast(x: Tensor, strength: Tensor) -> Tensor:
    """Stretches every picture to the whole range from 0 to 1; a flat one stays as it is."""
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / (high - low).clamp(min=1e-6), x)


def equalize(x: Tensor, strength: Tensor) -> Tensor:
    """Gives every tone the share of pixels that are darker, from 0 for the darkest to 1 for the "
    "lightest."""
    flat = x.flatten(1)
    ordered = flat.sort(dim=1).values.contiguous()
    share = torch.searchsorted(ordered, flat.contiguous(), right=True) / flat.shape[1]
    return autocontrast(share.to(x.dtype).view_as(x), strength)


def invert(x: Tensor, strength: Tensor) -> Tensor:
    return 1 - x


def posterize(x: Tensor, strength: Tensor) -> Tensor:
    """Keeps 8 bits of a tone at strength 0 and 4 at strength 1."""
    levels = 2 ** (8 - 4 * strength.abs()).round()[:, None, None, None]
    return (x * 255 / (256 / levels)).floor().clamp(max=255) * (256 / levels) / 255


def solarize(x: Tensor, strength: Tensor) -> Tensor:
    """Inverts what is lighter than a threshold, 1 at strength 0 and one half at strength 1."""
    return torch.where(x > (1 - strength.abs() / 2)[:, None, None, None], 1 - x, x)


def solarize_add(x: Tensor, strength: Tensor) -> Tensor:
    """Lightens the darker half of the tones by up to 0.43."""
    return torch.where(x < 0.5, (x + 0.43 * strength.abs()[:, None, None, None]).clamp(max=1), x)


def _away(x: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """Away from (or towards) another picture: 1.9 or 0.1 of the difference at full strength."""
    factor = (1 + 0.9 * strength).clamp(min=0.1)[:, None, None, None]
    return (other + factor * (x - other)).clamp(0, 1)


def contrast(x: Tensor, strength: Tensor) -> Tensor:
    """Away from the picture's mean tone."""
    return _away(x, x.mean((1, 2, 3), keepdim=True), strength)


def brightness(x: Tensor, strength: Tensor) -> Tensor:
    """Away from black."""
    return _away(x, torch.zeros_like(x), strength)


def sharpness(x: Tensor, strength: Tensor) -> Tensor:
    """Away from the picture blurred over 3 x 3, the middle counting five times; its edge stays."""
    if min(x.shape[2:]) < 3:
        return x
    weights = x.new_tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    blurred = x.clone()
    blurred[:, :, 1:-1, 1:-1] = F.conv2d(x, weights[None, None])
    return _away(x, blurred, strength)


def cutout(x: Tensor, strength: Tensor, at: Tensor) -> Tensor:
    """Replaces a square of up to a third of the height by grey; `at` [n, 2] is its middle, from 0 to 1."""
    height, width = x.shape[2:]
    half = strength.abs()[:, None] * height / 6
    rows = torch.arange(height, device=x.device)[None] - at[:, :1] * (height - 1)
    columns = torch.arange(width, device=x.device)[None] - at[:, 1:] * (width - 1)
    inside = (rows.abs() < half)[:, None, :, None] & (columns.abs() < half)[:, None, None, :]
    return torch.where(inside, 0.5, x)


OPERATIONS: dict[str, Operation] = {
    "rotate": rotate,
    "shear x": shear_x,
    "shear y": shear_y,
    "translate x": translate_x,
    "translate y": translate_y,
    "autocontrast": autocontrast,
    "equalize": equalize,
    "invert": invert,
    "posterize": posterize,
    "solarize": solarize,
    "solarize-add": solarize_add,
    "contrast": contrast,
    "brightness": brightness,
    "sharpness": sharpness,
}
NAMES = (*OPERATIONS, "cutout")


class RandAugment:
    """(X [n, 1, height, width] in [0, 1], generator) -> the same, each picture by `layers` random operations.

    magnitude: 0 leaves all operations with a strength where they are, 10 is the full strength named at each.
    names: which operations to draw from, out of `NAMES`.
    """

    def __init__(self, layers: int = 2, magnitude: float = 10, names: tuple[str, ...] = NAMES) -> None:
        unknown = [name for name in names if name not in NAMES]
        if layers < 0 or magnitude < 0 or not names or unknown:
            raise WorkbenchError(
                f"expected layers and magnitude of at least 0 and names out of {', '.join(NAMES)}, "
                f"but {layers}, {magnitude} and {unknown or names} came"
            )
        self.layers, self.magnitude, self.names = layers, magnitude, tuple(names)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        if x.ndim != 4 or x.shape[1] != 1:
            raise WorkbenchError(
                f"expected grey pictures [n, 1, height, width], but shape {list(x.shape)} came"
            )
        for _ in range(self.layers):
            x = self.one(x, generator)
        return x

    def one(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """One operation for each picture; those that draw the same one are done together."""
        n = len(x)
        chosen = torch.randint(len(self.names), (n,), generator=generator)
        sign = 1 - 2 * torch.randint(2, (n,), generator=generator)
        at = torch.rand(n, 2, generator=generator)
        strength = sign * self.magnitude / 10
        out = x.clone()
        for number in chosen.unique().tolist():
            rows = (chosen == number).nonzero()[:, 0]
            name = self.names[number]
            if name == "cutout":
                out[rows] = cutout(x[rows], strength[rows], at[rows])
            else:
                out[rows] = OPERATIONS[name](x[rows], strength[rows])
        return out
