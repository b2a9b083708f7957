"""Numbers read off a map of how much each pixel matters: radius, moments, cross or disc.

All of them work on the raw magnitudes and are unchanged when the map is multiplied by a constant.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import WorkbenchError

TOLERANCE = 1e-9


def checked_map(map: ArrayLike) -> NDArray[np.float64]:
    """The map as float64 magnitudes [height, width], or a sentence about what is wrong with it."""
    values = np.abs(np.asarray(map, dtype=float))
    if values.ndim != 2 or values.size == 0:
        raise WorkbenchError(
            f"an effective field must be a map [height, width], but shape {values.shape} came"
        )
    if not np.isfinite(values).all():
        raise WorkbenchError("an effective field must be finite, but the map has NaN or infinite entries")
    if values.sum() == 0:
        raise WorkbenchError("the map is zero everywhere: nothing moves this output")
    return values


def middle(map: NDArray[np.float64]) -> tuple[float, float]:
    """The centre of the map; it lies between pixels where a side is even."""
    return (map.shape[0] - 1) / 2, (map.shape[1] - 1) / 2


def mass_radius(map: ArrayLike, share: float = 0.5, center: tuple[float, float] | None = None) -> float:
    """Half the side of the smallest square around `center` that holds a share of the map's mass.

    map: [height, width], signs are ignored. center: (y, x) in pixels, default the middle of the map.
    Returns the smallest r >= 0 among the L-infinity distances of pixel centres from `center` with
    sum(|map|[distance <= r]) >= share * sum(|map|). A single pixel has radius 0; multiplying the map
    by a constant changes nothing.

    >>> mass_radius(np.ones((5, 5)), share=0.3)
    1.0
    """
    values = checked_map(map)
    if not 0 < share <= 1:
        raise WorkbenchError(f"share must lie above 0 and up to 1, but {share} came")
    y, x = middle(values) if center is None else center
    rows, columns = np.abs(np.arange(values.shape[0]) - y), np.abs(np.arange(values.shape[1]) - x)
    distance = np.maximum(rows[:, None], columns[None, :]).ravel()
    order = np.argsort(distance, kind="stable")
    mass = np.cumsum(values.ravel()[order])
    enough = np.searchsorted(mass, (share - TOLERANCE) * mass[-1])
    return float(distance[order[enough]])


@dataclass(frozen=True)
class Moments:
    """Where the mass of a map lies and how it spreads, in pixels.

    mean: (y, x). covariance: 2 x 2, in the order (y, x).
    """

    mean: tuple[float, float]
    covariance: NDArray[np.float64]

    @property
    def std(self) -> tuple[float, float]:
        """Standard deviation down and across."""
        return float(np.sqrt(self.covariance[0, 0])), float(np.sqrt(self.covariance[1, 1]))

    @property
    def spread(self) -> float:
        """One number for the extent: root mean square of the standard deviations of the two axes."""
        return float(np.sqrt(np.trace(self.covariance) / 2))

    @property
    def axes(self) -> tuple[float, float]:
        """Standard deviations along the long and the short axis of the ellipse."""
        short, long = np.sqrt(np.maximum(np.linalg.eigvalsh(self.covariance), 0))
        return float(long), float(short)

    @property
    def anisotropy(self) -> float:
        """Long axis over short axis: 1 for a disc or a square; inf for a line."""
        long, short = self.axes
        return long / short if short > 0 else (1.0 if long == 0 else float("inf"))

    @property
    def angle(self) -> float:
        """Direction of the long axis in degrees, 0 across, 90 down the image, in [0, 180)."""
        vector = np.linalg.eigh(self.covariance)[1][:, -1]
        return float(np.degrees(np.arctan2(vector[0], vector[1])) % 180)


def moments(map: ArrayLike) -> Moments:
    """Mean and second-moment tensor of |map| [height, width] around its own mean."""
    values = checked_map(map)
    weight = values / values.sum()
    place = np.stack(np.meshgrid(*map_axes(values), indexing="ij"))  # [2, height, width]
    mean = (place * weight).sum(axis=(1, 2))
    off = place - mean[:, None, None]
    covariance = np.einsum("ihw,jhw,hw->ij", off, off, weight)
    return Moments((float(mean[0]), float(mean[1])), covariance)


def map_axes(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of the rows and of the columns."""
    return np.arange(values.shape[0], dtype=float), np.arange(values.shape[1], dtype=float)


def crossness(map: ArrayLike, center: tuple[float, float] | None = None) -> float:
    """How much of the mass lies along the two axes of the image: 1 for a plus, 0 for a disc, -1 for an x.

    The mean of cos 4a over |map|, where a is the direction seen from `center`. No radius and no
    second moment can tell a cross from a disc; this fourth harmonic does. The pixel at the centre has
    no direction and does not count; a map with nothing else has crossness 0.
    """
    values = checked_map(map)
    y, x = middle(values) if center is None else center
    rows, columns = map_axes(values)
    angle = np.arctan2(rows[:, None] - y, columns[None, :] - x)
    away = np.hypot(rows[:, None] - y, columns[None, :] - x) > 1e-6
    mass = values[away].sum()
    return float((values * np.cos(4 * angle))[away].sum() / mass) if mass > 0 else 0.0
