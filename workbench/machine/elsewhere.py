"""Machines that are not here, as documents describe them: for asking what a kernel would meet elsewhere.

Every figure is a formula with its source. Peaks are clock times operations a cycle, at the highest clock for
one core and at the base clock for all: no program reaches them, unlike measured ceilings. What no document
at hand tells is left out, and asking for it says so.
"""

from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.machine.ceiling import Ceiling, Ceilings, Cores
from workbench.machine.here import Cache
from workbench.quantity import Quantity

KIB, MIB, GIGA = 2**10, 2**20, 1e9


@dataclass(frozen=True)
class Preset:
    """A machine by its documents. Takes the place of a `Machine` where caches and ceilings are wanted.

    `key` is what `Machine.preset` takes; `cores` are those that `ceilings()` means by all.
    """

    key: str
    name: str
    cores: int
    caches: tuple[Cache, ...]
    caches_source: str
    limits: tuple[Ceiling, ...]

    def cache(self, level: int) -> Cache | None:
        """The data cache of this level, if there is one."""
        return next((cache for cache in self.caches if cache.level == level), None)

    def ceilings(self) -> Ceilings:
        """The limits in the shape of measured ones; provenance `formula`, each with its source."""
        return Ceilings(
            machine=self.name,
            when=None,
            flops=tuple(limit for limit in self.limits if limit.quantity.unit == "flop/s"),
            bandwidths=tuple(limit for limit in self.limits if limit.quantity.unit == "B/s"),
            notes=(f"Caches: {self.caches_source}.",),
        )


def presets() -> tuple[Preset, ...]:
    """All presets."""
    return PRESETS


def preset(key: str) -> Preset:
    """The preset called `key`: laptop, phone, server, gpu or gpu-multiprocessor."""
    for each in PRESETS:
        if each.key == key:
            return each
    raise WorkbenchError(f"no preset is called {key!r}; there are {', '.join(each.key for each in PRESETS)}")


def _flops(what: str, cores: Cores, value: float, source: str) -> Ceiling:
    return Ceiling(what, cores, Quantity(value, "flop/s", "formula"), source=source)


def _bytes(level: str, cores: Cores, value: float, source: str) -> Ceiling:
    return Ceiling(level, cores, Quantity(value, "B/s", "formula"), source=source)


# Laptop
I7 = "WikiChip, Core i7-7820HQ"
SKYLAKE = "Intel 64 and IA-32 Architectures Optimization Reference Manual, cache parameters of Skylake client"
FLOPS_A_CYCLE = "Stack Overflow 15655835, FLOPs per cycle by microarchitecture"
I7_TURBO, I7_BASE, I7_CORES = 3.9 * GIGA, 2.9 * GIGA, 4

