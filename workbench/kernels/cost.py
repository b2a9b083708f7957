"""What a kernel's source executes, derived from the shapes of its arguments alone."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cost:
    """A closed form: `flops`, and by array the `loads`, `stores` and bytes touched at least once.

    The fields have the meaning and the names that `count` gives them, so that a formula and a count can be
    held against each other.
    """

    flops: int
    loads: dict[str, int]
    stores: dict[str, int]
    bytes_unique: dict[str, int]

    def equals(self, counts: Any) -> bool:
        """Whether a `Counts` says the same; an array that is never touched may be left out of a form."""
        same = [
            {name: number for name, number in formula.items() if number}
            == {name: number for name, number in counted.items() if number}
            for formula, counted in (
                (self.loads, counts.loads),
                (self.stores, counts.stores),
                (self.bytes_unique, counts.bytes_unique),
            )
        ]
        return all(same) and self.flops == counts.flops
