"""One registry: name -> card and loader, and what this process has loaded."""

import difflib
import inspect
from typing import Any

from . import (
    attention_bank,
    attention_words,
    boards,
    filter_zoo,
    fractals,
    graphs,
    heat_series,
    horizon,
    labelled,
    minilm,
    mixer_survey,
    moving_textures,
    oscillators,
    pictures,
    scarce_digits,
    scattered_regions,
    segmentation,
    shape_textures,
    stereo,
    stick_figures,
    struck_sounds,
    textures,
    wave_snapshots,
)
from ._card import Card, DataSet
from .errors import DataError

_DATA_SETS: dict[str, DataSet] = {
    data.card.name: data
    for room in (
        *(pictures, stereo, labelled, graphs, minilm, attention_words, attention_bank),
        *(textures, shape_textures, scarce_digits, horizon, stick_figures, scattered_regions, boards),
        *(moving_textures, segmentation, heat_series, oscillators, struck_sounds, fractals),
        *(wave_snapshots, filter_zoo, mixer_survey),
    )
    for data in sorted(room.DATA_SETS, key=lambda data: data.card.name)
}
_used: dict[str, str] = {}


def load(name: str, **options: Any) -> Any:
    """The data set called `name`; `card(name)` says which shapes, units and options it has.

    Returns a fresh array, a mapping of fresh arrays, or (vocabulary) a tuple of strings.
    Raises DataError for an unknown name, an unknown option, or data that are not on this computer.
    """
    data = _find(name)
    allowed = list(inspect.signature(data.load).parameters)
    for option in options:
        if option not in allowed:
            takes = f"takes {' and '.join(allowed)}" if allowed else "takes no options"
            raise DataError(f"{name} {takes}, but {option!r} came")
    value = data.load(**options)
    _used[name] = data.card.version()
    return value


def card(name: str) -> Card:
    """What is known about the data set called `name`."""
    return _find(name).card


def cards() -> list[Card]:
    """All cards: pictures, stereo, labelled pictures, graphs, a trained transformer, and what is made."""
    return [data.card for data in _DATA_SETS.values()]


def names() -> list[str]:
    """The names that `load` knows, in the order of `cards`."""
    return list(_DATA_SETS)


def version(name: str) -> str:
    """The data set's present version: a SHA-256 of its files or of the code that makes it, not loading it."""
    return _find(name).card.version()


def used() -> dict[str, str]:
    """Name -> version, at the time of loading, of every data set that this process has loaded.

    A result made from them is still good while `version(name)` of each is unchanged.
    """
    return dict(_used)


def _find(name: str) -> DataSet:
    if isinstance(name, str) and name in _DATA_SETS:
        return _DATA_SETS[name]
    near = difflib.get_close_matches(str(name), _DATA_SETS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_DATA_SETS)}"
    raise DataError(f"no data set is called {name!r}; {hint}")
