"""The processor's own counters, and those of Linux: what really happened while a function ran.

Linux counts by `perf_event_open`. Events of one group are counted together; where the processor has fewer
counters than were asked for, groups take turns, and a count is scaled from the time its group had to the
whole. Whatever does not open is absent, with the reason. A counter that cannot be read never reads zero.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.machine.clocks import now
from workbench.quantity import Quantity

SYSCALL = {"x86_64": 298, "aarch64": 241}  # perf_event_open has no wrapper in the C library
PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
HARDWARE, SOFTWARE, HARDWARE_CACHE = 0, 1, 3
READ_MISS = 1 << 16  # operation read (0) in the second byte, result miss (1) in the third
DISABLED, EXCLUDE_KERNEL, EXCLUDE_HYPERVISOR = 1 << 0, 1 << 5, 1 << 6
TIMES_AND_GROUP = 0b1011  # time enabled, time running, group
ENABLE, DISABLE, RESET, WHOLE_GROUP = 0x2400, 0x2401, 0x2403, 1


@dataclass(frozen=True)
class Event:
    """One countable thing. Events of the same `group` are counted over exactly the same stretch.

    `in_kernel`: happens while the kernel works, so that counting the program alone would find none.
    """

    type: int
    config: int
    group: str
    unit: str = ""
    scale: float = 1.0
    in_kernel: bool = False


EVENTS: dict[str, Event] = {
    "cycles": Event(HARDWARE, 0, "core"),
    "instructions": Event(HARDWARE, 1, "core"),
    "branch misses": Event(HARDWARE, 5, "core"),
    "L1D read misses": Event(HARDWARE_CACHE, 0 | READ_MISS, "cache"),
    "LLC read misses": Event(HARDWARE_CACHE, 2 | READ_MISS, "cache"),
    "task clock": Event(SOFTWARE, 1, "kernel", "s", 1e-9, in_kernel=True),
    "page faults": Event(SOFTWARE, 2, "kernel", in_kernel=True),
    "context switches": Event(SOFTWARE, 3, "kernel", in_kernel=True),
}
Opener = Callable[[Event, int], int]  # event, descriptor of its group's first or -1 -> descriptor


@dataclass
class CounterReading:
    """What was counted. `reading["cycles"]` is a measured quantity, or an error that says why there is none.

    `absent` holds one sentence for each event that could not be counted; `share` the part of the time that
    an event was really counted (1: all of it; below, the count was scaled up). Filled when the block ends.
    """

    quantities: dict[str, Quantity] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    share: dict[str, float] = field(default_factory=dict)
    result: Any = field(default=None, repr=False)

    def __getitem__(self, name: str) -> Quantity:
        if name in self.quantities:
            return self.quantities[name]
        if name in self.absent:
            raise WorkbenchError(f"{name}: {self.absent[name]}")
        raise WorkbenchError(f"{name!r} was not counted; there are {', '.join(self.quantities) or 'none'}")

    def __contains__(self, name: str) -> bool:
        return name in self.quantities

    def rows(self) -> list[dict[str, Any]]:
        """One row per event, the absent ones with their reason."""
        counted = [
            {"event": name, "value": quantity.value, "unit": quantity.unit, "note": self._note(name)}
            for name, quantity in self.quantities.items()
        ]
        return counted + [
            {"event": name, "value": None, "unit": "", "note": reason} for name, reason in self.absent.items()
        ]

    def _note(self, name: str) -> str:
        share = self.share.get(name, 1.0)
        return "" if share > 0.999 else f"counted {share:.0%} of the time and scaled"

    def __str__(self) -> str:
        return "\n".join(
            f"{row['event']:18} {'' if row['value'] is None else format(row['value'], ',.6g')} "
            f"{row['unit']}{row['note']}".rstrip()
            for row in self.rows()
        )


@contextmanager
def counters(names: Iterable[str] | None = None) -> Iterator[CounterReading]:
    """Counts while the block runs, in this thread alone: what other threads do is not seen.

    Hardware events count the program, software events also the kernel's work for it.

    >>> with counters() as c:
    ...     total = sum(range(1000))
    >>> "cycles" in c or c.absent["cycles"].startswith("not available here because")
    True
    """
    wanted = _known(names)
    reading = CounterReading()
    groups = open_groups(wanted, reading.absent)
    try:
        for group in groups:
            group.start()
        try:
            yield reading
        finally:
            for group in reversed(groups):
                group.stop()
            for group in groups:
                group.read_into(reading)
    finally:
        for group in groups:
            group.close()


def measure(f: Callable[[], Any], names: Iterable[str] | None = None) -> CounterReading:
    """Counts one call of f; what it returns is the reading's `result`."""
    with counters(names) as reading:
        reading.result = f()
    return reading


