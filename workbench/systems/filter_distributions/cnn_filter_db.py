"""CNN Filter DB: An Empirical Investigation of Trained Convolutional Filters.

Paul Gavrikov, Janis Keuper; CVPR 2022, pages 19066-19076, https://arxiv.org/abs/2203.15331. Original code:
https://github.com/paulgavrikov/CNN-Filter-DB, CC BY-SA 4.0; its metrics for torch:
https://github.com/paulgavrikov/torchconvquality, CC BY-SA 4.0. Nothing is copied from either.

The trained filters of many networks are taken as data points, and populations of them are compared rather
than networks:

    scale         f / max |f|; filters of zeros stay as they are          `probes.filter_sets.scaled`
    axes          one principal component analysis of all filters         `probes.components`
    distribution  70 bins along each axis, one range for all              `Components.histograms`
    shift         D = Σ_i w_i [KL(p_i, q_i) + KL(q_i, p_i)]               `probes.shift`
    degeneration  sparse filters, variance entropy with its threshold     `probes.filter_quality`
    database      filters, layers and models as tables                    `workbench.zoo`

What is here: how far apart *several* populations are at once, with models as what varies (`apart`), and the
claims.

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import combinations, product
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from workbench_datasets import load

from workbench import zoo
from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.errors import WorkbenchError
from workbench.probes import Components, Shift, Shifts, components, filter_quality, filters
from workbench.probes.filter_components import BINS, counted
from workbench.probes.filter_sets import Filters, models_of
from workbench.probes.filter_shift import distributions
from workbench.train import Run
from workbench.zoo import PICTURES, Arm, ZooNet
from workbench.zoo.goals import of_arm
from workbench.zoo.growing import trunk
from workbench.zoo.nets import Goal, Wiring
from workbench.zoo.picture_sets import pictures

Floats = NDArray[np.float64]

# Several populations at once ------------------------------------------------------------------

HALVINGS = 8
LEVEL = 0.95


@dataclass(frozen=True)
class Apart:
    """What `apart` found.

    value: the mean shift over all pairs of populations, without the bias of finite samples, in nats. low,
    high: 95 % of what as many other places would give. null: the same mean after exchanging models at
    random. Without resamples, and low and high with one place, all of them are the value. shifts: pair by
    pair. n: filters in each sample.
    """

    value: float
    low: float
    high: float
    n: int
    null: Floats = field(repr=False)
    shifts: Shifts = field(repr=False)


def apart(
    populations: Mapping[str, Sequence[Filters]],
    along: Components | None = None,
    *,
    n: int = 4000,
    resamples: int = 200,
    seed: int = 0,
) -> Apart:
    """How far apart several populations of models are, beyond what chance and relatives explain.

    populations: by name, the filters of each model [filters, 3, 3], the same number of models in each. What
    stands at one place in all of them differs in nothing but the population (the same seed, or the same
    data), and only such models are exchanged for the null. along: the axes, default those of all filters
    together. n: filters in each sample, equally many from each model. resamples: of the places for the
    interval, all populations alike, and exchanges for the null.

    Each model's filters are halved at random, several times. The shift between halves of the *same* models
    is the bias, and is subtracted from that between halves of different ones, as
    `workbench.probes.debiased_shift` does for two populations.
    """
    groups = [models_of(models) for models in populations.values()]
    places = len(groups[0]) if groups else 0
    if len(groups) < 2 or any(len(models) != places for models in groups):
        raise WorkbenchError(
            "expected two or more populations with equally many models, "
            f"but {', '.join(str(len(models)) for models in groups) or 'none'} came"
        )
    each, half = n // places, min(len(some) for models in groups for some in models) // 2
    if not 1 <= each <= half:
        raise WorkbenchError(
            f"{places} models with at least {2 * half} filters each allow samples of {places} to "
            f"{half * places} filters, but n = {n} came"
        )
    along = along or components(np.concatenate([some for models in groups for some in models]))
    stream = np.random.default_rng([seed, len(groups), places, n])
    table = [[along.places(models[place], BINS) for models in groups] for place in range(places)]
    halvings = [_halved(table, each, stream) for _ in range(HALVINGS)]
    columns = np.arange(len(groups))
    as_they_are = np.arange(places)[:, None]

    def estimate(halving: int, rows: Any, columns: Any) -> tuple[Floats, Floats]:
        """Shifts [groups, groups] with their bias, and the bias, of populations made of other models."""
        counts = halvings[halving % HALVINGS][rows, columns].sum(axis=0)
        return _between(counts, along)

    upper = np.triu_indices(len(groups), 1)
    raw, bias = np.mean([estimate(i, as_they_are, columns) for i in range(HALVINGS)], axis=0)
    value = float((raw - bias)[upper].mean())
    drawn, null = [], []
    for i in range(resamples):
        again = stream.integers(places, size=(places, 1))
        drawn.append(np.subtract(*estimate(i, again, columns))[upper].mean())
        exchanged = stream.permuted(np.tile(columns, (places, 1)), axis=1)
        null.append(np.subtract(*estimate(i, as_they_are, exchanged))[upper].mean())
    spread = np.array(drawn) - np.mean(drawn) if drawn else np.zeros(1)
    low, high = (value + np.quantile(spread, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])).tolist()
    pairs = {
        (i, j): Shift(
            float(raw[i, j] - bias[i, j]),
            float(raw[i, j]),
            float(bias[i, j]),
            each * places,
            (places, places),
            None,
            None,
            np.array([]),
        )
        for i, j in combinations(range(len(groups)), 2)
    }
    return Apart(
        value, low, high, each * places, np.array(null or [value]), Shifts(tuple(populations), pairs)
    )


def _halved(
    table: list[list[NDArray[np.int32]]], each: int, stream: np.random.Generator
) -> NDArray[np.int64]:
    """Counts of two disjoint random parts of each model's filters: [places, groups, 2, p, bins]."""

    def parts(model: NDArray[np.int32]) -> list[NDArray[np.int64]]:
        order = stream.permutation(len(model))[: 2 * each]
        return [counted(model[order[:each]], BINS), counted(model[order[each:]], BINS)]

    return np.array([[parts(model) for model in row] for row in table])