LAPTOP = Preset(
    key="laptop",
    name="laptop: Intel Core i7-7820HQ (2017)",
    cores=I7_CORES,
    caches=(
        Cache(1, 32 * KIB, 64, 8, 1),
        Cache(2, 256 * KIB, 64, 4, 1),
        Cache(3, 8 * MIB, 64, 16, I7_CORES),
    ),
    caches_source=f"{SKYLAKE}; sizes also in {I7}",
    limits=(
        _flops("float32 scalar", "one", 4 * I7_TURBO, f"4 a cycle ({FLOPS_A_CYCLE}) at 3.9 GHz ({I7})"),
        _flops("float32", "one", 32 * I7_TURBO, f"32 a cycle ({FLOPS_A_CYCLE}) at 3.9 GHz ({I7})"),
        _flops("float64", "one", 16 * I7_TURBO, f"16 a cycle ({FLOPS_A_CYCLE}) at 3.9 GHz ({I7})"),
        _flops(
            "float32", "all", 32 * I7_BASE * I7_CORES, f"32 a cycle ({FLOPS_A_CYCLE}), 4 x 2.9 GHz ({I7})"
        ),
        _flops(
            "float64", "all", 16 * I7_BASE * I7_CORES, f"16 a cycle ({FLOPS_A_CYCLE}), 4 x 2.9 GHz ({I7})"
        ),
        _bytes("L1", "one", 96 * I7_TURBO, f"96 bytes a cycle ({SKYLAKE}) at 3.9 GHz"),
        _bytes("L2", "one", 64 * I7_TURBO, f"64 bytes a cycle ({SKYLAKE}) at 3.9 GHz"),
        _bytes("L3", "one", 32 * I7_TURBO, f"32 bytes a cycle ({SKYLAKE}) at 3.9 GHz"),
        _bytes("DRAM", "one", 38.397 * GIGA, f"{I7}, maximum of the whole chip"),
        _bytes("L1", "all", 96 * I7_BASE * I7_CORES, f"96 bytes a cycle and core ({SKYLAKE}), 4 x 2.9 GHz"),
        _bytes("L2", "all", 64 * I7_BASE * I7_CORES, f"64 bytes a cycle and core ({SKYLAKE}), 4 x 2.9 GHz"),
        _bytes("DRAM", "all", 38.397 * GIGA, f"{I7}, maximum"),
    ),
)

# One core of a phone
A76 = "Arm Cortex-A76 Core Technical Reference Manual, 100798_0300, A6.1"
A76_WIKI = "WikiChip, Cortex-A76"
A76_PIPES = (
    "two 128-bit SIMD pipelines (Android Authority, Cortex-A76 deep dive), if each multiplies and adds"
)
SD855 = "WikiChip, Snapdragon 855"
A76_CLOCK = 2.84 * GIGA

PHONE = Preset(
    key="phone",
    name="phone core: Arm Cortex-A76 in a Snapdragon 855 (2019)",
    cores=1,
    caches=(
        Cache(1, 64 * KIB, 64, 4, 1),
        Cache(2, 512 * KIB, 64, 8, 1),
        Cache(3, 2 * MIB, 64, 16),
    ),
    caches_source=f"L1 {A76}; L2 (largest that Arm offers) and L3 (smallest in a phone) {A76_WIKI}",
    limits=(
        _flops("float32", "one", 16 * A76_CLOCK, f"{A76_PIPES} each cycle, 2.84 GHz ({SD855})"),
        _flops("float64", "one", 8 * A76_CLOCK, f"{A76_PIPES} each cycle, 2.84 GHz ({SD855})"),
        _bytes("L1", "one", 32 * A76_CLOCK, f"two 128-bit read paths ({A76}) at 2.84 GHz"),
        _bytes("L2", "one", 32 * A76_CLOCK, f"a 256-bit read interface ({A76}) at 2.84 GHz"),
        _bytes("DRAM", "one", 4 * 2 * 4.266 * GIGA, f"four 16-bit channels of LPDDR4X-4266 ({SD855})"),
    ),
)

# Server
EPYC = "TechPowerUp CPU Database, EPYC 9654"
ZEN4_FMA = "two 256-bit fused multiply-adds a cycle (wlog.flatlib.jp, vfpbench on Zen 3 and Zen 4)"
ZEN4_L1 = "two 256-bit loads a cycle (Qeeebo, Zen 4 and AVX-512)"
EPYC_TURBO, EPYC_BASE, EPYC_CORES = 3.7 * GIGA, 2.4 * GIGA, 96
DDR5 = "twelve channels of DDR5-4800, 460.8 GB/s (Tom's Hardware on EPYC Genoa)"