def available() -> dict[str, str]:
    """For every event an empty text, or the sentence that says why it cannot be counted here."""
    absent: dict[str, str] = {}
    for group in open_groups(list(EVENTS), absent):
        group.close()
    return {name: absent.get(name, "") for name in EVENTS}


def hardware_counters() -> tuple[bool, str]:
    """Whether executed instructions can be counted, and one sentence that says why or why not."""
    absent: dict[str, str] = {}
    for group in open_groups(["instructions"], absent):
        group.close()
    if absent:
        return False, f"the processor's counters are {absent['instructions']}"
    return True, "executed instructions can be counted"


@dataclass
class Group:
    """Open descriptors of events that are counted together; the first one leads."""

    names: list[str]
    descriptors: list[int]

    def start(self) -> None:
        """Sets all to zero and counts."""
        self._tell(RESET)
        self._tell(ENABLE)

    def stop(self) -> None:
        """Counts no longer."""
        self._tell(DISABLE)

    def read_into(self, reading: CounterReading) -> None:
        """Reads all at once; a group that never had its turn is absent."""
        from workbench.machine.here import machine_name

        enabled, running, counts = parse_group(os.read(self.descriptors[0], 24 + 8 * len(self.names)))
        for name, count in zip(self.names, counts, strict=True):
            value = corrected(count, enabled, running)
            if value is None:
                reading.absent[name] = _because("other programs held the counters all the time")
                continue
            event = EVENTS[name]
            reading.quantities[name] = Quantity(
                value * event.scale, event.unit, "measured", machine=machine_name(), when=now()
            )
            reading.share[name] = running / enabled if enabled else 1.0

    def close(self) -> None:
        """Gives the counters back."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    def _tell(self, request: int) -> None:
        import fcntl  # not on Windows, where no group opens

        fcntl.ioctl(self.descriptors[0], request, WHOLE_GROUP)


def open_groups(names: list[str], absent: dict[str, str], opener: Opener | None = None) -> list[Group]:
    """Opens what opens; `absent` gets a sentence for each event that does not."""
    if opener is None:
        if platform.system() != "Linux" or platform.machine() not in SYSCALL:
            where = f"{platform.system()} {platform.machine()}"
            absent.update(
                {name: _because(f"this is {where} and only Linux counts for a program") for name in names}
            )
            return []
        opener = open_event
    groups: dict[str, Group] = {}
    for name in names:
        event = EVENTS[name]
        group = groups.setdefault(event.group, Group([], []))
        try:
            descriptor = opener(event, group.descriptors[0] if group.descriptors else -1)
        except OSError as error:
            absent[name] = _because(_reason(error))
            continue
        group.names.append(name)
        group.descriptors.append(descriptor)
    return [group for group in groups.values() if group.names]


def open_event(event: Event, leader: int) -> int:
    """Asks the kernel for a counter of this thread on any processor; OSError says why there is none."""
    flags = (DISABLED if leader < 0 else 0) | (0 if event.in_kernel else EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR)
    # struct perf_event_attr, first version: type, size, config, period, sample type, read format, flags, ...
    attributes = struct.pack("=IIQQQQQ16x", event.type, 64, event.config, 0, 0, TIMES_AND_GROUP, flags)
    library = ctypes.CDLL(None, use_errno=True)
    this_thread, any_processor, group, close_on_exec = (ctypes.c_long(n) for n in (0, -1, leader, 8))
    number = ctypes.c_long(SYSCALL[platform.machine()])
    descriptor = library.syscall(number, attributes, this_thread, any_processor, group, close_on_exec)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(descriptor)


def parse_group(told: bytes) -> tuple[int, int, list[int]]:
    """The kernel's answer: nanoseconds enabled, nanoseconds running, and the counts in order of opening."""
    number, enabled, running = struct.unpack_from("=QQQ", told)
    return enabled, running, list(struct.unpack_from(f"={number}Q", told, 24))


def corrected(count: int, enabled: int, running: int) -> float | None:
    """The count over the whole time, from the part in which it was counted; None if it never was.

    >>> corrected(500, enabled=100, running=50)
    1000.0
    """
    if running == 0:
        return None
    return count * (enabled / running)


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
        return "this processor, or the virtual machine it is part of, does not offer it"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"the system does not allow it (perf_event_paranoid is {_paranoid()})"
    return f"the system answers: {error.strerror or error}"


def _paranoid() -> str:
    try:
        return PARANOID.read_text().strip()
    except OSError:
        return "not told"


def _because(reason: str) -> str:
    return f"not available here because {reason}"


def _known(names: Iterable[str] | None) -> list[str]:
    wanted = list(EVENTS) if names is None else list(names)
    for name in wanted:
        if name not in EVENTS:
            raise WorkbenchError(f"no counter is called {name!r}; there are {', '.join(EVENTS)}")
    return wanted
