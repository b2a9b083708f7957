"""Makes caches forget: reads so much else that nothing of a function's data can have stayed."""

from collections.abc import Callable

import numpy as np

from workbench.machine.here import Machine

TIMES = 4  # the last level: caches that protect old lines from a stream give them up by then
UNKNOWN_LAST_LEVEL = 64 * 2**20  # bytes, where the machine does not tell


def evictor(size: int | None = None) -> Callable[[], object]:
    """A function that streams `size` bytes (four times the last level) through the caches of this core.

    It only reads, so that the lines it leaves behind need not be written back at the cost of who comes next.
    Caches that belong to other cores alone keep what they have.
    """
    if size is None:
        last = max((cache.size for cache in Machine.here().caches), default=UNKNOWN_LAST_LEVEL)
        size = min(TIMES * last, Machine.here().memory // 4)
    buffer = np.ones(max(1, size // 8))  # ones: untouched zeros would all be one page
    return buffer.max
