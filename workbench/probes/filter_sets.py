"""The filters of a model as data points: every convolution of any size, taken apart into its filters.

A filter is what one output channel does to one input channel, an array of the size of the kernel. A layer
with `groups` has c_out * c_in / groups of them; a depthwise layer has one for each output channel.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import is_lazy

from workbench.errors import WorkbenchError

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class FilterLayer:
    """The filters of one layer.

    depth: which convolution of the model it is, from 0, in the order in which the model names its parts.
    depth_norm: the same from 0 to 1; the only convolution of a model has 0. c_in, c_out: channels. weights:
    [c_out, c_in / groups, *k], as a cross-correlation applies them.
    """

    name: str
    depth: int
    depth_norm: float
    c_in: int
    c_out: int
    groups: int
    weights: Floats = field(repr=False, compare=False)

    @property
    def k(self) -> tuple[int, ...]:
        """Size of the kernel, one number for each dimension."""
        return self.weights.shape[2:]

    @property
    def n(self) -> int:
        """How many filters."""
        return self.weights.shape[0] * self.weights.shape[1]

    @property
    def filters(self) -> Floats:
        """One after the other: [n, *k]."""
        return self.weights.reshape(self.n, *self.k)

    @property
    def depthwise(self) -> bool:
        """Whether each input channel is looked at alone."""
        return self.groups == self.c_in > 1

    @property
    def decile(self) -> int:
        """Which tenth of the depth it lies in, 0 to 9: [0, 0.1], (0.1, 0.2], ..., (0.9, 1]."""
        return max(ceil(round(10 * self.depth_norm, 9)) - 1, 0)

    def row(self) -> dict[str, Any]:
        """What is known of the layer, for a table."""
        names = ("name", "depth", "depth_norm", "c_in", "c_out", "groups")
        return {name: getattr(self, name) for name in names} | {"k": by(self.k), "filters": self.n}


@dataclass(frozen=True)
class FilterSet:
    """The filters of a model, layer by layer."""

    layers: tuple[FilterLayer, ...]

    def __iter__(self) -> Iterator[FilterLayer]:
        return iter(self.layers)

    def __len__(self) -> int:
        """How many layers."""
        return len(self.layers)

    def __getitem__(self, name: str) -> FilterLayer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        some = ", ".join(repr(layer.name) for layer in self.layers[:8])
        raise WorkbenchError(f"no convolution is called {name!r}; there are {some or 'none'}")

    @property
    def sizes(self) -> dict[tuple[int, ...], int]:
        """How many filters there are of each kernel size."""
        counts: dict[tuple[int, ...], int] = {}
        for layer in self.layers:
            counts[layer.k] = counts.get(layer.k, 0) + layer.n
        return counts

    def of_size(self, *k: int) -> "FilterSet":
        """The layers with kernels of that size, e.g. `of_size(3, 3)`, or `of_size(9)` in one dimension."""
        return self.where(lambda layer: layer.k == k)

    def where(self, wanted: Callable[[FilterLayer], bool]) -> "FilterSet":
        """The layers for which `wanted` says yes; they keep their depth."""
        return FilterSet(tuple(layer for layer in self.layers if wanted(layer)))

    def stack(self) -> Floats:
        """All filters, one after the other: [n, *k]; they must be of one size."""
        if len(self.sizes) != 1:
            found = ", ".join(f"{n} of {by(k)}" for k, n in self.sizes.items())
            raise WorkbenchError(
                f"filters can be stacked if they have one size, but there are {found or 'none'}; "
                "choose by of_size"
            )
        return np.concatenate([layer.filters for layer in self.layers])

    def rows(self) -> list[dict[str, Any]]:
        """One dict per layer, for a table."""
        return [layer.row() for layer in self.layers]


def filters(source: nn.Module | Mapping[str, Tensor | ArrayLike]) -> FilterSet:
    """Every convolution of a model with its filters: dense, grouped, depthwise, 1-D to 3-D, transposed.

    source: a model, or weights by name as files keep them. Of the latter, names that end in "weight" with
    three to five dimensions are taken, [c_out, c_in, *k] with one group, as nothing else is known.

    The weights are copies in float32 or better: what happens to the model later does not change them. Those
    of a transposed convolution are turned into the ones that a cross-correlation would use.

    >>> found = filters(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 5, groups=8)))
    >>> [(layer.name, layer.k, layer.n, layer.depth_norm) for layer in found]
    [('0', (3, 3), 24, 0.0), ('2', (5, 5), 8, 1.0)]
    """
    if isinstance(source, nn.Module):
        parts = [(name, *_of_layer(name, part)) for name, part in convolutions(source)]
    elif isinstance(source, Mapping):
        named = {str(name): value for name, value in source.items() if str(name).endswith("weight")}
        arrays = {name.removesuffix(".weight"): _array(name, value) for name, value in named.items()}
        parts = [(name, value, 1) for name, value in arrays.items() if 3 <= value.ndim <= 5]
    else:
        raise WorkbenchError(f"expected a torch module or weights by name, but {type(source).__name__} came")
    last = max(len(parts) - 1, 1)  # a single layer would divide zero by zero
    return FilterSet(
        tuple(
            FilterLayer(name, i, i / last, weights.shape[1] * groups, weights.shape[0], groups, weights)
            for i, (name, weights, groups) in enumerate(parts)
        )
    )


def convolutions(model: nn.Module) -> Iterator[tuple[str, _ConvNd]]:
    """Name and module of every convolution, in the order in which the model names its parts."""
    return ((name, part) for name, part in model.named_modules() if isinstance(part, _ConvNd))


def _of_layer(name: str, part: _ConvNd) -> tuple[Floats, int]:
    """Weights [c_out, c_in / groups, *k] and groups."""
    if is_lazy(part.weight):
        raise WorkbenchError(f"the convolution {name!r} has no weights yet: run the model once")
    weights = _array(name, part.weight)
    if isinstance(part, _ConvTransposeNd):  # [c_in, c_out / groups, *k], and applied the other way round
        split = weights.reshape(part.groups, -1, *weights.shape[1:]).swapaxes(1, 2)
        turned = np.flip(split, tuple(range(3, split.ndim)))
        weights = np.ascontiguousarray(turned.reshape(part.out_channels, -1, *part.kernel_size))
    return weights, part.groups


def _array(name: str, value: Tensor | ArrayLike) -> Floats:
    """A copy of real, finite weights, in float32 unless they are float64."""
    if isinstance(value, Tensor):
        if value.is_meta or value.is_complex():
            kind = "complex ones" if value.is_complex() else "none on the meta device"
            raise WorkbenchError(f"expected real weights in {name!r}, but there are {kind}")
        wide = value.dtype if value.dtype == torch.float64 else torch.float32
        array = value.detach().to("cpu", wide, copy=True).numpy()
    else:
        array = np.array(value)
        array = array.astype(np.float64 if array.dtype == np.float64 else np.float32)
    if not np.isfinite(array).all():
        raise WorkbenchError(f"expected finite weights in {name!r}, but NaN or infinity is among them")
    return array


# What the other probes of filters take ---------------------------------------------------------

Filters = FilterSet | FilterLayer | Tensor | ArrayLike


def stacked(some: Filters) -> Floats:
    """Filters of any source as one finite array [n, *k] in floating point, with n at least 1."""
    if isinstance(some, FilterSet):
        return some.stack()
    if isinstance(some, FilterLayer):
        return some.filters
    array = numbers(some)
    array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    if array.ndim < 2 or array.size == 0:
        raise WorkbenchError(f"filters must be [n, *k] with n at least 1, but shape {array.shape} came")
    if not np.isfinite(array).all():
        raise WorkbenchError("filters must be finite, but NaN or infinity is among them")
    return array


def numbers(some: Tensor | ArrayLike) -> NDArray[Any]:
    """A tensor or anything like an array as an array."""
    if isinstance(some, Tensor):
        some = some.detach().cpu()
        some = some.float() if some.dtype in (torch.float16, torch.bfloat16) else some
    return np.asarray(some)


def models_of(population: Filters | Sequence[Filters]) -> list[Floats]:
    """A population as one array [n, *k] per model; filters that come alone are those of one model."""
    one = isinstance(population, (FilterSet, FilterLayer, Tensor, np.ndarray))
    several: Iterable[Any] = [population] if one else population  # type: ignore[assignment]
    arrays = [stacked(some) for some in several]
    sizes = sorted({array.shape[1:] for array in arrays})
    if len(sizes) != 1:
        found = " and ".join(by(k) for k in sizes) or "none"
        raise WorkbenchError(f"a population needs filters of one size, but {found} came")
    return arrays


def flat(some: Filters) -> NDArray[np.float64]:
    """Filters as rows of numbers: [n, prod(k)]."""
    array = stacked(some)
    return array.reshape(len(array), -1).astype(np.float64, copy=False)


def scaled(some: Filters) -> Floats:
    """Each filter divided by its own largest magnitude, [n, *k]; filters of zeros stay as they are.

    Populations are compared by their patterns, not by how loud a layer is. Sparsity, entropy and
    orthogonality are read off the weights as they are.
    """
    array = stacked(some)
    peak = np.abs(array).max(axis=tuple(range(1, array.ndim)), keepdims=True)
    return array / np.where(peak == 0, 1, peak)


def need_pattern(k: Sequence[int], what: str) -> None:
    """Refuses filters of a single number, which have no pattern."""
    if prod(k) < 2:
        raise WorkbenchError(f"{what} needs filters of at least two numbers, but {by(k)} came")


def by(k: Sequence[int]) -> str:
    """A size in words: 3 × 3."""
    return " × ".join(map(str, k))
