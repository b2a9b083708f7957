"""Two sides of one divergence that pull against each other, and the score that is read from it."""

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from workbench.exercises import Exercise

FLOOR = 1e-4
Case = tuple[Tensor, Tensor, Tensor, Tensor, float]


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Of rows [..., n] -> [...], the same in both directions."""
    return ((p - q) * (torch.log(p + FLOOR) - torch.log(q + FLOOR))).sum(-1)


def pulls(
    intra: Tensor, intra_target: Tensor, inter: Tensor, inter_target: Tensor, weight: float
) -> tuple[Tensor, Tensor]:
    sides = [side.clone().requires_grad_() for side in (intra, intra_target, inter, inter_target)]
    own, own_target, other, other_target = sides
    of_targets = divergence(own.detach(), own_target).mean() - divergence(other.detach(), other_target).mean()
    of_rows = divergence(other, other_target.detach()).mean() - divergence(own, own_target.detach()).mean()
    return _pulls(of_targets, of_rows, sides, weight), _lost(divergence(inter, inter_target).mean(1))


def _pulls(of_targets: Tensor, of_rows: Tensor, sides: list[Tensor], weight: float) -> Tensor:
    """The gradients of both losses: [2, 4, ...]."""
    losses = [weight * of_targets, weight * of_rows]
    return torch.stack([torch.stack(_gradients(loss, sides)) for loss in losses])


def _gradients(loss: Tensor, sides: list[Tensor]) -> tuple[Tensor, ...]:
    if not loss.requires_grad:
        return tuple(torch.zeros_like(side) for side in sides)
    return torch.autograd.grad(loss, sides, allow_unused=True, materialize_grads=True)


def _lost(far: Tensor) -> Tensor:
    """Divergences [images, tokens] -> how far each token falls behind the best one of its image."""
    link = torch.softmax(-far, -1)
    return link.max(-1, keepdim=True).values - link


def by_hand(intra, intra_target, inter, inter_target, weight):
    """The gradients written out; which of the eight are 0 is then plain to see."""

    def slope(p, q):  # of the divergence with regard to p
        return (torch.log((p + FLOOR) / (q + FLOOR)) + (p - q) / (p + FLOOR)) * weight / p[..., 0].numel()

    zero = torch.zeros_like(intra)
    of_targets = torch.stack([zero, slope(intra_target, intra), zero, -slope(inter_target, inter)])
    of_rows = torch.stack([-slope(intra, intra_target), zero, slope(inter, inter_target), zero])
    link = torch.exp(-divergence(inter, inter_target).mean(dim=1))
    link = link / link.sum(dim=1, keepdim=True)
    return torch.stack([of_targets, of_rows]), link.amax(dim=1, keepdim=True) - link


def by_turning(intra, intra_target, inter, inter_target, weight):
    """One side of each divergence at a time is a variable; the other one is a constant by itself."""
    rows = []
    for sign, moving in ((1, (1, 3)), (-1, (0, 2))):
        gradients = []
        for side in range(4):
            pair = [intra, intra_target] if side < 2 else [inter, inter_target]
            if side not in moving:
                gradients.append(torch.zeros_like(intra))
                continue
            pair[side % 2] = pair[side % 2].clone().requires_grad_()
            loss = weight * sign * (1 if side < 2 else -1) * divergence(*pair).mean()
            gradients.append(torch.autograd.grad(loss, pair[side % 2])[0])
        rows.append(torch.stack(gradients))
    far = -divergence(inter, inter_target).mean(1)
    link = far.softmax(-1)
    return torch.stack(rows), torch.stack([one.max() - one for one in link])


def _with(case, *, targets=None, rows=None, lost=_lost):
    """The answer with other losses: each a function (own, own_target, other, other_target) -> loss."""
    *tensors, weight = case
    sides = [side.clone().requires_grad_() for side in tensors]
    targets = targets or (lambda a, b, c, d: _mean(a.detach(), b) - _mean(c.detach(), d))
    rows = rows or (lambda a, b, c, d: _mean(c, d.detach()) - _mean(a, b.detach()))
    far = divergence(*tensors[2:]).mean(1)
    return _pulls(targets(*sides), rows(*sides), sides, weight), lost(far)


def _mean(p: Tensor, q: Tensor) -> Tensor:
    return divergence(p, q).mean()


def nothing_detached(*case):
    return _with(
        case,
        targets=lambda a, b, c, d: _mean(a, b) - _mean(c, d),
        rows=lambda a, b, c, d: _mean(c, d) - _mean(a, b),
    )


def both_detached(*case):
    return _with(
        case,
        targets=lambda a, b, c, d: _mean(a.detach(), b.detach()) - _mean(c.detach(), d.detach()),
        rows=lambda a, b, c, d: _mean(c.detach(), d.detach()) - _mean(a.detach(), b.detach()),
    )


def wrong_sides_detached(*case):
    return _with(
        case,
        targets=lambda a, b, c, d: _mean(a, b.detach()) - _mean(c, d.detach()),
        rows=lambda a, b, c, d: _mean(c.detach(), d) - _mean(a.detach(), b),
    )


def signs_swapped(*case):
    return _with(
        case,
        targets=lambda a, b, c, d: _mean(c.detach(), d) - _mean(a.detach(), b),
        rows=lambda a, b, c, d: _mean(a, b.detach()) - _mean(c, d.detach()),
    )


def all_agree(*case):
    return _with(
        case,
        targets=lambda a, b, c, d: _mean(a.detach(), b) + _mean(c.detach(), d),
        rows=lambda a, b, c, d: _mean(c, d.detach()) + _mean(a, b.detach()),
    )


def one_direction(*case):
    def one(p, q):
        return (p * (torch.log(p + FLOOR) - torch.log(q + FLOOR))).sum(-1).mean()

    return _with(
        case,
        targets=lambda a, b, c, d: one(a.detach(), b) - one(c.detach(), d),
        rows=lambda a, b, c, d: one(c, d.detach()) - one(a, b.detach()),
    )


def over_all_images(*case):
    def lost(far):
        link = torch.softmax(-far, -1)
        return link.max() - link

    return _with(case, lost=lost)


def the_link_itself(*case):
    return _with(case, lost=lambda far: torch.softmax(-far, -1))


def with_the_intra_rows(*case):
    intra, intra_target, _, _, _ = case
    far = divergence(intra, intra_target).mean(1)
    return _with(case)[0], _lost(far)


def _drawn(rng: np.random.Generator, images: int, heads: int, tokens: int) -> Case:
    scores = torch.from_numpy(rng.standard_normal((4, images, heads, tokens, tokens)) * 1.5)
    return (*torch.softmax(scores, -1), float(rng.uniform(0.1, 2)))


@st.composite
def correlations(draw: st.DrawFn) -> Case:
    """Rows of a few images, heads and tokens."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return _drawn(rng, draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 6)))


