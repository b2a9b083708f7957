"""Edge-MoE: Memory-Efficient Multi-Task Vision Transformer Architecture with Task-level Sparsity via
Mixture-of-Experts.

Rishov Sarkar, Hanxue Liang, Zhiwen Fan, Zhangyang Wang, Cong Hao; ICCAD 2023,
https://arxiv.org/abs/2305.18691. Original code: https://github.com/sharc-lab/Edge-MoE, without a licence.
Nothing is copied from it; the 177 numbers of its table come out of the formula below, bit by bit.

A chip has many multipliers and one narrow way to its memory. Five ideas keep the multipliers fed:

    order        lane j begins its row of scores at key j, so that all lanes share one stream of keys
    one pass     softmax by a running bias and a running sum; divided while it is multiplied by the values
    table        GELU is max(x, 0) minus a small bump, and only the bump is in the table
    one unit     every linear layer runs on the same unit, by three flags: GELU, chosen tokens, weighted sum
    experts      tokens wait in queues, one for each expert; each expert is loaded once, while another works

The network is a vision transformer for several tasks: every second block has experts in the place of its two
wide layers, and each task has a gate of its own that chooses among them. All arithmetic of the chip is in
fixed point. `FixedNetwork` runs a trained network as the chip would, in whole numbers.

Kernels that others may use lie in `workbench.kernels` (`attention_staggered`, `fixed_point`, `gelu_table`),
the layer of experts in `workbench.layers` (`MixtureOfExperts`).

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from workbench_datasets import load

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.errors import WorkbenchError
from workbench.kernels.attention_staggered import staggered_steps
from workbench.kernels.fixed_point import WORD, Codes, FixedPoint, running_statistic
from workbench.kernels.gelu_table import ENTRIES, gelu, gelu_fixed
from workbench.layers.mixture_of_experts import (
    ExpertQueue,
    MixtureOfExperts,
    best_experts,
    expert_queues,
)
from workbench.train import Recipe, Run, Task, train

Whole = NDArray[np.int64]

TOKENS, WIDTH, HEADS, EXPERTS, CHOSEN, LANES = 129, 192, 3, 16, 2, 4  # the source's network and chip
WEIGHTS = FixedPoint(16, 2)  # of linear layers; biases and norms need more before the point
BIASES, ATTENTION_BIASES = FixedPoint(16, 5), FixedPoint(16, 7)
BLOCK = 8  # channels that arrive together, 256 bits at 32 a channel
IDLE = -1

# Order: who works on what, and when ---------------------------------------------------------------


@dataclass(frozen=True)
class Schedule:
    """What each lane does in each step: query [steps, lanes] and key [steps, lanes], -1 where it is idle."""

    tokens: int
    query: Whole
    key: Whole

    @property
    def steps(self) -> int:
        return len(self.query)

    @property
    def lanes(self) -> int:
        return self.query.shape[1]

    @cached_property
    def keys_read(self) -> Whole:
        """Different keys in each step [steps]: what must come from memory, as a key is not kept."""
        return np.array([len(set(row.tolist()) - {IDLE}) for row in self.key])

    @cached_property
    def queries_read(self) -> Whole:
        """Lanes that begin another query in each step [steps]."""
        before = np.vstack([np.full((1, self.lanes), IDLE), self.query[:-1]])
        result: Whole = ((self.query != before) & (self.query != IDLE)).sum(1)
        return result

    @property
    def vectors_read(self) -> Whole:
        """Keys and queries together [steps]: how wide the way to the memory must be."""
        return self.keys_read + self.queries_read

    @cached_property
    def finished(self) -> Whole:
        """Lanes that end a query in each step [steps]: what must go to memory."""
        after = np.vstack([self.query[1:], np.full((1, self.lanes), IDLE)])
        result: Whole = ((self.query != after) & (self.query != IDLE)).sum(1)
        return result

    @cached_property
    def met(self) -> Whole:
        """How often each query meets each key, [tokens, tokens]; all ones if the schedule is right."""
        times = np.zeros((self.tokens, self.tokens), np.int64)
        at_work = self.query != IDLE
        np.add.at(times, (self.query[at_work], self.key[at_work]), 1)
        return times

    def faults(self) -> list[str]:
        """What is wrong with it, in sentences; nothing if every row of scores is made once, in one piece."""
        found = []
        if (self.query == IDLE).tolist() != (self.key == IDLE).tolist():
            found.append("a lane has a query without a key, or a key without a query")
        if missed := int((self.met == 0).sum()):
            found.append(f"{missed} pairs of a query and a key never meet")
        if repeated := int((self.met > 1).sum()):
            found.append(f"{repeated} pairs of a query and a key meet more than once")
        for lane, queries in enumerate(self.query.T):
            changes = queries[np.flatnonzero(np.diff(queries, prepend=IDLE - 1))]
            begun = changes[changes != IDLE]
            if len(begun) != len(set(begun.tolist())):
                found.append(f"lane {lane} leaves a query and comes back to it")
        return found


def staggered(tokens: int, lanes: int) -> Schedule:
    """Lane j begins at key j, wraps around, and takes its next query without a pause."""
    step = np.arange(staggered_steps(tokens, lanes))[:, None]
    lane = np.arange(lanes)
    query = (step - lane) // tokens * lanes + lane
    return _schedule(tokens, query, step % tokens, (step >= lane) & (query < tokens))


def unstaggered(tokens: int, lanes: int) -> Schedule:
    """The simple order: all lanes begin at key 0, each with a query of its own."""
    _fits(tokens, lanes)
    step = np.arange(-(-tokens // lanes) * tokens)[:, None]
    query = step // tokens * lanes + np.arange(lanes)
    return _schedule(tokens, query, step % tokens, query < tokens)


def flushed(tokens: int, lanes: int) -> Schedule:
    """Staggered, but a lane waits for the others to end before it begins its next query."""
    _fits(tokens, lanes)
    turn = tokens + lanes - 1
    step = np.arange(-(-tokens // lanes) * turn)[:, None]
    lane, local = np.arange(lanes), step % turn
    query = step // turn * lanes + lane
    at_work = (lane <= local) & (local < lane + tokens) & (query < tokens)
    return _schedule(tokens, query, local % tokens, at_work)


def _schedule(tokens: int, query: Whole, key: Whole, at_work: NDArray[np.bool_]) -> Schedule:
    key = np.broadcast_to(key, query.shape)
    return Schedule(tokens, np.where(at_work, query, IDLE), np.where(at_work, key, IDLE))


def _fits(tokens: int, lanes: int) -> None:
    if not 1 <= lanes <= tokens:
        raise WorkbenchError(f"expected 1 to {tokens} lanes for {tokens} tokens, but {lanes} came")


# One pass: attention in fixed point ---------------------------------------------------------------


class Attention(NamedTuple):
    """Codes of the probabilities [..., n, n] and of the output [..., n, e]."""

    probabilities: Codes
    output: Codes


def scores_fixed(q: Codes, k: Codes, form: FixedPoint = WORD) -> Codes:
    """q k^T / sqrt(d): codes [..., n, d] twice -> [..., n, n].

    Products are rounded one by one, and the scale is applied to every eight of them.
    """
    scale = form.of(q.shape[-1] ** -0.5)
    total = np.zeros((*q.shape[:-1], k.shape[-2]), np.int64)
    for first in range(0, q.shape[-1], BLOCK):
        here = slice(first, first + BLOCK)
        products = (q[..., :, None, here] * k[..., None, :, here]) >> form.fraction
        total += form.times(form.wrap(products.sum(-1)), scale)
    return form.wrap(total)


def attention_fixed(q: Codes, k: Codes, v: Codes, form: FixedPoint = WORD, lanes: int = LANES) -> Attention:
    """Attention as the chip computes it: codes [..., n, d], [..., n, d], [..., n, e].

    Scores reach the statistic of row i in the order of its lane: keys i mod p, ..., n - 1, 0, ... Then a
    score becomes e^(score - b) / s while it meets its value.
    """
    n = q.shape[-2]
    if k.shape != q.shape or v.shape[:-1] != q.shape[:-1]:
        raise WorkbenchError(
            f"expected q, k [..., n, d] and v [..., n, e], but {q.shape}, {k.shape} and {v.shape} came"
        )
    _fits(n, lanes := min(lanes, n))
    scores = scores_fixed(q, k, form)
    order = (np.arange(n)[:, None] % lanes + np.arange(n)) % n
    total, bias = running_statistic(
        np.take_along_axis(scores, np.broadcast_to(order, scores.shape), -1), form
    )
    inverse = form.divide(form.one, total)
    powers = form.exp(form.wrap(scores - bias[..., None]))
    probabilities = form.times(powers, inverse[..., None])
    products = (probabilities[..., :, :, None] * v[..., None, :, :]) >> form.fraction
    return Attention(probabilities, form.wrap(products.sum(-2)))


# One unit for every linear layer ------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """Codes of one linear layer: matrix [out, in] in `WEIGHTS`, bias [out] with as many bits as the data."""

    matrix: Codes
    bias: Codes

    @classmethod
    def of(
        cls, matrix: Tensor, bias: Tensor | None, form: FixedPoint, biases: FixedPoint = BIASES
    ) -> "Layer":
        """From the real numbers of a trained layer; what the 16 bits cannot hold is cut off at their ends."""
        zero = torch.zeros(len(matrix)) if bias is None else bias
        return cls(_stored(matrix, WEIGHTS), _stored(zero, biases, form))


def _stored(numbers: Tensor, small: FixedPoint, form: FixedPoint | None = None) -> Codes:
    """Codes in the format of 16 bits, or the same numbers as codes of another format."""
    real = numbers.detach().double().numpy()
    codes = small.of(np.clip(real, small.real(small.lowest), small.real(small.highest)))
    return codes if form is None else form.of(small.real(codes))


def linear_unit(
    out: Codes,
    source: Codes,
    layer: Layer,
    form: FixedPoint = WORD,
    *,
    gelu: bool = False,
    tokens: Whole | None = None,
    scores: Codes | None = None,
) -> None:
    """Every linear layer of the network: source [n, in] to out [n, out], codes.

    gelu: the answer goes through the table. tokens: only these rows are read and written (all others stay as
    they are). scores [tokens]: the answer is multiplied by them and added to what is there.
    """
    rows = source if tokens is None else source[tokens]
    answer = form.matmul(rows, layer.matrix, layer.bias, WEIGHTS.fraction)
    if gelu:
        answer = gelu_fixed(answer, form)
    where = slice(None) if tokens is None else tokens
    if scores is not None:
        answer = form.wrap(out[where] + form.times(answer, scores[:, None]))
    out[where] = answer


# Experts are visited, not tokens ------------------------------------------------------------------

Part = tuple[int, int]  # (expert, 0 or 1): one of the two layers of an expert


class Moment(NamedTuple):
    """What happens at the same time: one layer computes while the next is loaded into the other buffer."""

    compute: Part | None
    load: Part | None


def moments(experts: Sequence[int]) -> list[Moment]:
    """The visit to these experts, in order. Layer 0 lies in the first buffer, layer 1 in the second."""
    parts = [(expert, layer) for expert in experts for layer in (0, 1)]
    return (
        [Moment(now, then) for now, then in zip([None, *parts], [*parts, None], strict=True)] if parts else []
    )


def overlapped_time(lengths: Sequence[int], load: float, token: float) -> tuple[float, float]:
    """Times (one thing after the other, with two buffers).

    lengths: of the queues. load: to load one layer of an expert. token: to compute it for one token.
    """
    visit = moments(range(len(lengths)))
    times = [(token * lengths[m.compute[0]] if m.compute else 0.0, load if m.load else 0.0) for m in visit]
    return sum(map(sum, times)), sum(map(max, times))


@dataclass(frozen=True)
class GateFixed:
    """Codes of the gate of one task: matrix [experts, in]."""

    matrix: Codes

    def choose(self, x: Codes, form: FixedPoint, chosen: int) -> tuple[Whole, Codes]:
        """Experts and their probabilities, [n, chosen]: x [n, in]."""
        wanted = form.matmul(x, self.matrix, 0, WEIGHTS.fraction)
        total, bias = running_statistic(wanted, form)
        order = np.argsort(-wanted, axis=-1, kind="stable")[:, :chosen]
        best = np.take_along_axis(wanted, order, -1)
        powers = form.exp(form.wrap(best - bias[:, None]))
        return order, form.divide(powers, total[:, None])


@dataclass
class Buffers:
    """The two places for weights on the chip, and how many layers were ever brought there."""

    memory: Sequence[tuple[Layer, Layer]]
    loads: int = 0

    def __post_init__(self) -> None:
        self.held: dict[int, tuple[Part, Layer]] = {}

    def load(self, part: Part) -> None:
        expert, layer = part
        self.held[layer] = part, self.memory[expert][layer]
        self.loads += 1

    def take(self, part: Part) -> Layer:
        held, layer = self.held[part[1]]
        if held != part:
            raise WorkbenchError(f"the buffer holds layer {held}, but layer {part} is to compute")
        return layer


def experts_fixed(
    x: Codes,
    gate: GateFixed,
    experts: Sequence[tuple[Layer, Layer]],
    form: FixedPoint = WORD,
    chosen: int = CHOSEN,
) -> tuple[Codes, int]:
    """The layer of experts in fixed point: x [n, in] -> [n, in], and how many layers were loaded."""
    order, scores = gate.choose(x, form, chosen)
    queues = expert_queues(torch.from_numpy(order), torch.from_numpy(scores))
    waiting = {queue.expert: (queue.tokens.numpy(), queue.scores.numpy()) for queue in queues}
    hidden = np.zeros((len(x), len(experts[0][0].matrix)), np.int64)
    out, buffers = np.zeros_like(x), Buffers(experts)
    for moment in moments(list(waiting)):
        if moment.load:  # at the same time as the computing, and so into the other buffer
            buffers.load(moment.load)
        if moment.compute:
            tokens, probabilities = waiting[moment.compute[0]]
            layer = buffers.take(moment.compute)
            if moment.compute[1] == 0:
                linear_unit(hidden, x, layer, form, gelu=True, tokens=tokens)
            else:
                linear_unit(out, hidden, layer, form, tokens=tokens, scores=probabilities)
    return out, buffers.loads


# The network --------------------------------------------------------------------------------------


class SelfAttention(nn.Module):
    """[batch, tokens, dim] -> the same; queries, keys, values and output are linear layers of their own."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.parts = nn.ModuleList(nn.Linear(dim, dim) for _ in "qkvo")

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.parts[:3])
        mixed = F.scaled_dot_product_attention(q, k, v)
        answer: Tensor = self.parts[3](mixed.transpose(1, 2).flatten(2))
        return answer


