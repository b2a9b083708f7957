from ._card import Card
from .download import fetch
from .errors import DataError
from .registry import card, cards, load, names, used, version

__all__ = ["Card", "DataError", "card", "cards", "fetch", "load", "names", "used", "version"]
