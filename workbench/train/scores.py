"""Losses to go down and scores to go up, for labels, for pixels and for series."""

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(output: Tensor, Y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy in nats of logits [n, classes, ...] for labels [n, ...], of pictures or of pixels.

    Label smoothing s asks for probability 1 - s + s / classes of the label and s / classes of the others.
    """
    return F.cross_entropy(output, Y, label_smoothing=label_smoothing)


def mean_squares(output: Tensor, Y: Tensor) -> Tensor:
    """Mean squared difference of two tensors of one shape."""
    return F.mse_loss(output, Y)


def accuracy(output: Tensor, Y: Tensor) -> float:
    """The share of labels [n, ...] that have the largest of the logits [n, classes, ...], 0 to 1."""
    return (output.argmax(1) == Y).double().mean().item()


def mean_iou(output: Tensor, Y: Tensor) -> float:
    """Intersection over union of predicted and true pixels, averaged over classes, 0 to 1.

    output: logits [n, classes, height, width]. Y: labels [n, height, width]. Pixels of all pictures are
    pooled; a class that is neither there nor predicted has no say.
    """
    classes = output.shape[1]
    pairs = torch.bincount((Y * classes + output.argmax(1)).flatten(), minlength=classes**2)
    counts = pairs.view(classes, classes).double()
    both = counts.diagonal()
    either = counts.sum(0) + counts.sum(1) - both
    return (both / either)[either > 0].mean().item()


def relative_error(output: Tensor, Y: Tensor) -> float:
    """Minus the mean squared error over the variance of Y: 0 is perfect, -1 is no better than the mean."""
    return -((output - Y).square().mean() / (Y - Y.mean(0)).square().mean()).item()
