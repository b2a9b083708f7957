"""Can this process read the processor's own counters? Virtual machines and locked laptops say no."""

import ctypes
import os
import platform
import struct
from pathlib import Path

# perf_event_open has no wrapper in the C library; its number depends on the architecture.
SYSCALL = {"x86_64": 298, "aarch64": 241}
DISABLED_AND_USER_ONLY = 0b1100001  # disabled, exclude_kernel, exclude_hv
INSTRUCTIONS = 1


def hardware_counters(paranoid: Path = Path("/proc/sys/kernel/perf_event_paranoid")) -> tuple[bool, str]:
    """Whether a counter of executed instructions opens, and one sentence that says why or why not."""
    number = SYSCALL.get(platform.machine())
    if platform.system() != "Linux" or number is None:
        return False, f"counters are read on Linux only, and this is {platform.system()} {platform.machine()}"
    # struct perf_event_attr: type 0 (hardware), its size, the event, ..., and the bit field of flags.
    attributes = struct.pack("=IIQQQQQ16x", 0, 64, INSTRUCTIONS, 0, 0, 0, DISABLED_AND_USER_ONLY)
    library = ctypes.CDLL(None, use_errno=True)
    this_process, any_processor, no_group, no_flags = (ctypes.c_long(n) for n in (0, -1, -1, 0))
    descriptor = library.syscall(
        ctypes.c_long(number), attributes, this_process, any_processor, no_group, no_flags
    )
    if descriptor >= 0:
        os.close(descriptor)
        return True, "executed instructions can be counted"
    reason = os.strerror(ctypes.get_errno())
    try:
        reason += f", perf_event_paranoid is {paranoid.read_text().strip()}"
    except OSError:
        reason += ", and the kernel has no perf_event_paranoid"
    return False, f"the kernel does not open a counter ({reason})"