def _between(counts: NDArray[np.int64], along: Components) -> tuple[Floats, Floats]:
    """Mean shift between halves of every two groups, and between both halves of one: [groups, groups] each.

    counts: [groups, 2, p, bins]. Both divergences together are Σ (p - q)(log p - log q): with the products
    of all shares with all logarithms, every pair is four entries of one matrix.
    """
    groups = len(counts)
    P = distributions(counts, (along.high - along.low) / BINS)
    products = (P * along.ratios[:, None]).reshape(2 * groups, -1) @ np.log(P).reshape(2 * groups, -1).T
    own = np.diag(products)
    D = (own[:, None] + own - products - products.T).reshape(groups, 2, groups, 2)
    within = D[np.arange(groups), 0, np.arange(groups), 1]
    return D.mean(axis=(1, 3)), (within[:, None] + within) / 2


# Networks of the zoo --------------------------------------------------------------------------


class Member(NamedTuple):
    """A network that has learnt: its filters layer by layer [n, 3, 3], and for each layer the share of
    sparse filters, and its variance entropy over the median of random layers with as many filters."""

    layers: tuple[NDArray[np.float32], ...]
    sparsity: Floats
    evenness: Floats


@cache
def trained(arm: Arm) -> Run:
    """`workbench.zoo.trained`, in memory."""
    return zoo.trained(arm)


@cache
def member(arm: Arm) -> Member | None:
    """An arm's network from the database that ships, or trained here and kept; None if it learnt nothing."""
    if found := shipped().get(arm.model_id):
        return found
    run = trained(arm)
    return _measured(trunk(run.model)) if run.score > of_arm(arm)[2] else None


