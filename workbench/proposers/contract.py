"""The contract: text in, text out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable


@dataclass(frozen=True)
class Message:
    """One turn of a conversation: `user` asks, `assistant` answers."""

    role: Literal["system", "user", "assistant"]
    text: str


@runtime_checkable
class Proposer(Protocol):
    """Anything that answers a prompt. `name` stands in every record of what it proposed.

    `history` holds the turns before this one, oldest first: a second proposal can differ from the first.
    Offline proposers are functions of (their seed, prompt, history) alone, so a loop that was interrupted
    goes on exactly as it would have.
    """

    name: str

    def propose(self, prompt: str, history: Sequence[Message] = ()) -> str:
        """The answer, as text; the code in it is found by `code_of`."""