class Block(nn.Module):
    """Attention, then two wide layers or experts; both on normalised tokens, both added to what came in."""

    def __init__(self, dim: int, heads: int, experts: int, tasks: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=1e-6) for _ in range(2))
        self.attention = SelfAttention(dim, heads)
        self.experts = MixtureOfExperts(dim, 2 * dim, experts, CHOSEN, tasks) if experts else None
        wide = [] if experts else [nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)]
        self.wide = nn.Sequential(*wide)

    def forward(self, x: Tensor, task: int) -> Tensor:
        x = x + self.attention(self.norms[0](x))
        normalised = self.norms[1](x)
        return x + (self.wide(normalised) if self.experts is None else self.experts(normalised, task))


class MultiTaskViT(nn.Module):
    """Pictures [n, 1, size, size] -> the answers of all tasks side by side, [n, sum of outputs].

    Patches and one more token go through `depth` blocks; every second block has experts. The body is run once
    for each task, with the gates of that task; its first token is read out by the head of the task.
    """

    def __init__(
        self,
        outputs: Sequence[int] = (10, 2),
        *,
        size: int = 8,
        patch: int = 2,
        dim: int = 32,
        heads: int = 2,
        depth: int = 4,
        experts: int = EXPERTS,
    ) -> None:
        super().__init__()
        self.patch, self.outputs = patch, tuple(outputs)
        self.embed = nn.Linear(patch**2, dim)
        self.first = nn.Parameter(torch.zeros(dim))
        self.places = nn.Parameter(0.02 * torch.randn(1 + (size // patch) ** 2, dim))
        self.blocks = nn.ModuleList(
            Block(dim, heads, experts * (number % 2), len(outputs)) for number in range(depth)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.heads = nn.ModuleList(nn.Linear(dim, classes) for classes in outputs)

    def patches(self, X: Tensor) -> Tensor:
        """[n, 1, size, size] -> [n, patches, pixels of one]."""
        return F.unfold(X, self.patch, stride=self.patch).transpose(1, 2)

    def tokens(self, X: Tensor) -> Tensor:
        """What the first block sees: [n, 1 + patches, dim]."""
        patches = self.embed(self.patches(X))
        return torch.cat([self.first.expand(len(X), 1, -1), patches], 1) + self.places

    def answer(self, X: Tensor, task: int, gates: int | None = None) -> Tensor:
        """Logits of one task; `gates`: with the gates of another one."""
        x = self.tokens(X)
        for block in self.blocks:
            x = block(x, task if gates is None else gates)
        logits: Tensor = self.heads[task](self.norm(x[:, 0]))
        return logits

    def forward(self, X: Tensor) -> Tensor:
        return torch.cat([self.answer(X, task) for task in range(len(self.outputs))], 1)


class SharedGate(MultiTaskViT):
    """The same network with the same first weights, but both tasks use the gates of one of them."""

    def __init__(self, gates: int = 0) -> None:
        super().__init__()
        self.shared = gates

    def answer(self, X: Tensor, task: int, gates: int | None = None) -> Tensor:
        return super().answer(X, task, self.shared)


@torch.no_grad()
def routes(model: MultiTaskViT, X: Tensor, task: int) -> list[list[ExpertQueue]]:
    """The queues of every block with experts, for all tokens of these pictures together."""
    found, x = [], model.tokens(X)
    for block in cast("Sequence[Block]", model.blocks):
        if block.experts is not None:
            tokens = block.norms[1](x + block.attention(block.norms[0](x)))
            found.append(block.experts.queues(tokens.flatten(0, 1), task))
        x = block(x, task)
    return found


class FixedNetwork:
    """A trained `MultiTaskViT` in whole numbers: every layer, every norm and every gate, as the chip works.

    form: the format of all data; weights have 16 bits whatever it is.
    """

    def __init__(self, model: MultiTaskViT, form: FixedPoint = WORD) -> None:
        self.model, self.form = model, form
        self.embed = self._layer(model.embed)
        self.first, self.places = (form.of(p.detach().double().numpy()) for p in (model.first, model.places))
        self.heads = [self._layer(head) for head in model.heads]
        self.loads = 0

    def _layer(self, linear: nn.Module, biases: FixedPoint = BIASES) -> Layer:
        return Layer.of(linear.weight, linear.bias, self.form, biases)  # type: ignore[arg-type]

    def linear(self, x: Codes, layer: Layer, gelu: bool = False) -> Codes:
        out = np.empty((len(x), len(layer.matrix)), np.int64)
        linear_unit(out, x, layer, self.form, gelu=gelu)
        return out

    def norm(self, x: Codes, layer: nn.Module) -> Codes:
        """Layer norm [n, dim]: mean, and mean of squares, each rounded number by number."""
        form = self.form
        share = form.of(1 / x.shape[1])
        mean = form.wrap(form.times(x, share).sum(1))
        squares = form.wrap(form.times(x, form.times(x, share)).sum(1))
        variance = form.wrap(squares - form.times(mean, mean) + max(1, int(form.of(1e-6))))
        inverse = form.divide(form.one, form.root(variance))
        away = form.times(form.wrap(x - mean[:, None]), inverse[:, None])
        weight, bias = (_stored(part, BIASES) for part in (layer.weight, layer.bias))  # type: ignore[arg-type]
        return form.wrap(form.times(away, weight, BIASES.fraction) + form.of(BIASES.real(bias)))

    def answer(self, X: Tensor, task: int) -> Codes:
        """Codes of the logits [n, outputs] of one task; `loads` grows by the layers of experts loaded."""
        form, model = self.form, self.model
        pixels = form.of(model.patches(X).double().numpy())
        n, count, _ = pixels.shape
        patches = self.linear(pixels.reshape(n * count, -1), self.embed).reshape(n, count, -1)
        first = np.broadcast_to(self.first, (n, 1, patches.shape[2]))
        x = form.wrap(np.concatenate([first, patches], 1) + self.places).reshape(n * (count + 1), -1)
        for block in cast("Sequence[Block]", model.blocks):
            x = self._block(x, n, block, task)
        last = self.norm(x.reshape(n, count + 1, -1)[:, 0], model.norm)
        return self.linear(last, self.heads[task])

    def _block(self, x: Codes, n: int, block: Block, task: int) -> Codes:
        form, heads = self.form, block.attention.heads
        normalised = self.norm(x, block.norms[0])
        parts = [self._layer(part, ATTENTION_BIASES) for part in block.attention.parts]

        def split(part: Layer) -> Codes:  # [n tokens, dim] -> [n, heads, tokens, dim of a head]
            answer = self.linear(normalised, part)
            return answer.reshape(n, -1, heads, answer.shape[1] // heads).transpose(0, 2, 1, 3)

        mixed = attention_fixed(split(parts[0]), split(parts[1]), split(parts[2]), form).output
        x = form.wrap(x + self.linear(mixed.transpose(0, 2, 1, 3).reshape(x.shape), parts[3]))
        normalised = self.norm(x, block.norms[1])
        if block.experts is None:
            wide, narrow = self._layer(block.wide[0]), self._layer(block.wide[2])
            return form.wrap(x + self.linear(self.linear(normalised, wide, gelu=True), narrow))
        gate, experts = fixed_experts(block.experts, task, form)
        answer, loads = experts_fixed(normalised, gate, experts, form, block.experts.chosen)
        self.loads += loads
        return form.wrap(x + answer)


def fixed_experts(
    layer: MixtureOfExperts, task: int, form: FixedPoint = WORD
) -> tuple[GateFixed, list[tuple[Layer, Layer]]]:
    """Gate and experts of a trained layer in fixed point."""
    wide = [Layer.of(w, b, form) for w, b in zip(layer.widen, layer.widen_bias, strict=True)]
    narrow = [Layer.of(w, b, form) for w, b in zip(layer.narrow, layer.narrow_bias, strict=True)]
    return GateFixed(_stored(layer.gates[task], WEIGHTS)), list(zip(wide, narrow, strict=True))


# Two tasks on digits ------------------------------------------------------------------------------


def both_losses(output: Tensor, Y: Tensor) -> Tensor:
    """Cross entropy of the digit plus that of whether it is odd: [n, 12], [n, 2]."""
    return F.cross_entropy(output[:, :10], Y[:, 0]) + F.cross_entropy(output[:, 10:], Y[:, 1])


def both_right(output: Tensor, Y: Tensor) -> float:
    """The mean share of right answers of the two tasks."""
    right = [output[:, :10].argmax(1) == Y[:, 0], output[:, 10:].argmax(1) == Y[:, 1]]
    return float(torch.stack(right).double().mean())


@cache
def two_tasks(seed: int, budget: str) -> Task:
    """Which digit is it, and is it odd? The test digits are partly by other writers."""
    images = by_budget(budget, smoke=64, lesson=797)
    parts = []
    for part in ("train", "test"):
        found = load("scarce-digits", images=images, wrong=0.0, part=part, seed=seed)
        digits = torch.from_numpy(found["labels"])
        parts.append((torch.from_numpy(found["images"])[:, None], torch.stack([digits, digits % 2], 1)))
    return Task("two-digit-tasks", (1, 8, 8), 12, parts[0], parts[1], both_losses, both_right)


def trained(seed: int, budget: str, make: Callable[[], MultiTaskViT] = MultiTaskViT, lr: float = 2e-3) -> Run:
    """The small network after training."""
    # rates: the best of 1e-3, 2e-3, 4e-3 and 8e-3 by the mean score of three seeds on validation data
    recipe = Recipe(steps=by_budget(budget, smoke=2, lesson=300), batch=32, lr=lr)
    return train(make, two_tasks(seed, budget), recipe, seed)


def trained_with_one_gate(seed: int, budget: str, gates: int = 0) -> Run:
    """The same with one gate for both tasks; its rate was searched for in the same way."""
    return trained(seed, budget, partial(SharedGate, gates), lr=4e-3)


# Measuring ----------------------------------------------------------------------------------------

MANY_LANES = (1, 2, 4, 8, 16, 32, 64, 128)


def most_vectors(seed: int, budget: str, order: str = "staggered") -> Measured:
    """Vectors that the busiest step needs, whatever the number of lanes."""
    make = {"staggered": staggered, "unstaggered": unstaggered}
    busiest = [int(max(make[name](TOKENS, p).vectors_read.max() for p in MANY_LANES)) for name in make]
    ours = busiest[list(make).index(order)]
    return Measured(ours, system=ours, baseline=busiest[1])


def most_vectors_unstaggered(seed: int, budget: str) -> Measured:
    """Control: all lanes begin at key 0."""
    return most_vectors(seed, budget, "unstaggered")


READS_OF_THE_LOOPS = {1: 16641, 4: 4257, 16: 1161}


def reads_off(seed: int, budget: str, flush: bool = False) -> Measured:
    """Key reads beside those of the source's loops, and pairs that do not meet exactly once."""
    off = 0
    for lanes, expected in READS_OF_THE_LOOPS.items():
        schedule = (flushed if flush else staggered)(TOKENS, lanes)
        off += abs(int(schedule.keys_read.sum()) - expected) + int((schedule.met != 1).sum())
    reads = int((flushed if flush else staggered)(TOKENS, 16).keys_read.sum())
    return Measured(off, system=reads, baseline=READS_OF_THE_LOOPS[1])


def reads_off_flushed(seed: int, budget: str) -> Measured:
    """Control: lanes wait for one another between two blocks."""
    return reads_off(seed, budget, flush=True)


def codes_to_try(budget: str) -> Codes:
    """Numbers from -8 to 8 in the source's format, evenly."""
    return np.arange(-8 * WORD.one, 8 * WORD.one, by_budget(budget, smoke=4099, lesson=61, full=1))


def gelu_error(seed: int, budget: str) -> Measured:
    """The largest error of the table; the baseline is the usual formula with a hyperbolic tangent."""
    codes = codes_to_try(budget)
    x = WORD.real(codes)
    exact = gelu(x)
    table = float(np.abs(WORD.real(gelu_fixed(codes)) - exact).max())
    tangent = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return Measured(table, system=table, baseline=float(np.abs(tangent - exact).max()))


def gelu_error_whole_function(seed: int, budget: str) -> Measured:
    """Control: as many entries of GELU itself, from -5.5 to 5.5."""
    x = WORD.real(codes_to_try(budget))
    places = np.linspace(-5.5, 5.5, ENTRIES)
    entries = np.rint(gelu(places) * WORD.one) / WORD.one
    read = np.where(np.abs(x) < 5.5, np.interp(x, places, entries), np.maximum(x, 0))
    return Measured(float(np.abs(read - gelu(x)).max()))


def expert_loads(seed: int, budget: str, by_queue: bool = True) -> Measured:
    """Experts that random tokens load: each once, or token by token with only the last one kept."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(TOKENS, WIDTH, generator=draws)
    gate = torch.randn(EXPERTS, WIDTH, generator=draws) * WIDTH**-0.5
    experts, scores = best_experts(F.linear(x, gate).softmax(-1), CHOSEN)
    wanted = experts.flatten()
    changes = 1 + int((wanted[1:] != wanted[:-1]).sum())
    loads = len(expert_queues(experts, scores)) if by_queue else changes
    return Measured(loads, system=loads, baseline=CHOSEN * TOKENS)


def expert_loads_by_token(seed: int, budget: str) -> Measured:
    """Control: no queues."""
    return expert_loads(seed, budget, by_queue=False)


SPREADS = np.array([1.0, 4.0, 16.0])[:, None, None]  # of the scores, head by head: from even rows to peaks


def probability_error(seed: int, budget: str, form: FixedPoint = WORD) -> Measured:
    """The largest error of a probability against float64, for random tokens of the source's size."""
    n = by_budget(budget, smoke=33, lesson=TOKENS)
    draws = np.random.default_rng(seed)
    q, k, v = draws.normal(size=(3, HEADS, n, WIDTH // HEADS))
    q = SPREADS * q
    scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2])
    exact = np.exp(scores - scores.max(2, keepdims=True))
    exact /= exact.sum(2, keepdims=True)
    found = form.real(attention_fixed(form.of(q), form.of(k), form.of(v), form).probabilities)
    return Measured(float(np.abs(found - exact).max()))


SHORT = FixedPoint(16, 10)


def probability_error_short(seed: int, budget: str) -> Measured:
    """Control: 16 bits, ten of them before the point."""
    return probability_error(seed, budget, SHORT)


def same_answers(seed: int, budget: str, form: FixedPoint = WORD) -> Measured:
    """Percent of the test digits for which the network in fixed point and in float32 agree, both tasks."""
    run = trained(seed, budget)
    X = run.task.test[0][: by_budget(budget, smoke=16, lesson=500, full=1000)]
    fixed, same = FixedNetwork(run.model, form), []  # type: ignore[arg-type]
    logits = run.predict(X).split((10, 2), 1)
    for task, wanted in enumerate(logits):
        same.append(fixed.answer(X, task).argmax(1) == wanted.argmax(1).numpy())
    return Measured(100 * float(np.mean(same)), system=100 * float(np.mean(same)), baseline=100 * run.score)


def same_answers_short(seed: int, budget: str) -> Measured:
    """Control: the same network with data of 16 bits."""
    return same_answers(seed, budget, SHORT)


def points_gained(better: Run, worse: Run) -> Measured:
    return Measured(100 * (better.score - worse.score), system=100 * better.score, baseline=100 * worse.score)


def gained_by_own_gates(seed: int, budget: str) -> Measured:
    """Points that the tasks gain by gates of their own over one gate for both; only the rate may differ."""
    return points_gained(trained(seed, budget), trained_with_one_gate(seed, budget))


def gained_by_another_start(seed: int, budget: str) -> Measured:
    """Control: one gate for both in either network; only the first weights of that gate differ."""
    return points_gained(trained_with_one_gate(seed, budget, 1), trained_with_one_gate(seed, budget))


SYSTEM = System(
    key="edge-moe",
    claims=[
        Claim(
            "tokens-per-step",
            says="With staggered lanes no step needs more than two vectors (a key, a query) from memory, for "
            "1 to 128 lanes and 129 tokens.",
            paper="constant bandwidth, whatever the parallelism",
            unit="vectors in the busiest step",
            against="vectors, all lanes begin at key 0",
            bar=AtMost(2),
            measure=most_vectors,
            control=most_vectors_unstaggered,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "key-reads",
            says="129 rows of scores take 16,641 key reads with one lane, 4,257 with 4 and 1,161 with 16, "
            "and each query meets each key exactly once: reads and pairs that are off.",
            paper="the loops of its code: ⌊(N+p−1)/p⌋·N + ((N+p−1) mod p) key reads",
            unit="off",
            against="key reads with one lane",
            bar=AtMost(0),
            measure=reads_off,
            control=reads_off_flushed,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "gelu-error",
            says="GELU from a table of 177 entries is off by at most 0.0001, from -8 to 8: the largest "
            "error.",
            paper="accurate and low-cost; 177 entries, 1/32 apart",
            against="largest error of the formula with tanh",
            bar=AtMost(1e-4),
            measure=gelu_error,
            control=gelu_error_whole_function,
            provenance="simulated",
            seeds=1,
        ),
        Claim(
            "expert-loads",
            says="129 tokens with two experts each load at most 16 experts a layer, and not 258: loads.",
            paper="each expert's weights are loaded once for each layer",
            unit="loads",
            against="loads, two for each token",
            bar=AtMost(EXPERTS),
            measure=expert_loads,
            control=expert_loads_by_token,
            provenance="counted",
        ),
        Claim(
            "fixed-point-error",
            says="With 32 bits, ten of them before the point, no probability of attention is off by more "
            "than 0.00005: the largest error for 129 random tokens and 3 heads, whose scores spread by 1, "
            "4 and 16.",
            paper="32-bit fixed point with 10 integer bits, in its code",
            bar=AtMost(5e-5),
            measure=probability_error,
            control=probability_error_short,
            provenance="simulated",
        ),
        Claim(
            "same-answers",
            says="A trained network of two tasks, all of it in fixed point, answers as in float32: percent "
            "of the answers.",
            paper="ours",
            unit="%",
            against="% right in float32",
            bar=AtLeast(99),
            measure=same_answers,
            control=same_answers_short,
            provenance="simulated",
        ),
        Claim(
            "a-gate-for-each-task",
            says="Tasks with a gate each give more right answers than the same network with one gate for "
            "both, trained alike: points gained.",
            paper="ours; the source has one gate for each task",
            unit="points",
            against="% right with one gate for both tasks",
            bar=AtLeast(1, null=0),
            measure=gained_by_own_gates,
            control=gained_by_another_start,
        ),
        Claim(
            "energy-gpu",
            says="A picture takes 2.24 times less energy than on a graphics card.",
            paper="2.24 times, an FPGA against a graphics card",
            unit="times",
            bar=AtLeast(2.24),
            needs="hardware",
        ),
        Claim(
            "energy-cpu",
            says="A picture takes 4.90 times less energy than on a processor.",
            paper="4.90 times, an FPGA against a processor",
            unit="times",
            bar=AtLeast(4.90),
            needs="hardware",
        ),
    ],
    deviations=[
        "No chip: orders of work, loads and fixed-point numbers are computed exactly in Python; clock "
        "cycles, area and energy are not.",
        "The exponential function, square root and division of the chip's library are taken as exact and "
        "rounded down. Its own last bits may differ.",
        "Weights, biases and norms have the formats of the source's code. The first layer and the heads, "
        "which the source treats apart, go through the same unit with the same formats.",
        "Pictures are 8 x 8 digits with two tasks, which digit and whether it is odd, in the place of the "
        "source's tasks; the network has 17 tokens, width 32, four blocks and 16 experts of width 64 in "
        "place of 129, 192, twelve and 16 of 384. Order and error are measured at the source's sizes, on "
        "random tokens.",
        "Only what comes in is counted as the bandwidth of a step. The chip also sends each score to its "
        "memory and fetches it again for the values: one number for each lane and head in a step.",
        "Training is ours: no noise on the gates and no loss for even use of the experts. Steps and batch "
        "were fixed while the task was designed, and test scores had been looked at then. The learning rate "
        "was chosen later on validation data, from 0.001, 0.002, 0.004 and 0.008 with three seeds each: "
        "0.002 with a gate for each task, and 0.004 with one gate for both.",
        "An earlier form of the claim on gates exchanged the gates of trained tasks, which shows only that "
        "they differ, and the bar was at 5 points. The present form and its bar were set before it was "
        "measured.",
        "Two buffers are modelled as moments in which one layer computes while the next is loaded.",
        "Paper scale: an FPGA board with a power meter, and a network trained on large pictures for "
        "several tasks.",
    ],
)
