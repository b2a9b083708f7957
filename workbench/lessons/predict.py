"""Predictions: a reader commits to a guess before seeing the answer, and meets it again later."""

import html
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.claims import Ledger

KIND = "prediction"
NUMBERED = re.compile(r"\d\d-[\w-]+")
Answer = str | float


def predict(
    id: str,
    question: str,
    choices: Sequence[str] | tuple[float, float],
    *,
    unit: str = "",
    why: bool = False,
    lesson: str | None = None,
) -> "Prediction":
    """Asks for a guess: shown last in a cell, it is a question with a button that keeps the answer.

    `choices`: at least two answers to choose from, or `(low, high)`, the range of a number in `unit`.
    `why`: also asks for the reason. `lesson`: "chapter/slug" where it cannot be told from the notebook's
    place. Every guess is a new row in the reader's ledger, never a changed one; a run without a reader
    shows the question and keeps nothing.
    """
    return Prediction(id, question, tuple(choices), unit, why, lesson or this_lesson())


def recall(id: str, answer: Answer | None = None, *, unit: str = "", lesson: str | None = None) -> "Recall":
    """Shows what the reader predicted under `id`, and when, beside the measured `answer`."""
    return Recall(id, answer, unit, lesson or this_lesson())


@dataclass(frozen=True)
class Prediction:
    """One question and what has been guessed so far."""

    id: str
    question: str
    choices: tuple[Any, ...]
    unit: str = ""
    why: bool = False
    lesson: str | None = None

    def __post_init__(self) -> None:
        if not self.id or not self.question:
            raise WorkbenchError(
                f"a prediction needs an id and a question, but {self.id!r}, {self.question!r} came"
            )
        if self.numeric:
            low, high = self.choices
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise WorkbenchError(f"a number is predicted between low < high, but {self.choices} came")
        elif len(set(self.choices)) < 2 or not all(isinstance(choice, str) for choice in self.choices):
            raise WorkbenchError(
                f"prediction {self.id!r} needs at least two different answers, or (low, high) of a number, "
                f"but {list(self.choices)} came"
            )

    @property
    def numeric(self) -> bool:
        """Whether a number is asked for."""
        return len(self.choices) == 2 and all(
            isinstance(end, int | float) and not isinstance(end, bool) for end in self.choices
        )

    def commit(self, guess: Answer, why: str = "", ledger: "Ledger | None" = None) -> None:
        """Keeps a guess in the reader's ledger, beside any earlier ones."""
        if self.numeric:
            low, high = self.choices
            if not isinstance(guess, int | float) or not low <= guess <= high:
                raise WorkbenchError(
                    f"expected a number from {low} to {high} {self.unit}".rstrip() + f", not {guess!r}"
                )
        elif guess not in self.choices:
            raise WorkbenchError(f"expected one of {', '.join(map(repr, self.choices))}, not {guess!r}")
        bound = {"lesson": self.lesson} if self.lesson else {}
        (ledger or _ledger()).add(
            KIND, prediction=self.id, question=self.question, guess=guess, unit=self.unit, why=why, **bound
        )

    def __str__(self) -> str:
        if self.numeric:
            options = f"a number from {self.choices[0]:g} to {self.choices[1]:g} {self.unit}".rstrip()
        else:
            options = "; ".join(self.choices)
        return f"{self.question} ({options})"

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from workbench_widgets.asleep import put_note
        from workbench_widgets.explorer import front_end_listens

        if front_end_listens():
            put_note()
            return {**self.panel()._repr_mimebundle_(), "text/plain": str(self)}
        return {"text/html": self.still(), "text/plain": str(self)}

    def still(self) -> str:
        """The question as a page shows it without a kernel: answerable for oneself, kept nowhere."""
        name = f"prediction-{html.escape(self.id, quote=True)}"
        if self.numeric:
            low, high = self.choices
            inputs = (
                f'<label><input type="number" name="{name}" min="{low:g}" max="{high:g}" step="any"> '
                f"{html.escape(self.unit)} ({low:g} to {high:g})</label>"
            )
        else:
            inputs = "<br>".join(
                f'<label><input type="radio" name="{name}"> {html.escape(choice)}</label>'
                for choice in self.choices
            )
        return (
            f'<fieldset class="workbench-prediction"><legend>{html.escape(self.question)}</legend>{inputs}'
            "<p><small>Decide before you read on; in JupyterLab your guess is kept.</small></p>"
            "</fieldset>"
        )

    def panel(self) -> Any:
        """The question as widgets, reached and worked by keyboard like any form."""
        import ipywidgets as widgets
        from workbench_widgets.keys import KeepKeys

        wide = widgets.Layout(width="auto", max_width="40em")
        if self.numeric:
            low, high = self.choices
            field: Any = widgets.Text(placeholder="a number", layout=widgets.Layout(width="10em"))
            asked: list[Any] = [
                widgets.HBox([field, widgets.Label(f"{self.unit} ({low:g} to {high:g})".strip())])
            ]
        else:
            field = widgets.RadioButtons(options=self.choices, value=None, layout=wide, tooltip=self.question)
            asked = [field]
        reason = widgets.Textarea(placeholder="Why? One sentence is enough.", layout=wide)
        button = widgets.Button(description="Commit my guess", button_style="primary", disabled=True)
        said = widgets.HTML(self._so_far())

        def enable(change: dict[str, Any]) -> None:
            button.disabled = not change["new"]

        def keep(_button: Any) -> None:
            try:
                self.commit(self._read(field.value), reason.value.strip())
            except WorkbenchError as slip:
                said.value = f'<span role="alert">{html.escape(str(slip))}</span>'
            else:
                said.value = self._so_far()

        field.observe(enable, names="value")
        button.on_click(keep)
        legend = widgets.HTML(f"<b>{html.escape(self.question)}</b>")
        return widgets.VBox([legend, *asked, *[reason] * self.why, button, KeepKeys(), said])

    def _read(self, typed: str) -> Answer:
        """What was typed or chosen, as an answer; a decimal comma is as good as a point."""
        if not self.numeric:
            return typed
        try:
            return float(typed.replace(",", "."))
        except ValueError:
            raise WorkbenchError(f"expected a number, but {typed!r} came") from None

    def _so_far(self) -> str:
        guesses = history(self.id, self.lesson)
        if not guesses:
            return '<span role="status">Nothing is kept yet.</span>'
        again = " You may change your mind: the earlier guess stays on record." if len(guesses) == 1 else ""
        return f'<span role="status">{html.escape(_guessed(guesses))}{again}</span>'


