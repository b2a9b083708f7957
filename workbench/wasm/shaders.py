"""The same product for graphics processors, as text: WGSL, the language of WebGPU.

A graphics processor runs the same few lines on thousands of workers at once. Here a worker computes `rows`
times four `vectors` of C, and `width` times `height` workers form a group that the hardware keeps together.
What was a tile of registers stays one; what was a loop over panels and rows is now a grid of groups.
"""

from dataclasses import dataclass

from workbench.errors import WorkbenchError

from .products import Product
from .tiles import LANES

MOST_WORKERS = 256  # in a group: every WebGPU device allows as many


@dataclass(frozen=True)
class Group:
    """What one worker computes (`rows` × `vectors` of four floats) and how many form a group."""

    rows: int = 4
    vectors: int = 1
    width: int = 8
    height: int = 8

    def __post_init__(self) -> None:
        sizes = (self.rows, self.vectors, self.width, self.height)
        if min(sizes) < 1 or self.width * self.height > MOST_WORKERS:
            raise WorkbenchError(
                f"a group has 1 to {MOST_WORKERS} workers, each with at least one row and vector, "
                f"but {self} came"
            )

    def grid(self, shape: Product) -> tuple[int, int]:
        """How many groups across and down cover C."""
        across, down = LANES * self.vectors * self.width, self.rows * self.height
        return -(-shape.n // across), -(-shape.m // down)


def wgsl(shape: Product, group: Group = Group()) -> str:
    """A compute shader for C = A · B: bindings 0 to 2 are A [m, k], B [k, n], C [m, n], plain float32 rows.

    The n of B and C must be a multiple of 4, because they are read as vectors; m and k may be anything.
    """
    if shape.n % LANES or (shape.lda, shape.ldc) != (shape.k, shape.n) or shape.bias:
        raise WorkbenchError(
            f"the shader reads whole vectors of plain rows: n a multiple of {LANES}, no strides and no bias, "
            f"but {shape} came"
        )
    line = shape.n // LANES
    sums = [(row, v) for row in range(group.rows) for v in range(group.vectors)]
    text = [
        "@group(0) @binding(0) var<storage, read> a: array<f32>;",
        "@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;",
        "@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>;",
        "",
        f"@compute @workgroup_size({group.width}, {group.height})",
        "fn main(@builtin(global_invocation_id) at: vec3<u32>) {",
        f"  let column = at.x * {group.vectors}u;",
        f"  let row = at.y * {group.rows}u;",
        *(f"  var sum_{row}_{v} = vec4<f32>();" for row, v in sums),
        f"  for (var step = 0u; step < {shape.k}u; step++) {{",
        *(
            f"    let b_{v} = b[step * {line}u + min(column + {v}u, {line - 1}u)];"
            for v in range(group.vectors)
        ),
    ]
    for row in range(group.rows):
        text.append(f"    let a_{row} = a[min(row + {row}u, {shape.m - 1}u) * {shape.k}u + step];")
        text += [
            f"    sum_{row}_{v} = fma(vec4<f32>(a_{row}), b_{v}, sum_{row}_{v});"
            for v in range(group.vectors)
        ]
    text.append("  }")
    for row, v in sums:
        text += [
            f"  if (row + {row}u < {shape.m}u && column + {v}u < {line}u) {{",
            f"    c[(row + {row}u) * {line}u + column + {v}u] = sum_{row}_{v};",
            "  }",
        ]
    return "\n".join([*text, "}", ""])
