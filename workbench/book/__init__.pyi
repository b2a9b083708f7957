from .build import book, render
from .material import Material, Page, gather
from .outside import Outside, outside

__all__ = ["Material", "Outside", "Page", "book", "gather", "outside", "render"]