def untrained(arm: Arm) -> Member:
    """Control: the arm's network before its first step, with first weights that no other arm has."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(arm.model_id)
        return _measured(filters(ZooNet(arm.depth, arm.width, arm.wiring).trunk))


def _measured(found: Any) -> Member:
    rows = filter_quality(found)
    evenness = [row.entropy / row.null_median for row in rows]  # type: ignore[operator]
    return Member(
        tuple(layer.filters for layer in found), np.array([row.sparsity for row in rows]), np.array(evenness)
    )


@cache
def shipped() -> dict[int, Member]:
    """All networks of the database that ships, by number."""
    data = load("filter-zoo")
    first = np.flatnonzero(np.diff(data["layer"])) + 1
    layers: dict[int, list[Any]] = {}
    for model, part in zip(data["model"][[0, *first]], np.split(data["filters"], first), strict=True):
        layers.setdefault(int(model), []).append(part)
    rows = zoo.shipped().query(
        "SELECT model_id, list(sparsity ORDER BY depth) AS sparsity, list(H / H_null ORDER BY depth) AS H "
        "FROM layers GROUP BY model_id"
    )
    return {
        row["model_id"]: Member(tuple(layers[row["model_id"]]), np.array(row["sparsity"]), np.array(row["H"]))
        for row in rows.rows()
    }


# Shift along one axis -------------------------------------------------------------------------

AXES = ("data", "task", "wiring", "depth", "seed")


def design(axis: str, budget: str = "lesson") -> dict[str, list[Arm]]:
    """The networks that are compared along an axis, by population; at one place nothing else differs.

    axis: "data", "task", "wiring", or "seed", for which no shift is expected.
    """
    few = range(by_budget(budget, smoke=1, lesson=2, full=5))
    more = range(by_budget(budget, smoke=2, lesson=3, full=5))
    two = list(product(by_budget(budget, smoke=("digits",), lesson=("digits", "scenes")), few))
    names = by_budget(budget, smoke=("digits", "scenes", "textures"), lesson=tuple(PICTURES))
    match axis:
        case "data":
            return {name: [Arm(name, seed=s) for s in more] for name in names}
        case "seed":
            return {f"seed {s}": [Arm(name, seed=s) for name in names] for s in more}
        case "task":
            return {t: [Arm(data, t, seed=s) for data, s in two] for t in get_args(Goal)}
        case "wiring":
            return {w: [Arm(data, wiring=w, seed=s) for data, s in two] for w in get_args(Wiring)}
    raise WorkbenchError(f"an axis is one of {', '.join(AXES)}, but {axis!r} came")


def populations(axis: str, budget: str = "lesson", make: Any = member) -> dict[str, list[Any]]:
    """Filters along an axis, by population and model: [filters, 3, 3] each.

    "depth" compares the layers of the networks of the axis "data", without the first one, which has few
    filters. make: `member`, or `untrained` for the control. Where a network has learnt nothing, its place is
    left out of all populations.
    """
    arms = design("data" if axis == "depth" else axis, budget)
    places = zip(*([make(arm) for arm in some] for some in arms.values()), strict=True)
    whole = [nets for nets in places if all(nets)]
    if axis == "depth":
        members = [net for nets in whole for net in nets]
        return {f"layer {d + 1}": [net.layers[d] for net in members] for d in range(1, Arm().depth)}
    return {name: [np.concatenate(nets[i].layers) for nets in whole] for i, name in enumerate(arms)}


def clear_of_null(found: dict[str, list[Any]], budget: str) -> Measured:
    """By how much the lower end of a shift's interval lies above the mean of exchanged models."""
    n, resamples = by_budget(budget, smoke=(1000, 20), lesson=(4000, 400))
    seen = apart(found, n=n, resamples=resamples)
    exchanged = float(seen.null.mean())
    return Measured(seen.low - exchanged, system=seen.value, baseline=exchanged)


def along_axis(axis: str, seed: int, budget: str) -> Measured:
    return clear_of_null(populations(axis, budget), budget)


def along_no_axis(axis: str, seed: int, budget: str) -> Measured:
    """Control: the larger one of two. Models that were exchanged at random, and untrained ones."""
    found = populations(axis, budget)
    names, places = list(found), len(next(iter(found.values())))
    stream = np.random.default_rng(len(found))
    orders = [stream.permutation(len(found)) for _ in range(places)]
    exchanged = {
        name: [found[names[order[i]]][place] for place, order in enumerate(orders)]
        for i, name in enumerate(names)
    }
    before = populations(axis, budget, untrained)
    both = [clear_of_null(exchanged, budget), clear_of_null(before, budget)]
    return max(both, key=lambda measured: measured.value)


