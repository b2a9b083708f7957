"""Effective receptive field: how much each input pixel moves one output, on real images.

The exact field says which pixels *can* matter; the gradient of the output says how much they do.
Everything here works on the raw map |d output / d pixel|, summed over images and input channels.
A logarithm before the summary (the score in common use) makes the answer depend on the scale of
the gradients; the numbers below are unchanged when all gradients are multiplied by a million.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.probes._modules import evaluated, first_tensor, kind_of_numbers, submodule, the_module
from workbench.probes.maps import Moments, crossness, mass_radius, moments
from workbench.probes.receptive_field import receptive_field

Score = Literal["absolute", "squared", "signed"]
SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "absolute": torch.abs,
    "squared": torch.square,
    "signed": torch.clone,
}


# The field of a module ------------------------------------------------------------------------


@dataclass(frozen=True)
class EffectiveField:
    """What `effective_field` found.

    map: [height, width] of the input, summed over images and input channels (signed only for
    score="signed"). center: (y, x), where the output's centre lies in the input. position: (row, column)
    of the output. images: [images, height, width], the map of each image, for intervals.
    """

    map: NDArray[np.float64]
    center: tuple[float, float]
    position: tuple[int, ...]
    images: NDArray[np.float64] = field(repr=False)

    def radius(self, share: float = 0.5) -> float:
        """`mass_radius` around the output's own centre, in input pixels."""
        return mass_radius(self.map, share, self.center)

    @property
    def moments(self) -> Moments:
        """Mean and second-moment tensor of the map."""
        return moments(self.map)

    @property
    def spread(self) -> float:
        """Standard deviation of the mass per axis (root mean square of both), in input pixels."""
        return self.moments.spread

    @property
    def crossness(self) -> float:
        """1 for a plus, 0 for a disc, -1 for an x."""
        return crossness(self.map, self.center)

    def interval(
        self,
        statistic: Callable[["EffectiveField"], float] | None = None,
        level: float = 0.95,
        resamples: int = 200,
        seed: int = 0,
    ) -> tuple[float, float]:
        """Bootstrap interval over the images of any number read off the field (default: the radius).

        It says how far the number depends on which images were shown, not on which weights were drawn.
        """
        if len(self.images) < 2:
            raise WorkbenchError("an interval over images needs at least two images, but one came")
        if not 0 < level < 1:
            raise WorkbenchError(f"level must lie between 0 and 1, but {level} came")
        read = statistic or EffectiveField.radius
        draws = np.random.default_rng(seed).multinomial(
            len(self.images), np.full(len(self.images), 1 / len(self.images)), size=resamples
        )
        flat = self.images.reshape(len(self.images), -1)
        values = [
            read(
                EffectiveField((draw @ flat).reshape(self.map.shape), self.center, self.position, self.images)
            )
            for draw in draws
        ]
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def effective_field(
    module: nn.Module,
    images: ArrayLike | Tensor,
    *,
    position: Sequence[int] | None = None,
    channels: Sequence[int] | slice | None = None,
    output: str | None = None,
    score: Score = "absolute",
    center: tuple[float, float] | None = None,
    batch: int = 4,
) -> EffectiveField:
    """Gradient of one output position with respect to the images, as a map over the input.

    images: [images, channels, height, width] as the module takes them (see `image_batch`).
    position: (row, column) of the output, default the middle one; (token,) of [batch, tokens, channels],
        and nothing for [batch, numbers]. channels: which output channels are summed before the gradient,
        default all. output: name of an inner part to look at instead of the module's output.
    score: what is summed over images and channels, the absolute gradient, its square, or itself.
    center: (y, x) of the output's centre in the input, default from the exact receptive field, and
        from the ratio of the sizes where the module cannot be traced.
    batch: images per pass; it changes speed and memory, not the result.

    The module is run in evaluation mode and left exactly as it was: modes, gradients, buffers.
    """
    module = the_module(module)
    if score not in SCORES:
        raise WorkbenchError(f"score must be one of {', '.join(SCORES)}, but {score!r} came")
    if batch < 1:
        raise WorkbenchError(f"batch must be at least 1, but {batch} came")
    dtype, device = kind_of_numbers(module)
    stack = _checked_images(images).to(dtype=dtype, device=device)
    maps, shape = [], ()  # type: tuple[list[Any], tuple[int, ...]]
    with evaluated(module), _Catch(module, output) as catch:
        for some in stack.split(batch):
            some = some.detach().requires_grad_()
            with torch.enable_grad():
                out = catch.run(some)
                shape = _places(out)
                at = _checked_position(position, shape)
                value = out[:, at[0]] if out.ndim == 3 else out[:, :, at[0], at[1]] if at else out
                value = value if channels is None else value[:, channels]
                (gradient,) = torch.autograd.grad(value.sum(), some)
            maps.append(SCORES[score](gradient.double()).sum(dim=1).cpu().numpy())
    if center is None:
        center = _centre(module, tuple(stack.shape), output, at, shape)
    each = np.concatenate(maps)
    return EffectiveField(each.sum(axis=0), center, at, each)


