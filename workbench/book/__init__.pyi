from .build import book, render
from .inside import Fault, inside
from .material import Material, Page, gather
from .outside import Outside, outside

__all__ = ["Fault", "Material", "Outside", "Page", "book", "gather", "inside", "outside", "render"]
