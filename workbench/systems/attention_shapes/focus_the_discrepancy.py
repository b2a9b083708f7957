"""Focus the Discrepancy: Intra- and Inter-Correlation Learning for Image Anomaly Detection.

Xincheng Yao, Ruoqi Li, Zefeng Qian, Yan Luo, Chongyang Zhang; 2023; https://arxiv.org/abs/2308.02983.
Original code: https://github.com/xcyao00/FOD. Nothing is copied from it.

Only images without a defect are known. A transformer learns to rebuild their features; where it fails, an
image is suspect. Beside the own image, every token looks at a reference, the mean features of normal images
at each place. Its row of attention to the reference has a target, a bump about its own place: a normal token
finds what it expects where it stands, one that does not belong there finds it elsewhere, or nowhere. What is
suspect is what rebuilds badly and, at the same time, has lost its link to the reference.

Deviations: listed in `SYSTEM`.
"""

from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from workbench_datasets import card, load

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.layers import LayerNorm2d
from workbench.layers.intra_inter_correlation import Divergences, IntraInterCorrelation, divergences
from workbench.train import Recipe, Run, Task, train

# The features ---------------------------------------------------------------------------------

LEVELS = ((8, (4.0, 8.0)), (16, (8.0, 16.0)))  # pixels a token, wavelengths in pixels
ORIENTATIONS = 4


def gabor(wavelength: float, angle: float) -> Tensor:
    """An even and an odd Gabor filter [2, n, n]: a wave under a Gaussian, mean 0, squares that sum to 1."""
    half = round(wavelength)
    y, x = torch.meshgrid(*2 * [torch.arange(-half, half + 1.0)], indexing="ij")
    along = x * np.cos(angle) + y * np.sin(angle)
    bell = torch.exp(-(x**2 + y**2) / (2 * (wavelength / 2.5) ** 2))
    phase = 2 * torch.pi * along / wavelength
    waves = torch.stack([phase.cos(), phase.sin()])
    waves = bell * (waves - (bell * waves).sum((1, 2), keepdim=True) / bell.sum())
    return waves / waves.square().sum((1, 2), keepdim=True).sqrt()


def features(images: Tensor, level: int) -> Tensor:
    """A fixed backbone: images [n, 1, s, s] -> [n, 33, s / 8 or s / 16, the same].

    Positive and negative parts of the answers of all Gabor filters, and the brightness, averaged over each
    token; then, as in the source, over its 3 x 3 tokens.
    """
    side, wavelengths = LEVELS[level]
    answers = [images]
    for wavelength in wavelengths:
        angles = torch.arange(ORIENTATIONS) * torch.pi / ORIENTATIONS
        bank = torch.cat([gabor(wavelength, float(angle)) for angle in angles])[:, None]
        half = bank.shape[-1] // 2
        waves = F.conv2d(F.pad(images, (half,) * 4, mode="reflect"), bank)
        answers += [waves.relu(), (-waves).relu()]
    tokens = F.avg_pool2d(torch.cat(answers, 1), side)
    return F.avg_pool2d(tokens, 3, 1, 1)


# The mechanism --------------------------------------------------------------------------------


class Reading(NamedTuple):
    """The rebuilt features [n, channels, height, width], and each token's numbers, means over layers.

    Without a reference there is nothing to tell.
    """

    rebuilt: Tensor
    tells: Divergences | None


LOUDNESS, SLOWEST = 3.0, 24.0  # of the waves below: their amplitude, and how much slower the last one is


def places(channels: int, height: int, width: int) -> Tensor:
    """Sines and cosines of the column in the first half of the channels, of the row in the second."""
    half = channels // 2
    rate = SLOWEST ** -(torch.arange(0, half, 2) / half)
    waves = []
    for side, shape in ((width, (half, 1, width)), (height, (half, height, 1))):
        phase = torch.arange(float(side)) * rate[:, None]
        both = torch.stack([phase.sin(), phase.cos()], 1).flatten(0, 1)
        waves.append(both.view(shape).expand(half, height, width))
    return LOUDNESS * torch.cat(waves)