RNG = np.random.default_rng(5)

EXERCISE = Exercise(
    "attention-shapes/stop-gradients",
    pulls,
    correlations(),
    signature="pulls(intra, intra_target, inter, inter_target, weight) -> (gradients, lost)",
    ask="""
    The first four arguments are torch tensors [images, heads, tokens, tokens] of float64; every row (last
    axis) sums to 1. D(p, q) of two rows is the sum over the last axis of
    (p - q) * (log(p + 0.0001) - log(q + 0.0001)). Two losses use it, each a mean over all images, heads and
    tokens, times `weight`:

    - the loss of the targets: D of the intra rows less D of the inter rows. It moves the targets only.
    - the loss of the rows: D of the inter rows less D of the intra rows. It moves the rows only.

    Return a pair. First the gradients of both losses with regard to all four tensors, in the order of the
    arguments, as one tensor [2, 4, images, heads, tokens, tokens]; where a loss must not move a tensor, its
    gradient is 0. Second the lost link [images, tokens] of the score: take D of the inter rows, its mean
    over heads, a softmax of minus that over the tokens of an image, and subtract it from its largest
    value in that image. `torch.autograd.grad(loss, sides, allow_unused=True, materialize_grads=True)` gives
    gradients, with zeros for tensors that the loss does not depend on; for that, `sides` must be copies
    with `requires_grad_()`.
    """,
    examples=[_drawn(RNG, 2, 2, 3), _drawn(RNG, 3, 1, 4), _drawn(RNG, 1, 2, 5)],
    cases=6,
    wrong_answers={
        "nothing is detached": (
            nothing_detached,
            "Add your two losses: what is left? Each must see one of its two sides as a constant.",
        ),
        "both sides are detached": (
            both_detached,
            "A loss of constants moves nothing. Which of the two sides may each loss move?",
        ),
        "the wrong sides are detached": (
            wrong_sides_detached,
            "The loss of the targets moves the targets, so it is the rows that must stand still in it.",
        ),
        "the signs are swapped": (
            signs_swapped,
            "Descending must bring intra targets closer to their rows. Which sign does the intra D have in "
            "the loss of the targets?",
        ),
        "rows and targets agree": (
            all_agree,
            "That is no game: both sides go the same way. One D comes with a minus in each loss.",
        ),
        "one direction of the divergence": (
            one_direction,
            "D is symmetric: p - q stands before the logarithms, not p alone.",
        ),
        "the largest link of all images": (
            over_all_images,
            "Then the score of one image depends on which others are tested with it. Over which axis is the "
            "largest taken?",
        ),
        "the link itself": (
            the_link_itself,
            "A token with a strong link is not suspect. The lost link is the distance to the largest one.",
        ),
        "the link of the intra rows": (
            with_the_intra_rows,
            "The score asks the rows to the reference. Which D goes into the softmax?",
        ),
    },
    also_right=[by_hand, by_turning],
    hints=[
        "`x.detach()` is x as a constant. In each loss, detach what the loss must not move.",
        "Make `sides = [side.clone().requires_grad_() for side in (intra, ...)]` and write both losses with "
        "these copies. The loss of the targets is D(rows detached, target), intra minus inter.",
        "For the second answer: `link = torch.softmax(-D.mean(1), -1)`, then "
        "`link.max(-1, keepdim=True).values - link`.",
    ],
    explanation="""
    Without a constant side the two losses are each other's negative: their sum is 0 and nothing is learnt.
    With one, rows and targets are two players of a game. The same gradients come from one loss in which the
    sign of one side's gradient is turned round on the way back.
    """,
    rtol=1e-9,
    atol=1e-9,
)
