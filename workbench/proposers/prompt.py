"""The common prompt: written for a language model, and read back by the proposers that are none."""

import re
from dataclasses import dataclass

from workbench.errors import WorkbenchError

RULES = """Write the function in the part of Python that numba compiles: loops over ranges, numbers, elements
of arrays, functions of `math`; `np.empty` and `np.zeros` for arrays of its own. It returns the result in
new memory and leaves its arguments as they are. It may use `math`, `np` and `prange`, and imports nothing.
Answer with the whole function in one fenced Python block."""
DIFFERENT = "Make it different from the earlier proposals: another idea, not another spelling."
FENCE = "```"

# heading of each part -> (field, whether it is code)
PARTS = {
    "Task": ("task", False),
    "Signature": ("signature", False),
    "Reference": ("reference", True),
    "Worked example: statement": ("exemplar_task", False),
    "Worked example: answer": ("exemplar", True),
    "Best kernel so far": ("parent", True),
    "Its counters": ("counters", False),
    "What the judge said": ("feedback", False),
}


@dataclass(frozen=True)
class Prompt:
    """What a proposer is told.

    task: the operation in words. signature: e.g. `kernel(x, weight)`. reference: its source, in
    numpy. exemplar_task, exemplar: another operation and a kernel for it. parent: the kernel to improve.
    counters: what that kernel costs. feedback: why the last attempt was refused. number, of: which
    proposal this is. Empty parts are left out of the text.
    """

    task: str
    signature: str
    reference: str = ""
    exemplar_task: str = ""
    exemplar: str = ""
    parent: str = ""
    counters: str = ""
    feedback: str = ""
    number: int = 1
    of: int = 1

    @property
    def function(self) -> str:
        """The name of the function that is asked for."""
        return self.signature.split("(")[0].strip()

    def text(self) -> str:
        """The prompt as it is sent."""
        lines = []
        for heading, (name, code) in PARTS.items():
            if content := getattr(self, name).strip("\n"):
                lines += [f"# {heading}", *([f"{FENCE}python", content, FENCE] if code else [content]), ""]
        improve = "Lower its cost; keep what it computes." if self.parent else "Write a kernel for it."
        turn = [f"Proposal {self.number} of {self.of}.", improve] + [DIFFERENT] * (self.number > 1)
        return "\n".join([*lines, "# Your turn", *turn, "", RULES])

    @classmethod
    def read(cls, text: str) -> "Prompt":
        """The prompt that `text` was made from; raises WorkbenchError where it is none of ours."""
        head, found, turn = "", {}, re.search(r"^# Your turn\nProposal (\d+) of (\d+)\.$", text, re.M)
        if turn is None:
            raise WorkbenchError(
                "a prompt ends with '# Your turn' and 'Proposal n of m.', but this one does not"
            )
        parts: dict[str, list[str]] = {}
        fenced = False
        for line in text[: turn.start()].splitlines():
            if not fenced and line.startswith("# ") and line[2:] in PARTS:
                head = line[2:]
                parts[head] = []
                continue
            if head and PARTS[head][1] and line.startswith(FENCE):
                fenced = not fenced
            elif head:
                parts[head].append(line)
        for heading, content in parts.items():
            found[PARTS[heading][0]] = "\n".join(content).strip("\n")
        if "task" not in found or "signature" not in found:
            raise WorkbenchError("a prompt needs the parts '# Task' and '# Signature', but one is missing")
        return cls(**found, number=int(turn[1]), of=int(turn[2]))
