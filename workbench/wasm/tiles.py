"""Which kernels are worth a try: how many rows, vectors and steps one turn of the loop holds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from workbench.errors import WorkbenchError

LANES = 4  # floats in a vector of WebAssembly
REGISTERS = 16  # vector registers that an engine uses on x86-64; 32 on ARM
MR = (1, 2, 3, 4, 5, 6, 8)
NV = (1, 2, 3, 4, 6, 8)
KU = (1, 2, 4, 8)


@dataclass(frozen=True, order=True)
class Tile:
    """`mr` rows times `nv` vectors of the result stay in registers; `ku` steps of the sum stand in one turn.

    relaxed: multiply and add in one instruction (relaxed SIMD), where the reader's engine has it.
    """

    mr: int = 1
    nv: int = 1
    ku: int = 1
    relaxed: bool = False

    def __post_init__(self) -> None:
        if min(self.mr, self.nv, self.ku) < 1:
            raise WorkbenchError(f"a tile has at least one row, vector and step, but {self} came")

    def __str__(self) -> str:
        return f"{self.mr}x{self.nv} unroll {self.ku}{' relaxed' * self.relaxed}"

    @property
    def registers(self) -> int:
        """Vector registers alive at once: the sums, one row of B, and the number of A that meets it."""
        return self.mr * self.nv + self.nv + 1


def lite_space(
    m: int,
    n: int,
    k: int,
    *,
    registers: int = REGISTERS,
    relaxed: Iterable[bool] = (False,),
    edges: bool = False,
) -> list[Tile]:
    """The few dozen tiles for a product [m, k] · [k, n]: those that fit the registers and divide the work.

    edges: whether tiles that do not divide the work may stay too, if they are no larger than it; smaller ones
    do the rest.
    """
    if min(m, n, k) < 1:
        raise WorkbenchError(f"a product needs sizes of at least 1, but {m}, {n} and {k} came")

    def fits(tile: Tile) -> bool:
        smaller = tile.mr <= m and tile.nv <= -(-n // LANES) and tile.ku <= k
        whole = m % tile.mr == 0 and n % (LANES * tile.nv) == 0 and k % tile.ku == 0
        return tile.registers <= registers and (whole or (edges and smaller))

    return [tile for tile in _tiles(MR, NV, KU, relaxed) if fits(tile)]


def wide_space(m: int, *, relaxed: Iterable[bool] = (False,)) -> list[Tile]:
    """More than a thousand tiles, with no thought for registers or remainders; up to m rows."""
    return list(_tiles(range(1, min(m, 16) + 1), range(1, 13), (1, 2, 3, 4, 6, 8), relaxed))


def _tiles(
    mr: Iterable[int], nv: Iterable[int], ku: Iterable[int], relaxed: Iterable[bool]
) -> Iterator[Tile]:
    return (Tile(*choice) for choice in product(mr, nv, ku, relaxed))
