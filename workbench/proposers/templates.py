"""`Templates`: the first kernel for an operation, from a table, with the choices that a writer has."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workbench.proposers.answer import fenced
from workbench.proposers.contract import Message
from workbench.proposers.prompt import Prompt
from workbench.proposers.rewriting import generator, normal, seen

REFUSAL = "I have no template for this operation."


@dataclass(frozen=True)
class Template:
    """A kernel with holes. `choices[hole]` are the texts that may stand where the source says `<hole>`."""

    source: str
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def filled(self) -> list[str]:
        """Every kernel that it stands for, the first choices first."""
        found = []
        for picks in itertools.product(*self.choices.values()):
            text = self.source
            for hole, pick in zip(self.choices, picks, strict=True):
                text = text.replace(f"<{hole}>", pick)
            found.append(text)
        return found


class Templates:
    """Answers with a kernel from the table entry whose key stands in the task's words.

    The longest key that fits counts; one that was not proposed yet is taken at random, and all of them
    may come again when none is left.
    """

    def __init__(
        self, table: Mapping[str, Sequence[Template]], seed: int = 0, name: str = "templates"
    ) -> None:
        self.table, self.seed, self.name = dict(table), seed, name

    def propose(self, prompt: str, history: Sequence[Message] = ()) -> str:
        asked = Prompt.read(prompt)
        fits = [key for key in self.table if key.lower() in asked.task.lower()]
        if not fits:
            return REFUSAL
        kernels = [text for template in self.table[max(fits, key=len)] for text in template.filled()]
        before = seen(asked, history)
        fresh = [text for text in kernels if normal(text) not in before] or kernels
        return fenced(fresh[generator(self.seed, prompt, history).integers(len(fresh))], "From the table.")
