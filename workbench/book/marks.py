"""The states of systems and claims as marks: a sign, a word and a colour, never a colour alone."""

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Mark:
    """How one state looks and what it means."""

    sign: str
    style: str
    meaning: str


MARKS = {
    "reproduced": Mark("✓", "good", "every claim of the source holds here, within its bar"),
    "direction only": Mark("↗", "part", "the effect goes the claimed way, but does not surely meet its bar"),
    "not reproduced at this scale": Mark(
        "✗", "bad", "measured here, and the claim does not hold at this scale"
    ),
    "mixed": Mark("◐", "part", "its claims came out differently; the chapter lists them"),
    "inconclusive": Mark("≈", "open", "the interval of the measurement includes both answers"),
    "needs hardware": Mark("▣", "open", "the claim can only be measured on hardware that most readers lack"),
    "needs LLM": Mark("✎", "open", "the claim can only be measured with a large language model"),
    "stale": Mark("↻", "open", "the code has changed since the verdict: it has to be measured again"),
    "present": Mark("●", "here", "the system is here and runs, but no claim of it has a verdict yet"),
    "not measured": Mark("?", "open", "nobody has measured this claim here yet"),
    "absent": Mark("·", "none", "not here yet"),
}


def mark(state: str, word: bool = False) -> str:
    """The mark as HTML; with `word` the state is written beside it, otherwise only read by screen readers."""
    known = MARKS.get(state, Mark("?", "open", state))
    text = f"<span>{escape(state)}</span>" if word else f'<span class="wb-hear">{escape(state)}</span>'
    sign = f'<span class="wb-sign" aria-hidden="true">{known.sign}</span>'
    return f'<span class="wb-mark wb-{known.style}" title="{escape(known.meaning)}">{sign}{text}</span>'


def legend(states: list[str]) -> str:
    """What the marks in `states` mean, as a definition list in a fixed order."""
    rows = [
        f"<div><dt>{mark(state, word=True)}</dt><dd>{escape(MARKS[state].meaning)}</dd></div>"
        for state in MARKS
        if state in states
    ]
    return f'<dl class="wb-legend">{"".join(rows)}</dl>'
