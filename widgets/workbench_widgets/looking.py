"""What the parts of a reader's model look at, ready for a panel: maps of the first example, by layer."""

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from workbench import probes
from workbench.errors import WorkbenchError
from workbench.probes import AttentionMap

from .seen import ONE_AT_A_TIME, WHOLE, _copied, _fingerprint, _is_pointwise

IMPLICIT = "Not attention, but how the output would move: rows of the derivative, one channel a head."


class Looking:
    """A copy of a model, and the maps of what its parts look at in the first example of `inputs`.

    maps: by layer, in their order. Where the model has no attention, the derivatives of its parts stand in
    (`implicit` is then true). grid: rows and columns of the image that keys lie on, for each layer, and
    skip: how many keys stand before them, such as a class token; None where keys lie on no image.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Sequence[Any],
        layers: Sequence[str] | None,
        most: int,
        places: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        self.kind = type(model).__name__
        self.model = _copied(model)
        self.inputs = tree_map_only(Tensor, lambda given: given.detach()[:1].clone(), tuple(inputs))
        self.fingerprint = _fingerprint([*self.model.state_dict().values(), *tree_leaves(self.inputs)])
        with ONE_AT_A_TIME:
            with torch.no_grad():
                found = probes.attention(self.model, *self.inputs)
            self.implicit = not found
            maps = self._derivatives(layers) if self.implicit else _named(found)
        for name, where in (places or {}).items():
            if name not in maps:
                raise WorkbenchError(f"places are for parts that attend, but {name!r} is none of them")
            maps[name] = probes.windows_to_field(maps[name], where)
        if layers:
            if missing := [name for name in layers if name not in maps]:
                raise WorkbenchError(
                    f"{self.kind} has no part {missing[0]!r} that attends; there are {', '.join(maps)}"
                )
            self.maps = {name: maps[name] for name in layers}
        else:
            kept = np.linspace(0, len(maps) - 1, min(most, len(maps))).round().astype(int)
            self.maps = {name: map for i, (name, map) in enumerate(maps.items()) if i in kept}
        self._rows: dict[tuple[str, int], NDArray[np.float64]] = {}

    def row(self, layer: str, head: int, query: int) -> NDArray[np.float64]:
        """What one query looks at, [keys]; kept, since a knob comes back to it."""
        if (layer, query) not in self._rows:
            with ONE_AT_A_TIME:
                found = self.maps[layer].probabilities(slice(query, query + 1))
            self._rows[layer, query] = found[0, :, 0].double().cpu().numpy()
        return self._rows[layer, query][head]

    def note(self, layer: str) -> str:
        """What a reader has to mind about this layer; often nothing."""
        if self.implicit:
            return IMPLICIT
        if (parts := self.maps[layer].shape[0]) > 1:
            return f"This part attends in {parts} windows; the first is shown (places= puts all together)."
        return ""

    def image(self) -> NDArray[np.float64] | None:
        """The first input as a photograph from 0 to 1, or None if it is none."""
        x = self.inputs[0]
        if not isinstance(x, Tensor) or x.dim() != 4 or x.shape[1] not in (1, 3) or not x.is_floating_point():
            return None
        pixels = np.moveaxis(x[0].double().cpu().numpy(), 0, -1)
        pixels = pixels if pixels.shape[2] == 3 else pixels[..., 0]
        return (pixels - pixels.min()) / (np.ptp(pixels) or 1)

    def grid(self, layer: str, image: NDArray[Any]) -> tuple[tuple[int, int], int] | None:
        """The grid of the keys and how many keys stand before it; None where they are no patches."""
        map = self.maps[layer]
        if map.shape[0] > 1:
            return None
        if map.grid is not None and len(map.grid) == 2:
            return (map.grid[0], map.grid[1]), 0
        height, width = image.shape[:2]
        for skip in (0, 1):  # patches are square, so the grid has the shape of the image
            keys = map.shape[3] - skip
            rows = isqrt(keys * height // width) if keys > 0 else 0
            if rows and keys % rows == 0 and rows * width == keys // rows * height:
                return (rows, keys // rows), skip
        return None

    def _derivatives(self, layers: Sequence[str] | None) -> dict[str, AttentionMap]:
        """For parts that take and return places: those of the reader, or all that mix them."""
        maps: dict[str, AttentionMap] = {}
        parts = {name: part for name, part in self.model.named_modules() if name and not _is_pointwise(part)}
        names = [name for name in parts if not list(parts[name].children())]
        for name in layers or [*names, WHOLE]:
            try:
                maps[name] = probes.implicit_attention(
                    self.model,
                    *self.inputs,
                    part="" if name == WHOLE else name,
                    reduce="contribution",
                )
            except WorkbenchError:
                if layers:
                    raise
        if not maps:
            raise WorkbenchError(f"{self.kind} has no attention, and no part that maps places to places")
        return {name: map for name, map in maps.items() if map.shape[2] > 1} or maps


def _named(found: Sequence[AttentionMap]) -> dict[str, AttentionMap]:
    """By the name of the part, with the number of the call where a part attends more than once."""
    several = {map.module for map in found if map.call}
    return {
        f"{map.module or WHOLE}{f' (call {map.call})' if map.module in several else ''}": map for map in found
    }
