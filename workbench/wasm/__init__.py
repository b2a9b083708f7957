"""A small WebAssembly emitter: a loop nest becomes bytes in one step, with SIMD, here and in a page.

>>> from workbench.wasm import Memory, Product, Tile, pack, product
>>> code = product(Product(5, 7, 3), Tile(mr=2, nv=1))
>>> memory = Memory()
>>> A, B, C = memory.put(a), memory.put(pack(b, nv=1)), memory.empty(5, 7)
>>> memory.kernel(code)(A, B, C, C)     # C = A · B; the last one would be a bias
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