SERVER = Preset(
    key="server",
    name="server: AMD EPYC 9654 (2022)",
    cores=EPYC_CORES,
    caches=(
        Cache(1, 32 * KIB, 64, 8, 1),
        Cache(2, 1 * MIB, 64, 8, 1),
        Cache(3, 32 * MIB, 64, 16, 8),
    ),
    caches_source="what Linux lists on an EPYC of family 25, model 17; L3 for each 8 cores (Tom's Hardware)",
    limits=(
        _flops("float32", "one", 32 * EPYC_TURBO, f"{ZEN4_FMA} at 3.7 GHz ({EPYC})"),
        _flops("float64", "one", 16 * EPYC_TURBO, f"{ZEN4_FMA} at 3.7 GHz ({EPYC})"),
        _flops("float32", "all", 32 * EPYC_BASE * EPYC_CORES, f"{ZEN4_FMA}, 96 x 2.4 GHz ({EPYC})"),
        _flops("float64", "all", 16 * EPYC_BASE * EPYC_CORES, f"{ZEN4_FMA}, 96 x 2.4 GHz ({EPYC})"),
        _bytes("L1", "one", 64 * EPYC_TURBO, f"{ZEN4_L1} at 3.7 GHz"),
        _bytes("L1", "all", 64 * EPYC_BASE * EPYC_CORES, f"{ZEN4_L1}, 96 x 2.4 GHz"),
        _bytes("DRAM", "one", 460.8 * GIGA, f"{DDR5}; of the whole chip"),
        _bytes("DRAM", "all", 460.8 * GIGA, DDR5),
    ),
)

# GPU: one multiprocessor, and all 108 of them
A100 = "NVIDIA A100 (SXM4, 40 GB), NVIDIA Ampere Architecture In-Depth"
A100_CLOCKS = "Hardware Times, NVIDIA Ampere Architectural Analysis: 64 and 32 cores, 1410 MHz"
A100_CACHES = "Ultrasonics Sonochemistry 99 (2023) 106546, table 3"
A100_SM, A100_CLOCK = 108, 1.41 * GIGA
A100_CACHE_SIZES = (Cache(1, 192 * KIB, 128, None, 1), Cache(2, 40 * MIB, 128, None, A100_SM))
A100_CACHES_SOURCE = (
    f"{A100} (L1 and shared memory together 192 KB, L2 40 MB); lines of 128 bytes: "
    "NVIDIA CUDA C++ Programming Guide; ways not told"
)
SM_LIMITS = (
    _flops("float32", "one", 128 * A100_CLOCK, f"64 multiply-adds a cycle ({A100_CLOCKS})"),
    _flops("float64", "one", 64 * A100_CLOCK, f"32 multiply-adds a cycle ({A100_CLOCKS})"),
    _bytes("L1", "one", 23101 * GIGA / 128, f"23101 GB/s shared by 128 multiprocessors ({A100_CACHES})"),
    _bytes("L2", "one", 7219 * GIGA / A100_SM, f"its share of 7219 GB/s while all work ({A100_CACHES})"),
    _bytes("DRAM", "one", 1555 * GIGA / A100_SM, f"its share of 1555 GB/s while all work ({A100})"),
)

SM = Preset(
    key="gpu-multiprocessor",
    name="one multiprocessor of an NVIDIA A100 (2020)",
    cores=1,
    caches=A100_CACHE_SIZES,
    caches_source=A100_CACHES_SOURCE,
    limits=SM_LIMITS,
)

GPU = Preset(
    key="gpu",
    name="NVIDIA A100, all 108 multiprocessors (2020)",
    cores=A100_SM,
    caches=A100_CACHE_SIZES,
    caches_source=A100_CACHES_SOURCE,
    limits=(
        *SM_LIMITS,
        _flops("float32", "all", 19.5e12, A100),
        _flops("float64", "all", 9.7e12, A100),
        _bytes("L1", "all", 23101 * GIGA * A100_SM / 128, f"108 of 128 shares of 23101 GB/s ({A100_CACHES})"),
        _bytes("L2", "all", 7219 * GIGA, A100_CACHES),
        _bytes("DRAM", "all", 1555 * GIGA, A100),
    ),
)

PRESETS = (LAPTOP, PHONE, SERVER, GPU, SM)
