"""A reader's model as panels look at it: which parts return maps, and what their outputs see."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from workbench import probes
from workbench.errors import WorkbenchError

Position = tuple[int, int]
WHOLE = "output"  # instead of a part's name: what the whole model returns
KEPT = 16  # effective fields that are remembered
POINTWISE = ("activation", "batchnorm", "instancenorm", "normalization", "dropout")  # torch's own modules
ONE_AT_A_TIME = Lock()  # tracing and pricing touch every module of the process for a moment


class Seen:
    """A copy of a model with its images, so that training goes on undisturbed and answers stay the same.

    names: the parts that are offered: the reader's `layers`, or up to `most` in the order in which they end.
    sizes: rows and columns of what they return. exact: their exact fields; unknown: why there is none (the
    model is traced here, once). fingerprint: of weights and images.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor | ArrayLike,
        layers: Sequence[str] | None,
        rules: Mapping[Any, Any] | None,
        most: int,
    ) -> None:
        self.kind = type(model).__name__
        self.model, self.images = _copied(model), _batch(images)
        self.fingerprint = _fingerprint([*self.model.state_dict().values(), self.images])
        self.exact: dict[str, probes.ReceptiveField] = {}
        self.unknown: dict[str, str] = {}
        self._fields: dict[tuple[str, Position, str], probes.EffectiveField] = {}
        with ONE_AT_A_TIME:
            maps = _maps(self.model, self.images[:1])
            self.names = _chosen(self.kind, maps, layers) if layers else _telling(self.model, maps, most)
            if not self.names:
                raise WorkbenchError(
                    f"{self.kind} has no part that returns a map [batch, channels, height, width] "
                    "of more than one pixel"
                )
            self.sizes = {name: (maps[name].shape[2], maps[name].shape[3]) for name in self.names}
            for name in self.names:
                self._trace(name, rules)

    def _trace(self, name: str, rules: Mapping[Any, Any] | None) -> None:
        try:
            field = probes.receptive_field(self.model, (1, *self.images.shape[1:]), _inner(name), rules=rules)
        except WorkbenchError as reason:
            self.unknown[name] = str(reason)
            return
        if np.inf in field.size or _outputs(field) == self.sizes[name]:
            self.exact[name] = field
        else:
            self.unknown[name] = f"{name!r} does not return the rows of the image as rows"

    def first_image(self) -> NDArray[np.float64]:
        """The first image as a photograph, from 0 to 1: [height, width], in colours [height, width, 3]."""
        image = self.images[0].double().cpu().numpy()
        image = np.moveaxis(image, 0, -1) if len(image) == 3 else image.mean(axis=0)
        return (image - image.min()) / (np.ptp(image) or 1)

    def reach(self, layer: str, position: Position | None = None) -> probes.ReceptiveField | None:
        """The exact field; None where it is unknown, and where this output sees no pixel at all."""
        field = self.exact.get(layer)
        return field if field and all(field.interval(position)) else None

    def effective(
        self, layer: str, position: Position | None = None, score: Any = "absolute"
    ) -> probes.EffectiveField:
        """`probes.effective_field` of one output, by default the middle one; the last few are kept."""
        height, width = self.sizes[layer]
        at = position or (height // 2, width // 2)
        with ONE_AT_A_TIME:  # two views of one panel would find each other's hooks in the model
            if (layer, at, score) not in self._fields:
                if len(self._fields) == KEPT:
                    del self._fields[next(iter(self._fields))]
                self._fields[layer, at, score] = probes.effective_field(
                    self.model,
                    self.images,
                    position=at,
                    output=_inner(layer),
                    score=score,
                    center=self._centre(layer, at),
                )
            return self._fields[layer, at, score]

    def _centre(self, layer: str, at: Position) -> tuple[float, float]:
        """As the probe would find it, which would trace the model at every turn."""
        if layer in self.exact and _outputs(self.exact[layer]) == self.sizes[layer]:
            y, x = self.exact[layer].centre(at)
        else:
            lengths = zip(at, self.images.shape[2:], self.sizes[layer], strict=True)
            y, x = ((place + 0.5) * inputs / outputs - 0.5 for place, inputs, outputs in lengths)
        return float(y), float(x)

    def noted(self, caption: str, *layers: str) -> str:
        """The caption, and what a reader has to mind about these layers."""
        for layer in layers:
            if layer in self.unknown:
                return f"{caption} Only the effective field is shown: {self.unknown[layer]}."
        for layer in layers:
            for warning in self.exact[layer].warnings:
                return f"{caption} Note: {warning}."
        return caption


def _outputs(field: probes.ReceptiveField) -> tuple[int, ...]:
    return tuple(axis.outputs for axis in field.axes)


def _inner(name: str) -> str | None:
    return None if name == WHOLE else name


def _copied(model: nn.Module) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise WorkbenchError(f"expected a torch module, but {type(model).__name__} came")
    try:
        return deepcopy(model).eval().requires_grad_(False)
    except Exception as error:  # whatever the reader's class holds
        raise WorkbenchError(
            f"{type(model).__name__} cannot be copied, which a panel needs: {_reason(error)}"
        ) from None


def _batch(images: Tensor | ArrayLike) -> Tensor:
    batch = images if isinstance(images, Tensor) else torch.from_numpy(np.array(images, np.float32))
    if batch.ndim != 4 or 0 in batch.shape:
        raise WorkbenchError(
            f"images must be [images, channels, height, width], but shape {tuple(batch.shape)} came"
        )
    return batch.detach().clone()


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


# Parts that return maps -----------------------------------------------------------------------


def _maps(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """What the parts return for one image, in the order in which they end: maps of more than one pixel."""
    maps: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_part: nn.Module, _given: Any, value: Any) -> None:
            while isinstance(value, tuple | list) and value:
                value = value[0]
            maps.pop(name, None)
            if isinstance(value, Tensor) and value.ndim == 4 and value.shape[2] * value.shape[3] > 1:
                maps[name] = value

        return hook

    hooks = [part.register_forward_hook(keep(name or WHOLE)) for name, part in model.named_modules()]
    like = next(model.parameters(), image)
    try:
        with torch.no_grad():
            model(image.to(like))
    except Exception as error:  # whatever the reader's forward raises
        kind, shape = type(model).__name__, tuple(image.shape)
        raise WorkbenchError(f"{kind} cannot be run on an image of shape {shape}: {_reason(error)}") from None
    finally:
        for hook in hooks:
            hook.remove()
    return maps


def _chosen(kind: str, maps: Mapping[str, Tensor], layers: Sequence[str]) -> list[str]:
    """The parts that the reader has named."""
    if missing := [name for name in layers if name not in maps]:
        raise WorkbenchError(
            f"{kind} has no part {missing[0]!r} that returns a map of more than one pixel; "
            f"there are {', '.join(maps) or 'none'}"
        )
    return list(layers)


def _telling(model: nn.Module, maps: Mapping[str, Tensor], most: int) -> list[str]:
    """Up to `most` parts along the way: the outermost that do more than act on each pixel, and the output."""
    parts = {name: part for name, part in model.named_modules() if name and not _is_pointwise(part)}
    working = [name for name in maps if name in parts]
    way = opened(model)
    names = [name for name in working if name.startswith(way) and "." not in name.removeprefix(way)]
    if len(names) < 2:
        names = [name for name in working if not list(parts[name].children())]
    if WHOLE in maps and not (names and maps[names[-1]] is maps[WHOLE]):
        names.append(WHOLE)
    if len(names) <= most:
        return names
    return [names[round(place)] for place in np.linspace(0, len(names) - 1, most)]


def opened(model: nn.Module) -> str:
    """What the names of the outermost parts begin with: a container with a single part is opened."""
    way = ""
    while len(children := list(model.named_children())) == 1:
        name, model = children[0]
        way += f"{name}."
    return way


def _is_pointwise(part: nn.Module) -> bool:
    home = type(part).__module__
    return home.startswith("torch.nn.modules") and (
        home.rsplit(".", 1)[-1] in POINTWISE or type(part).__name__ == "Identity"
    )


def _fingerprint(tensors: Iterable[Any]) -> bytes:
    made = hashlib.sha256()
    for tensor in tensors:
        if isinstance(tensor, Tensor):
            made.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return made.digest()