# Degeneration ---------------------------------------------------------------------------------

STRONG, WEAK = 0.02, 0.005


def hard(budget: str) -> tuple[str, ...]:
    """Picture sets that networks of this size get wrong often."""
    return by_budget(budget, smoke=("textures",), lesson=("scenes", "micro"))


def decayed(data: str, decay: float, seed: int, budget: str) -> Arm:
    """The arms that differ in their weight decay."""
    depth, width, steps = by_budget(budget, smoke=(3, 8, 60), lesson=(6, 32, 400))
    return Arm(data, depth=depth, width=width, weight_decay=decay, steps=steps, seed=seed)


@cache
def axes_of(seed: int, budget: str) -> Components:
    """Common axes of all networks of a seed, whatever their weight decay."""
    nets = [
        member(decayed(data, decay, seed, budget))
        for data in ("digits", *hard(budget))
        for decay in (0.0, WEAK, STRONG)
    ]
    return components(np.concatenate([layer for net in nets if net for layer in net.layers]))


def data_shift(decay: float, seed: int, budget: str) -> float:
    """Mean shift between networks of one seed that have learnt from different pictures."""
    nets = {data: member(decayed(data, decay, seed, budget)) for data in ("digits", *hard(budget))}
    learnt = {data: [np.concatenate(net.layers)] for data, net in nets.items() if net}
    n = by_budget(budget, smoke=60, lesson=2500)
    return apart(learnt, axes_of(seed, budget), n=n, resamples=0).value


def shift_over_weak(decay: float, seed: int, budget: str) -> Measured:
    """How many times the shift across data that there is under weak decay."""
    ours, weak = data_shift(decay, seed, budget), data_shift(WEAK, seed, budget)
    return Measured(ours / max(weak, 1e-3), system=ours, baseline=weak)


def of_hard(decay: float, seed: int, budget: str) -> list[Member]:
    """Networks that have learnt from hard pictures."""
    nets = [member(decayed(data, decay, seed, budget)) for data in hard(budget)]
    if not any(nets):
        raise WorkbenchError(f"no network with weight decay {decay:g} and seed {seed} has learnt anything")
    return [net for net in nets if net]


def sparse_share(decay: float, seed: int, budget: str) -> float:
    """The share of sparse filters, mean over networks."""
    nets = of_hard(decay, seed, budget)
    return float(np.mean([np.average(net.sparsity, weights=list(map(len, net.layers))) for net in nets]))


def evenness(decay: float, seed: int, budget: str) -> float:
    """Variance entropy over that of random layers, mean of the layers behind the first, over networks."""
    return float(np.mean([net.evenness[1:].mean() for net in of_hard(decay, seed, budget)]))


def by_width(seed: int, budget: str) -> dict[str, list[Arm]]:
    """Narrow to wide networks of two data sets."""
    widths, steps = by_budget(budget, smoke=((8, 12), 60), lesson=((8, 16, 32, 64), 400))
    names = by_budget(budget, smoke=("digits",), lesson=("digits", "scenes"))
    return {data: [Arm(data, width=width, seed=seed, steps=steps) for width in widths] for data in names}


def uneven_with_width(make: Any, seed: int, budget: str) -> float:
    """Spearman's correlation between the width of a network and how uneven its filters are, within each
    data set and averaged over them."""
    found = []
    for arms in by_width(seed, budget).values():
        learnt = [(arm, net) for arm in arms if (net := make(arm))]
        found.append(_spearman(np.array([(arm.width, -net.evenness[1:].mean()) for arm, net in learnt])))
    return float(np.mean(found))


def _spearman(pairs: Floats) -> float:
    """Of pairs [n, 2]; 0 where one of both does not vary."""
    from scipy.stats import rankdata

    ranks = rankdata(pairs, axis=0) - (len(pairs) + 1) / 2
    scale = np.sqrt((ranks**2).sum(axis=0).prod())
    return float(ranks.prod(axis=1).sum() / scale) if scale else 0.0