class FocusTheDiscrepancy(nn.Module):
    """Features [n, channels, height, width] -> `Reading`; `reference` [channels, height, width] is fixed.

    With `difference=False` it is the baseline: the same transformer without a reference.
    """

    def __init__(
        self, reference: Tensor, width: int = 48, heads: int = 2, layers: int = 3, difference: bool = True
    ) -> None:
        super().__init__()
        channels = len(reference)
        self.register_buffer("reference", reference)
        self.register_buffer("places", places(width, *reference.shape[1:]))
        self.embed = nn.Conv2d(channels, width, 1)
        self.embed_reference = nn.Conv2d(channels, width, 1)
        self.layers = nn.ModuleList(
            IntraInterCorrelation(width, heads, difference=difference) for _ in range(layers)
        )
        self.norm = LayerNorm2d(width)
        self.rebuild = nn.Conv2d(width, channels, 1)

    def forward(self, X: Tensor) -> Reading:
        x = self.embed(X) + self.places
        reference = self.embed_reference(self.reference[None]) + self.places
        tells = []
        for layer in self.layers:
            x, intra, inter = layer(x, reference)
            if inter is not None:
                tells.append(divergences(intra, inter, *X.shape[-2:]))
        mean = Divergences(*(sum(parts) / len(tells) for parts in zip(*tells, strict=True))) if tells else None
        return Reading(self.rebuild(self.norm(x)), mean)


def misfit(rebuilt: Tensor, X: Tensor) -> Tensor:
    """How badly each token is rebuilt: mean squares and 1 - cosine, [n, height, width]."""
    return (rebuilt - X).square().mean(1) + 1 - F.cosine_similarity(rebuilt, X, dim=1)


def objective(output: Reading, X: Tensor, weight: float = 0.5, entropy: float = 0.5) -> Tensor:
    """What a step descends on: both losses of the source in one, so that rebuilding counts twice.

    `opposed` inside the divergences turns their gradients where the source keeps two losses apart by
    detaching one side of each.
    """
    tells = output.tells
    game = tells.intra.mean() + tells.inter.mean()
    spread = tells.inter_entropy.mean() - tells.intra_entropy.mean()
    return 2 * misfit(output.rebuilt, X).mean() + weight * game + entropy * spread


def rebuilding(output: Reading, X: Tensor) -> Tensor:
    """The baseline's loss."""
    return misfit(output.rebuilt, X).mean()


def minus_misfit(output: Reading, X: Tensor) -> float:
    """The score of a training: how well normal images are rebuilt."""
    return -rebuilding(output, X).item()


def lost_link(inter: Tensor) -> Tensor:
    """How far each token falls behind the best linked one of its own image: [n, height, width].

    The softmax runs over the tokens of one image and so does the maximum: with the maximum of all test
    images, one image's score would depend on the others.
    """
    linked = torch.softmax(-inter.flatten(1), -1)
    return (linked.amax(-1, keepdim=True) - linked).view_as(inter)


def suspicion(output: Reading, X: Tensor, difference: bool = True) -> Tensor:
    """The score of each token [n, height, width]; without a reference what rebuilds badly is suspect."""
    bad = misfit(output.rebuilt, X)
    return bad * lost_link(output.tells.inter) if difference else bad


# Measuring ------------------------------------------------------------------------------------

LEARNING_RATES = {"focus": 4e-3, "rebuild": 4e-3}
BLUR = 4 / 256  # of an image's score, in sides of the image


class Boards(NamedTuple):
    """One board's images, as features of both levels [n, 33, height, width], and the tests' truth.

    Features are standardised by the training images. masks: bool [n, size, size]; labels: int64 [n], 0
    where there is no defect.
    """

    known: list[Tensor]
    asked: list[Tensor]
    images: np.ndarray
    masks: np.ndarray
    labels: np.ndarray


