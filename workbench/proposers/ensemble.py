"""`Ensemble`: several proposers, one of which answers each prompt."""

from collections.abc import Sequence

from workbench.errors import WorkbenchError
from workbench.proposers.contract import Message, Proposer
from workbench.proposers.rewriting import generator


class Ensemble:
    """One of the members answers, drawn by weight. Models at several temperatures are several members."""

    def __init__(
        self, members: Sequence[Proposer], weights: Sequence[float] | None = None, seed: int = 0
    ) -> None:
        if not members:
            raise WorkbenchError("an ensemble needs at least one proposer, but none came")
        shares = [1.0] * len(members) if weights is None else [float(w) for w in weights]
        if len(shares) != len(members) or min(shares) < 0 or sum(shares) <= 0:
            raise WorkbenchError(
                f"an ensemble of {len(members)} needs as many weights, none negative, but {shares} came"
            )
        self.members, self.seed = tuple(members), seed
        self.shares = [share / sum(shares) for share in shares]
        self.name = " + ".join(member.name for member in members)

    def propose(self, prompt: str, history: Sequence[Message] = ()) -> str:
        rng = generator(self.seed, prompt, history)
        return self.members[rng.choice(len(self.members), p=self.shares)].propose(prompt, history)
