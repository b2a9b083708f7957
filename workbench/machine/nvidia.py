"""NVIDIA devices, as torch tells of them: nothing else is asked, and nothing is set."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workbench.errors import WorkbenchError
from workbench.machine.clocks import now
from workbench.quantity import Quantity


@dataclass(frozen=True)
class Gpu:
    """One device. `memory` and `l2` in bytes, `clock` in Hz; None where this torch does not tell."""

    name: str
    capability: str
    multiprocessors: int
    memory: int
    l2: int | None = None
    clock: float | None = None

    @property
    def sentence(self) -> str:
        """The device in words."""
        clock = f", up to {self.clock / 1e9:.2f} GHz" if self.clock else ""
        return (
            f"{self.name} with {self.multiprocessors} multiprocessors, {self.memory / 2**30:.0f} GiB{clock}"
        )


def gpus() -> tuple[tuple[Gpu, ...], str]:
    """All devices, or none and the sentence that says why."""
    import torch

    if torch.version.cuda is None:
        return (), "no NVIDIA device is available here because this torch is built without CUDA"
    if not torch.cuda.is_available():
        return (), "no NVIDIA device is available here because torch finds no device or no driver"
    return tuple(_gpu(torch.cuda.get_device_properties(i)) for i in range(torch.cuda.device_count())), ""


def elapsed(f: Callable[[], Any], repeats: int = 9, warmup: int = 1) -> Quantity:
    """Median seconds of one call on the current NVIDIA device, by the device's own events.

    The interval goes from the shortest to the longest of the `repeats` calls.
    """
    import torch

    if repeats < 1:
        raise WorkbenchError(f"repeats must be at least 1, but {repeats} came")
    found, reason = gpus()
    if not found:
        raise WorkbenchError(reason)
    for _ in range(warmup):
        f()
    torch.cuda.synchronize()
    seconds = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        f()
        end.record()
        end.synchronize()
        seconds.append(start.elapsed_time(end) / 1e3)  # told in milliseconds
    seconds.sort()
    device = found[torch.cuda.current_device()].name
    median = seconds[len(seconds) // 2]
    return Quantity(median, "s", "measured", seconds[0], seconds[-1], device, now())


def _gpu(told: Any) -> Gpu:
    clock = getattr(told, "clock_rate", None)  # kHz
    return Gpu(
        name=told.name,
        capability=f"{told.major}.{told.minor}",
        multiprocessors=told.multi_processor_count,
        memory=told.total_memory,
        l2=getattr(told, "L2_cache_size", None),
        clock=clock * 1e3 if clock else None,
    )