@cache
def boards(seed: int, budget: str, part: str = "test") -> Boards:
    """Whole boards to learn from, and others to be tested on, three quarters of them with a defect.

    part="train" takes the material of the others from the training half of the photographs: that is for
    choosing, never for claims.
    """
    size, images = by_budget(budget, smoke=(48, 8), lesson=(96, 64), full=(96, 200))
    other = seed + (part == "train")  # never the draws that are learnt from
    known = load("boards", size=size, images=images, board=seed, seed=seed)
    asked = load("boards", size=size, images=images, board=seed, seed=other, part=part, defective=0.75)
    pairs = []
    for level in range(len(LEVELS)):
        maps = [features(torch.from_numpy(data["images"])[:, None], level) for data in (known, asked)]
        mean, deviation = (f(maps[0], (0, 2, 3), keepdim=True) for f in (torch.mean, torch.std))
        pairs.append([(found - mean) / deviation for found in maps])
    learnt, tested = (list(maps) for maps in zip(*pairs, strict=True))
    return Boards(learnt, tested, asked["images"], asked["masks"], asked["labels"])


def trained(arm: str, level: int, seed: int, budget: str, part: str = "test") -> Run:
    """One level of one arm: "focus", "rebuild" (no reference), "shuffled" (references exchanged among
    the places, the same way in all images), "no entropy"."""
    data = boards(seed, budget, part)
    known, asked = data.known[level], data.asked[level][data.labels == 0]
    reference = known.mean(0)
    if arm == "shuffled":
        order = torch.from_numpy(np.random.default_rng(seed).permutation(reference[0].numel()))
        reference = reference.flatten(1)[:, order].view_as(reference)
    difference = arm != "rebuild"
    loss = partial(objective, entropy=0.0 if arm == "no entropy" else 0.5) if difference else rebuilding
    shape = (known.shape[1], known.shape[2], known.shape[3])
    task = Task(f"boards, level {level}", shape, shape[0], (known, known), (asked, asked), loss, minus_misfit)
    recipe = Recipe(
        steps=by_budget(budget, smoke=2, lesson=200, full=1_000),
        batch=1,
        lr=LEARNING_RATES["focus" if difference else "rebuild"],
        optimizer="adam",
        weight_decay=0.0,
    )
    return train(partial(FocusTheDiscrepancy, reference, difference=difference), task, recipe, seed)


def painted(scores: list[Tensor], size: int) -> np.ndarray:
    """The scores of the tokens of both levels [n, height, width] on pixels: float32 [n, size, size]."""
    maps = [F.interpolate(s[:, None], size=(size, size), mode="bilinear", align_corners=True) for s in scores]
    return torch.cat(maps, 1).mean(1).numpy()


def image_scores(maps: np.ndarray) -> np.ndarray:
    """One number an image: the largest of its blurred pixels, [n]."""
    blur = BLUR * maps.shape[-1]
    return gaussian_filter(maps, (0, blur, blur)).max((1, 2))


class Found(NamedTuple):
    """Areas under the curve of pixels and of images, 0.5 for chance, and of pixels for each defect."""

    pixels: float
    images: float
    defects: dict[str, float]


def judged(scores: list[Tensor], data: Boards) -> Found:
    """How well scores [n, height, width] of each level tell defects: areas under the ROC curve."""
    maps = painted(scores, data.masks.shape[-1])
    defects = {
        name: float(roc_auc_score(data.masks[rows].ravel(), maps[rows].ravel()))
        for label, name in enumerate(card("boards").members)
        if label and (rows := data.labels == label).any()
    }
    pixels = roc_auc_score(data.masks.ravel(), maps.ravel())
    return Found(float(pixels), float(roc_auc_score(data.labels > 0, image_scores(maps))), defects)