@dataclass(frozen=True)
class Recall:
    """The reader's guesses beside the answer."""

    id: str
    answer: Answer | None = None
    unit: str = ""
    lesson: str | None = None

    def __str__(self) -> str:
        return f"{_guessed(history(self.id, self.lesson))} {self.measured()}".strip()

    __repr__ = __str__

    def measured(self) -> str:
        """The second half of the sentence; empty while there is no answer."""
        return "" if self.answer is None else f"The answer is {_said(self.answer, self.unit)}."

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from workbench_widgets.explorer import front_end_listens

        if front_end_listens():
            shown = f'<p class="workbench-recall">{html.escape(str(self))}</p>'
            return {"text/html": shown, "text/plain": str(self)}
        text = f"Compare it with your own guess. {self.measured()}".strip()
        folded = (  # a page must not tell before its reader asks
            '<details class="workbench-recall"><summary>You have a guess? Show the answer</summary>'
            f"<p>{html.escape(self.measured())}</p></details>"
        )
        return {"text/html": folded, "text/plain": text}


def history(id: str, lesson: str | None = None, ledger: "Ledger | None" = None) -> list[dict[str, Any]]:
    """All guesses under `id`, oldest first; of this lesson where both sides know theirs."""
    rows = (ledger or _ledger()).rows(KIND, prediction=id, run=None)
    return [row for row in rows if not lesson or not row["lesson"] or row["lesson"] == lesson]


def this_lesson() -> str | None:
    """The key of the lesson that runs: from WORKBENCH_LESSON, else from the notebook that Jupyter names."""
    if lesson := os.environ.get("WORKBENCH_LESSON"):
        return lesson
    place = Path(os.environ.get("JPY_SESSION_NAME", ""))
    slug = re.sub(r"\.update-\d+$", "", place.name.removesuffix(".ipynb"))
    chapter = place.parent.name
    return f"{chapter}/{slug}" if NUMBERED.fullmatch(chapter) and NUMBERED.fullmatch(slug) else None


def _ledger() -> "Ledger":
    from workbench.claims.ledger import Ledger

    return Ledger()


def _guessed(guesses: list[dict[str, Any]]) -> str:
    """'You predicted 7 px on 3 May 2026, and 9 px on 4 May 2026.'"""
    if not guesses:
        return "You have not committed to a guess."
    told = [f"{_said(row['guess'], row.get('unit', ''))} on {_day(row['when'])}" for row in guesses]
    return f"You predicted {told[0]}" + "".join(f", then {later}" for later in told[1:]) + "."


def _said(answer: Answer, unit: str) -> str:
    return f"{answer:.4g} {unit}".rstrip() if isinstance(answer, int | float) else f"“{answer}”"


def _day(when: str) -> str:
    day = datetime.fromisoformat(when)
    return f"{day.day} {day:%B %Y}"