# Transfer -------------------------------------------------------------------------------------

TARGETS = ("digits", "textures", "documents")
ALIKE = 0.03  # difference of accuracies on the source that counts as none


def probed(net: ZooNet, target: str) -> float:
    """% right of a linear probe: the trunk is frozen, its channels are averaged over places.

    The ridge's strength is chosen by leaving one training picture out at a time.
    """
    from sklearn.linear_model import RidgeClassifierCV  # on first use: a second to import

    def features(X: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad():
            return net.features(torch.from_numpy(X.copy())[:, None]).mean(dim=(2, 3)).numpy()

    found = pictures(target)
    F, F_test = features(found.train[0]), features(found.test[0])
    middle, width = F.mean(axis=0), F.std(axis=0)
    width[width <= 1e-6 * width.max()] = np.inf  # a channel that says nothing
    ridge = RidgeClassifierCV(np.logspace(-1, 4, 11)).fit((F - middle) / width, found.train[1])
    return 100 * float(ridge.score((F_test - middle) / width, found.test[1]))


@cache
def transferred(arm: Arm) -> float:
    """% right of linear probes on the frozen trunk of an arm, mean over the targets."""
    net = trained(arm).model
    assert isinstance(net, ZooNet)
    return float(np.mean([probed(net, target) for target in TARGETS]))


def random_trunk(seed: int = 0, targets: Sequence[str] = TARGETS) -> float:
    """% right of linear probes on random weights, whose norms have seen pictures but learnt nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = ZooNet()
    for target in targets:
        with torch.no_grad():
            net.train().features(torch.from_numpy(pictures(target).train[0].copy())[:, None])
    return float(np.mean([probed(net.eval(), target) for target in targets]))


def healthy_partner(arm: Arm, budget: str) -> Arm | None:
    """A network without strong decay that knows the source as well as the arm, at the nearest; or None."""
    seeds = range(by_budget(budget, smoke=1, lesson=5))
    score = trained(arm).score
    others = [decayed(arm.data, decay, s, budget) for decay, s in product((0.0, WEAK), seeds)]
    apart_by = {other: abs(trained(other).score - score) for other in others if other != arm}
    nearest = min(apart_by, key=lambda other: apart_by[other])
    return nearest if apart_by[nearest] <= by_budget(budget, smoke=1.0, lesson=ALIKE) else None


def lost_by(decay: float, seed: int, budget: str) -> Measured:
    """Points that networks of this decay are behind healthy ones of equal accuracy on the source."""
    arms = [decayed(data, decay, seed, budget) for data in hard(budget)]
    pairs = [(arm, partner) for arm in arms if (partner := healthy_partner(arm, budget))]
    if not pairs:
        raise WorkbenchError(f"no network of seed {seed} has a healthy partner of equal accuracy")
    ours, theirs = (float(np.mean([transferred(pair[side]) for pair in pairs])) for side in (0, 1))
    return Measured(theirs - ours, system=ours, baseline=theirs)


def _axis_claim(axis: str, what: str, paper: str) -> Claim:
    return Claim(
        f"shift-across-{axis}",
        says=f"Filters differ {what}: the 95 % interval of the mean shift lies above what models show whose "
        "labels were exchanged. The number is the interval's lower end less that mean, in nats. Control: "
        "exchanged labels, and untrained networks.",
        paper=paper,
        unit="nats",
        against="nats, labels exchanged",
        bar=AtLeast(0),
        measure=partial(along_axis, axis),
        control=partial(along_no_axis, axis),
        provenance="counted",
        seeds=1,
    )


SYSTEM = System(
    key="cnn-filter-db",
    claims=[
        _axis_claim(
            "data",
            "with the pictures that a network learnt from",
            "shifts between visual categories up to about 1.35, the largest with groups of one or three "
            "models (figure kl_combined of the repository, read by colour; the bar is ours)",
        ),
        _axis_claim(
            "task",
            "with the task",
            "shifts between tasks up to about 0.7 (figure kl_combined, read by colour; the bar is ours)",
        ),
        _axis_claim(
            "wiring",
            "with the wiring of the network",
            "shifts, or the lack of them, along the axis of architectures (abstract; the bar is ours)",
        ),
        _axis_claim(
            "depth",
            "with the depth of their layer",
            "shifts between tenths of the depth mostly below 0.1, about 0.2 for the last one (figure "
            "kl_combined, read by colour; the bar is ours)",
        ),
        Claim(
            "shift-grows-with-decay",
            says="Shift across data is largely a shift of degeneration: with a weight decay of 0.02 it is at "
            "least twice that with 0.005, in the same networks otherwise. Control: no weight decay.",
            paper="filters of different data shift little where size and variance of the data suffice "
            "(abstract); the ratio and its bar are ours",
            unit="times",
            against="D at the weak decay",
            bar=AtLeast(2, null=1),
            measure=partial(shift_over_weak, STRONG),
            control=partial(shift_over_weak, 0.0),
        ),
        Claim(
            "sparse-with-decay",
            says="Strong weight decay on hard pictures leaves at least a fifth of all filters sparse. "
            "Control: no weight decay.",
            paper="many trained models hold degenerated filters (abstract); the share and its bar are ours",
            unit="of all filters",
            bar=AtLeast(0.2, null=0),
            measure=partial(sparse_share, STRONG),
            control=partial(sparse_share, 0.0),
        ),
        Claim(
            "uneven-with-decay",
            says="Strong weight decay on hard pictures brings the variance entropy of layers to at most six "
            "tenths of that of random layers. Control: no weight decay.",
            paper="many trained models hold degenerated filters (abstract); the ratio and its bar are ours",
            unit="times",
            bar=AtMost(0.6, null=1),
            measure=partial(evenness, STRONG),
            control=partial(evenness, 0.0),
        ),
        Claim(
            "uneven-with-width",
            says="Wider networks have less even filters: Spearman's correlation of width and unevenness is "
            "at least 0.5. Control: untrained networks.",
            paper="layers with more filters than they need degenerate; no figure was seen, the bar is ours",
            unit="correlation",
            bar=AtLeast(0.5, null=0),
            measure=partial(uneven_with_width, member),
            control=partial(uneven_with_width, untrained),
            provenance="counted",
        ),
        Claim(
            "transfer",
            says="Frozen filters that strong weight decay has made degenerate serve other pictures at least "
            "3 points worse than healthy filters of equal accuracy on their own. Control: healthy filters "
            "against healthy ones.",
            paper="degenerated filters make models less suitable for fine-tuning (abstract; no figure)",
            unit="points",
            against="% right, the healthy trunk",
            bar=AtLeast(3, null=0),
            measure=partial(lost_by, STRONG),
            control=partial(lost_by, WEAK),
        ),
    ],
    deviations=[
        "The source collects 1.4 billion filters of hundreds of public models. Here networks of 5 thousand "
        "filters are trained on pictures of 16 x 16, so that every knob is known and every seed can be had "
        "again; `workbench zoo add` takes in public models.",
        "The published shift is not compared between groups of different size: its bias falls with the "
        "number of filters. Shifts here have as many filters in each sample, the bias between halves of the "
        "same models is subtracted, and models are resampled, not filters.",
        "The form of the bar along an axis (how far above the mean of exchanged models) was changed after a "
        "first look; by the 95 % quantile of the exchanges in its place, task would miss.",
        "Depth is compared by layers: networks of six layers have no ten tenths. The first layer has 32 "
        "filters, too few, and is left out.",
        "Three networks for each data set, four for each task and wiring. Wirings beyond the two networks "
        "of the database are trained when the claim is measured, and so are other widths, a weight decay of "
        "0.005, and the picture set micro with other decays.",
        "Shifts that depend on weight decay are between single networks and so have 2500 filters, not 4000.",
        "Degenerate means a weight decay of 0.02 here: its filters have few directions, but few are sparse. "
        "The abstract speaks of fine-tuning; here the trunk is frozen and a linear probe learns.",
        "Robustness, which the abstract also names, is left out.",
        "Paper scale: downloading hundreds of models, 1.4 billion rows; the tables are partitioned for that.",
    ],
)
