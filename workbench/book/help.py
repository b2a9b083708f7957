"""Help with an exercise, as HTML that opens without script: hints one inside the other, and reasons."""

import re

from workbench.exercises import Exercise, exercise
from workbench.exercises.show import prose

CHECK = re.compile(r"""\bexercise\(\s*(?P<quote>["'])(?P<name>[^"']+)(?P=quote)\s*\)\.check\(""")

WHOSE = (
    '<p class="wb-whose">This is the result of the solution that is folded above, not of the empty cell. '
    "In JupyterLab the same cell judges what you write.</p>"
)


def checked(source: str) -> str | None:
    """The name of the exercise that a code cell checks, or None."""
    found = CHECK.search(source)
    return found["name"] if found else None


def ladder(name: str) -> str:
    """The hints of an exercise from gentle to nearly all; each opens inside the one before."""
    hints = exercise(name).hints
    steps = ""
    for number, hint in reversed(list(enumerate(hints, 1))):
        steps = (
            f"<details><summary>Hint {number} of {len(hints)}</summary><p>{prose(hint)}</p>{steps}</details>"
        )
    return f'<div class="wb-hints" role="group" aria-label="Hints">{steps}</div>' if steps else ""


def reasons(name: str) -> str:
    """Why the solution is right, and the mistakes that the check knows by name, folded."""
    asked: Exercise = exercise(name)
    known = "".join(
        f"<li>{prose(mistake)}: {prose(hint)}</li>" for mistake, (_, hint) in asked.wrong_answers.items()
    )
    mistakes = f"<p>Mistakes that the check knows:</p><ul>{known}</ul>" if known else ""
    why = f"<p>{prose(asked.explanation)}</p>"
    return f'<div class="wb-hints"><details><summary>Why it is right</summary>{why}{mistakes}</details></div>'
