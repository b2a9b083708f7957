from ._card import Card
from .download import fetch
from .errors import DataError
from .registry import card, cards, load, names, used, version
from .scattered_regions import region_answers, region_counts, region_expectation, region_ideal

__all__ = [
    "Card",
    "DataError",
    "card",
    "cards",
    "fetch",
    "load",
    "names",
    "region_answers",
    "region_counts",
    "region_expectation",
    "region_ideal",
    "used",
    "version",
]
