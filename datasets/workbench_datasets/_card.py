"""What is known about a data set, as data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .digests import combined
from .errors import DataError


@dataclass(frozen=True)
class Card:
    """Where a data set came from, what may be done with it, and what `load` returns.

    `shapes` names each part of the result with its dtype and shape for the default options, e.g.
    `{"image": "float32 [512, 512, 3]"}`; a result of one part is that array itself, of several a mapping.
    `members` are the names of the rows of a stack, in order. `units` says what axes and values mean.
    """

    name: str
    title: str
    origin: str
    licence: str
    shapes: Mapping[str, str]
    units: str
    good_for: str
    sources: Callable[[], Sequence[Path]] = field(repr=False, compare=False)
    options: Mapping[str, str] = field(default_factory=dict)
    members: tuple[str, ...] = ()

    def version(self) -> str:
        """SHA-256 of the source files' bytes. Of data that are made, the code that makes them is a source.

        It changes whenever the data do; for stored data, only then.
        """
        return combined(self.sources())

    def row(self) -> dict[str, Any]:
        """The card as plain JSON values; `bytes` and `version` are None where the data are absent."""
        try:
            sources = self.sources()
            size, version = sum(path.stat().st_size for path in sources), combined(sources)
        except (DataError, OSError):
            size, version = None, None
        return {
            "name": self.name,
            "title": self.title,
            "origin": self.origin,
            "licence": self.licence,
            "shapes": dict(self.shapes),
            "units": self.units,
            "good_for": self.good_for,
            "options": dict(self.options),
            "members": list(self.members),
            "bytes": size,
            "version": version,
            "available": version is not None,
        }

    def __str__(self) -> str:
        shapes = [f"{part}: {shape}" for part, shape in self.shapes.items()]
        if len(shapes) > 6:
            shapes = [*shapes[:5], f"and {len(shapes) - 5} more"]
        lines = [
            ("shapes", "; ".join(shapes)),
            ("units", self.units),
            ("good for", self.good_for),
            ("options", "; ".join(f"{option}: {meaning}" for option, meaning in self.options.items())),
            ("members", ", ".join(self.members)),
            ("origin", self.origin),
            ("licence", self.licence),
        ]
        return "\n".join([f"{self.name}: {self.title}", *(f"  {k:9} {v}" for k, v in lines if v)])


@dataclass(frozen=True)
class DataSet:
    """A card with the function that loads what it describes. The function returns fresh arrays."""

    card: Card
    load: Callable[..., Any]
