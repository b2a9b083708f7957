"""What the judge of kernels says: accepted or not, by which rule, and how fast."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from workbench.quantity import Quantity


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and the rules that it takes to see it.

    `needs` is empty for what every judge sees. A fault with two names shows only where both rules are held:
    a tail of zeros that is only asked for by one rule and only compared closely by another.
    """

    needs: frozenset[str]
    kind: str
    sentence: str
    call: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate is accepted; if not, the first fault, and under `faults` all that were looked for.

    rule: the rule that saw it, "" for the plain comparison. calls: how often the candidate was asked.
    Where time was taken: `seconds` of one call and of the `baseline`'s, their ratio `speedup` (median over
    rounds in turns), `floor` of the machine, and the `label` "cache" for a time that main memory could not
    have allowed. `contended`: others took part of the cores.
    """

    task: str
    accepted: bool
    rule: str = ""
    kind: str = "right"
    sentence: str = ""
    call: str = ""
    calls: int = 0
    faults: tuple[Fault, ...] = field(default=(), repr=False)
    seconds: Quantity | None = None
    baseline: Quantity | None = None
    speedup: Quantity | None = None
    floor: Quantity | None = None
    label: str = ""
    contended: bool = False

    def under(self, rules: Iterable[str]) -> bool:
        """Whether it would have been accepted with only these rules held (of a verdict with all faults)."""
        held = set(rules)
        return not any(fault.needs <= held for fault in self.faults)

    def __str__(self) -> str:
        by = f" (rule: {self.rule})" if self.rule else ""
        lines = [f"{'accepted' if self.accepted else 'rejected'}: {self.sentence}{by}"]
        if self.call:
            lines.append(f"  the call: {self.call}")
        return "\n".join(lines)
