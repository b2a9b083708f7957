"""Numbers as a reader wants them: short, with the unit, in plain words."""

from math import floor, isfinite, log10

PREFIXES = ("", "k", "M", "G", "T", "P")
NAMES = ("", " thousand", " million", " billion", " trillion", " quadrillion")


def short(value: float, unit: str = "") -> str:
    """Three significant digits with a prefix: 6.68 M, 2.59 MB."""
    number, power = _scaled(value)
    return f"{number} {PREFIXES[power]}{unit}".strip()


def spoken(value: float, unit: str = "") -> str:
    """For text alternatives: 6.68 million flops."""
    number, power = _scaled(value)
    return f"{number}{NAMES[power]} {unit}".strip()


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