class _Catch:
    """Runs a module and returns what the chosen part of it returned."""

    def __init__(self, module: nn.Module, output: str | None) -> None:
        self.module, self.output, self.caught = module, output, None

    def __enter__(self) -> "_Catch":
        part = self.module if self.output is None else submodule(self.module, self.output)
        self.hook = part.register_forward_hook(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        self.hook.remove()

    def _keep(self, _part: nn.Module, _args: Any, value: Any) -> None:
        self.caught = value

    def run(self, images: Tensor) -> Tensor:
        try:
            self.module(images)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise WorkbenchError(
                f"{type(self.module).__name__} cannot be run on images of shape "
                f"{tuple(images.shape)}: {reason}"
            ) from None
        value = first_tensor(self.caught)
        if value.ndim not in (2, 3, 4):
            raise WorkbenchError(
                "expected an output [batch, channels, height, width], [batch, tokens, channels] or "
                f"[batch, numbers], but shape {tuple(value.shape)} came; name an inner part by output="
            )
        return value


def _places(out: Tensor) -> tuple[int, ...]:
    """Sizes of what an output has places on: (height, width), (tokens,), or none at all."""
    return {4: tuple(out.shape[2:]), 3: (out.shape[1],)}.get(out.ndim, ())


def _checked_images(images: ArrayLike | Tensor) -> Tensor:
    stack = images if isinstance(images, Tensor) else torch.from_numpy(np.array(images, dtype=np.float32))
    if stack.ndim != 4 or 0 in stack.shape:
        raise WorkbenchError(
            f"images must be [images, channels, height, width], but shape {tuple(stack.shape)} came"
        )
    return stack


def _checked_position(position: Sequence[int] | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    at = tuple(size // 2 for size in shape) if position is None else tuple(position)
    if len(at) != len(shape) or not all(0 <= i < size for i, size in zip(at, shape, strict=True)):
        sizes = " x ".join(map(str, shape)) or "single"
        raise WorkbenchError(f"position must lie inside the {sizes} output, but {at} came")
    return at


def _centre(
    module: nn.Module,
    images: tuple[int, ...],
    output: str | None,
    position: tuple[int, ...],
    shape: tuple[int, ...],
) -> tuple[float, float]:
    """The output's centre in the input: exact where the module can be followed."""
    exact = None
    with suppress(WorkbenchError):
        exact = receptive_field(module, (1, *images[1:]), output)
    grid = shape if exact is None else tuple(axis.outputs for axis in exact.axes)
    if len(shape) == 1 and shape[0] == prod(grid):  # tokens that lie row by row
        position, shape = divmod(position[0], grid[-1]) if len(grid) == 2 else (), grid
    if exact is not None and shape == grid and len(position) == 2:
        y, x = exact.centre(position)
        return float(y), float(x)
    if len(position) != 2:
        return (images[2] - 1) / 2, (images[3] - 1) / 2
    y, x = (
        (at + 0.5) * size / length - 0.5 for at, size, length in zip(position, images[2:], shape, strict=True)
    )
    return y, x


# Images and controls --------------------------------------------------------------------------


def image_batch(photographs: ArrayLike | Iterable[ArrayLike], standardise: bool = True) -> Tensor:
    """Photographs as a module takes them: float32 [images, channels, height, width].

    photographs: one stack or several pictures of one size, [height, width] or [height, width, colours].
    standardise: mean 0 and standard deviation 1 for each colour over the whole batch.
    """
    pictures = [np.asarray(picture, dtype=np.float32) for picture in photographs]  # type: ignore[union-attr]
    shapes = {picture.shape for picture in pictures}
    if len(shapes) != 1 or pictures[0].ndim not in (2, 3):
        raise WorkbenchError(
            "photographs must all be [height, width] or [height, width, colours] of one size, but "
            f"{', '.join(map(str, sorted(shapes))) or 'none'} came"
        )
    stack = np.stack(pictures)
    stack = stack[..., None] if stack.ndim == 3 else stack
    if standardise:
        spread = stack.std(axis=(0, 1, 2))
        stack = (stack - stack.mean(axis=(0, 1, 2))) / np.where(spread > 0, spread, 1)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(stack, -1, 1), dtype=np.float32))


def untrained(
    module: nn.Module, seed: int = 0, initialise: Callable[[nn.Module], object] | None = None
) -> nn.Module:
    """The control without training: a copy with freshly drawn weights; the original stays as it is.

    Every part draws its weights by its own `reset_parameters`, the innermost first, or by
    `initialise(part)` if given. Parameters that neither would touch are an error, not a silent leftover.
    """
    copy = deepcopy(the_module(module))
    parts = list(copy.modules())[::-1]
    if initialise is None:
        fresh = {id(p) for part in parts if _own_reset(part) for p in part.parameters(recurse=False)}
        if kept := [name for name, p in copy.named_parameters() if id(p) not in fresh]:
            raise WorkbenchError(
                f"no part knows how to draw {', '.join(kept[:4])} anew; "
                "pass initialise=, a function of a part"
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in parts:
            if initialise is not None:
                initialise(part)
            elif reset := _own_reset(part):
                reset()
    return copy


def _own_reset(part: nn.Module) -> Callable[[], object] | None:
    return getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)


def across_sizes(
    module: nn.Module, images: Tensor, sizes: Sequence[int], **options: Any
) -> dict[int, EffectiveField]:
    """The control for the input's size: the same module on the same images, resized to squares.

    A radius in pixels that follows the size of the input says something about the input (its borders,
    its magnification), not about the module. options: as for `effective_field`.
    """
    stack = _checked_images(images)
    return {
        size: effective_field(
            module,
            F.interpolate(stack, size=(size, size), mode="bilinear", antialias=True, align_corners=False),
            **options,
        )
        for size in sizes
    }


def field_of_layers(
    module: nn.Module, images: Tensor, layers: Sequence[str], **options: Any
) -> dict[str, EffectiveField]:
    """How the field grows on the way: the effective field of several inner parts by name."""
    return {name: effective_field(module, images, output=name, **options) for name in layers}
