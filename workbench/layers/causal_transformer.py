"""A small transformer that continues sequences of tokens: each token sees itself and those before it."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError


class Past(NamedTuple):
    """Keys and values of the tokens before, [batch, heads, tokens, dim]: they need not be computed again."""

    keys: Tensor
    values: Tensor


class CausalAttention(nn.Module):
    """Every token asks itself and the tokens before it. [batch, tokens, width] -> the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise WorkbenchError(f"heads must divide the width, but {heads} heads and width {width} came")
        self.heads = heads
        self.ask = nn.Linear(width, 3 * width)
        self.answer = nn.Linear(width, width)

    def forward(self, x: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        asked = self.ask(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, values = asked.unbind()  # each [batch, heads, tokens, dim]
        if past is not None:  # one new token, which sees everything
            keys, values = torch.cat([past.keys, keys], 2), torch.cat([past.values, values], 2)
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=past is None)
        return self.answer(mixed.transpose(1, 2).flatten(2)), Past(keys, values)


class CausalBlock(nn.Module):
    """Attention, then two linear layers at each token, both beside a shortcut and behind a norm."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.before_attention, self.before_layers = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads)
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        mixed, past = self.attention(self.before_attention(x), past)
        x = x + mixed
        return x + self.layers(self.before_layers(x)), past


class CausalTransformer(nn.Module):
    """Logits of the next token, [batch, tokens, vocabulary], for tokens [batch, tokens].

    Tokens may come in any shape [batch, ..., tokens] with axes of length 1 between, as integers or as floats
    that are whole. A token in `marks` begins a new section; a place is known by its section and by its
    distance from the section's beginning. At most `longest` tokens.
    """

    def __init__(
        self,
        vocabulary: int,
        longest: int,
        *,
        marks: tuple[int, ...] = (),
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        self.vocabulary, self.longest, self.marks = vocabulary, longest, marks
        self.token = nn.Embedding(vocabulary, width)
        self.place = nn.Embedding(longest, width)
        self.section = nn.Embedding(len(marks) + 1, width)
        self.blocks = nn.ModuleList(CausalBlock(width, heads, hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)
        for embedding in (self.token, self.place, self.section):
            nn.init.normal_(embedding.weight, std=0.3)

    def forward(self, X: Tensor) -> Tensor:
        x = self.embedded(self.tokens(X))
        for block in self.blocks:
            x, _ = block(x)
        return self.head(self.norm(x))

    def tokens(self, X: Tensor) -> Tensor:
        """int64 [batch, tokens]."""
        tokens = X.reshape(len(X), -1).long()
        if tokens.shape[1] > self.longest:
            raise WorkbenchError(f"at most {self.longest} tokens fit, but {tokens.shape[1]} came")
        return tokens

    def embedded(self, tokens: Tensor) -> Tensor:
        """What each token is, in which section it is, and where in it: [batch, tokens, width]."""
        begins = torch.isin(tokens, torch.tensor(self.marks, dtype=torch.long))
        section = begins.cumsum(1).clamp(max=len(self.marks))
        at = torch.arange(tokens.shape[1]).expand_as(tokens)
        start = torch.where(begins, at, 0).cummax(1).values
        return self.token(tokens) + self.place(at - start) + self.section(section)

    @torch.no_grad()
    def generate(
        self, tokens: Tensor, last: int, *, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Continues tokens [batch, tokens] until each row has the token `last`, or all places are taken.

        Returns int64 [batch, longest]; behind `last` a row is filled with zeros. temperature divides the
        logits before a token is drawn; 0 takes the likeliest one.
        """
        tokens = self.tokens(tokens)
        found = F.pad(tokens, (0, self.longest - tokens.shape[1]))
        going = torch.arange(len(tokens))
        pasts: list[Past | None] = [None] * len(self.blocks)
        while tokens.shape[1] < self.longest and len(going):
            x = self.embedded(tokens)
            x = x if pasts[0] is None else x[:, -1:]  # what came before is in the pasts
            for i, block in enumerate(self.blocks):
                x, pasts[i] = block(x, pasts[i])
            drawn = draw(self.head(self.norm(x[:, -1])), temperature, generator)
            found[going, tokens.shape[1]] = drawn
            tokens = torch.cat([tokens, drawn[:, None]], 1)
            stay = drawn != last
            if not stay.all():  # rows that are done leave
                going, tokens = going[stay], tokens[stay]
                pasts = [past and Past(past.keys[stay], past.values[stay]) for past in pasts]
        return found


def draw(logits: Tensor, temperature: float, generator: torch.Generator | None = None) -> Tensor:
    """One token for each row of logits [batch, vocabulary], int64 [batch]."""
    if temperature < 0:
        raise WorkbenchError(f"the temperature must be 0 or more, but {temperature} came")
    if not temperature:
        return logits.argmax(1)
    chances = torch.softmax(logits / temperature, 1)
    return torch.multinomial(chances, 1, generator=generator)[:, 0]
