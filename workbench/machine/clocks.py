"""Was a measurement alone? Wall time is what passed, CPU time what this process got of it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil

CONTENDED = 1.2  # wall over CPU time above which others took part of the cores


def now() -> str:
    """The date and time for a record, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def contention(wall: float, cpu: float, threads: int = 1) -> float:
    """Wall over CPU time of work that keeps `threads` threads busy: 1 when undisturbed.

    Below 1, more threads worked than were told of. Infinite where no CPU time was seen.
    """
    return wall * threads / cpu if cpu > 0 else float("inf")


@dataclass
class Company:
    """What others did meanwhile: the share of all cores that was not idle and not ours, 0 to 1."""

    busy: float = float("nan")


@contextmanager
def company() -> Iterator[Company]:
    """Watches the whole machine while the block runs; `busy` is known at its end."""
    seen = Company()
    start, used, all_used = time.perf_counter(), time.process_time(), _all_busy()
    yield seen
    wall, ours, everyone = time.perf_counter() - start, time.process_time() - used, _all_busy() - all_used
    seen.busy = min(1.0, max(0.0, (everyone - ours) / (wall * (os.cpu_count() or 1))))


def _all_busy() -> float:
    """CPU seconds that all processes of the machine have used, and that its host has taken away."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - _counted_twice(times)


def _counted_twice(times: object) -> float:
    """Linux includes the time of its guests in user and nice."""
    return getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
