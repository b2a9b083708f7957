"""Numbers as a reader wants them: short, with the unit, in plain words."""

from math import floor, isfinite, log10

PREFIXES = ("", "k", "M", "G", "T", "P")
NAMES = ("", " thousand", " million", " billion", " trillion", " quadrillion")


def short(value: float, unit: str = "") -> str:
    """Three significant digits with a prefix: 6.68 M, 2.59 MB, 3.2 ms."""
    if unit == "s":
        return duration(value)
    number, power = _scaled(value)
    return f"{number} {PREFIXES[power]}{unit}".strip()


def spoken(value: float, unit: str = "") -> str:
    """For text alternatives: 6.68 million flops, 3.2 ms."""
    if unit == "s":
        return duration(value)
    number, power = _scaled(value)
    return f"{number}{NAMES[power]} {unit}".strip()


def duration(seconds: float) -> str:
    """A time in the unit in which it is read well: 3.2 ms."""
    factor, unit = time_unit(seconds)
    return f"{seconds * factor:.3g} {unit}"


def time_unit(seconds: float) -> tuple[float, str]:
    """That unit, and how many of it are a second."""
    units = ((1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns"))
    return next(((factor, unit) for factor, unit in units if seconds * factor >= 1), units[-1])


def _scaled(value: float) -> tuple[str, int]:
    if value == 0 or not isfinite(value):
        return f"{value:g}", 0
    power = min(max(floor(log10(abs(value)) / 3), 0), len(PREFIXES) - 1)
    number = f"{value / 1000**power:.3g}"
    if abs(float(number)) >= 1000 and power < len(PREFIXES) - 1:  # 999.6 rounds up to the next prefix
        power += 1
        number = f"{value / 1000**power:.3g}"
    return number if "e" not in number else f"{float(number):.0f}" if abs(value) > 1 else number, power


def listed(parts: list[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
