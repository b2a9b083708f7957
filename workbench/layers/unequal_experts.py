"""Experts that are not equally fast, and a router that knows it: the faster one gets more tokens.

Each token goes to one expert, the one whose probability p is largest, and the answer is p * expert(x). Left
alone, such a router soon sends all tokens to one expert. Two sums over a batch are therefore kept even:

    importance_e = sum of the probabilities of expert e
    load_e       = how many tokens expert e would get, as probabilities that noise on the router decides

and `even` says how uneven they are, each expert weighted with its latency a_e:

    even = CV^2(a * importance) + CV^2(a * load),      CV^2(x) = variance of x / (mean of x)^2

It is zero where a_e * load_e is the same for all: with two experts, tokens are shared out as the latencies
of the *other* one. An expert that is twice as fast gets twice as many.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError

LEAST_NOISE = 1e-2


class UnequalExperts(nn.Module):
    """[..., dim] -> the same: each token is answered by one of several networks.

    experts: networks [n, dim] -> [n, dim]. latencies: how long each takes for a token, in any unit.
    noise_at_test: whether the router stays noisy after training; the source's released router does.

    In training the router adds normal noise to its scores; how much, it learns. `with_unevenness` also gives
    the unevenness of the batch, for the loss; `shares` says what part of some tokens each expert gets.
    """

    latencies: Tensor

    def __init__(
        self,
        dim: int,
        experts: Sequence[nn.Module],
        latencies: Sequence[float],
        *,
        noise_at_test: bool = False,
    ) -> None:
        super().__init__()
        if len(experts) < 2 or len(latencies) != len(experts) or min(latencies) <= 0:
            raise WorkbenchError(
                "expected two or more experts with a positive latency each, but "
                f"{len(experts)} experts and the latencies {list(latencies)} came"
            )
        self.experts = nn.ModuleList(experts)
        self.score = nn.Linear(dim, len(experts), bias=False)
        self.spread = nn.Linear(dim, len(experts), bias=False)
        self.register_buffer("latencies", torch.tensor(latencies) / sum(latencies))
        self.noise_at_test = noise_at_test

    def route(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For tokens x [n, dim]: chosen experts [n], all probabilities and all loads [n, experts].

        A load is the probability that a new draw of the expert's own noise would leave it on top.
        """
        clean = self.score(x)
        if not (self.training or self.noise_at_test):
            chosen = clean.argmax(1)
            return chosen, clean.softmax(1), F.one_hot(chosen, clean.shape[1]).to(clean.dtype)
        spread = F.softplus(self.spread(x)) + LEAST_NOISE
        noisy = clean + spread * torch.randn_like(clean)
        best = noisy.topk(2, 1).values
        on_top = noisy == best[:, :1]
        rival = torch.where(on_top, best[:, 1:], best[:, :1])  # the best of the others
        loads = torch.special.ndtr((clean - rival) / spread)
        return noisy.argmax(1), noisy.softmax(1), loads

    def with_unevenness(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The answers [..., dim], and how unevenly this batch was shared out: one number, with gradients."""
        tokens = x.reshape(-1, x.shape[-1])
        chosen, probabilities, loads = self.route(tokens)
        importance, load = probabilities.sum(0), loads.sum(0)
        even = unevenness(self.latencies * importance) + unevenness(self.latencies * load)
        out = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            (own,) = torch.nonzero(chosen == number, as_tuple=True)
            if len(own):
                answer = expert(tokens[own]) * probabilities[own, number, None]
                out = out.index_add(0, own, answer)
        return out.view_as(x), even

    def forward(self, x: Tensor) -> Tensor:
        return self.with_unevenness(x)[0]

    @torch.no_grad()
    def shares(self, x: Tensor) -> Tensor:
        """What part of the tokens x [..., dim] each expert gets: [experts]."""
        chosen = self.route(x.reshape(-1, x.shape[-1]))[0]
        return F.one_hot(chosen, len(self.experts)).double().mean(0)


def unevenness(x: Tensor) -> Tensor:
    """CV^2: the unbiased variance over the squared mean; 0 if all are equal, their number if one has all."""
    return x.var() / x.mean().square().clamp_min(1e-10)


def fair_shares(latencies: Sequence[float]) -> list[float]:
    """The shares of tokens at which latency times share is the same for all.

    >>> fair_shares([0.6, 0.4])
    [0.4, 0.6]
    """
    speeds = [1 / latency for latency in latencies]
    return [round(speed / sum(speeds), 12) for speed in speeds]
