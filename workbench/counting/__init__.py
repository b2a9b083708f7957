"""One source, three builds: run a kernel fast, count what it does, trace how it goes; and simulate caches.

`@kernel` returns numba's own dispatcher. `count` compiles the same source again with every load, store and
operation counted; `trace` keeps their sequence; `simulate` sends any addresses through the same caches.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
