"""Right kernels in plain Python, written as kernels are: other orders of summation, blocks, lanes, one pass.

A judge that refuses one of these is wrong. They are also what mutants are made of.
"""

from workbench.judge import classics
from workbench.judge.source import Source
from workbench.judge.task import Task

HEAD = "import numpy as np\n\n"
BITS = """
def rounded(x):
    bits = np.float32(x).view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)

"""

TEXTS: dict[str, tuple[Task, str]] = {
    "relu, element by element": (
        classics.RELU,
        """
def kernel(x):
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] if x[i, j] > 0 else 0
    return out
""",
    ),
    "relu, blocks of eight with a tail": (
        classics.RELU,
        """
def kernel(x):
    flat = x.reshape(-1)
    out = np.empty(flat.size, flat.dtype)
    for start in range(0, flat.size, 8):
        for k in range(start, min(start + 8, flat.size)):
            out[k] = max(flat[k], 0)
    return out.reshape(x.shape)
""",
    ),
    "relu in bfloat16": (
        classics.RELU_BFLOAT16,
        BITS
        + """
def kernel(x):
    out = np.empty(x.shape, np.float32)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = rounded(max(x[i, j], 0))
    return out
""",
    ),
    "add twice": (
        classics.ADD_TWICE,
        """
def kernel(x, y):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = 2 * x[i] + y[i]
    return out
""",
    ),
    "add twice, two lanes": (
        classics.ADD_TWICE,
        """
def kernel(x, y):
    n = len(x)
    out = np.empty(n, x.dtype)
    for i in range(0, n - 1, 2):
        out[i] = x[i] + x[i] + y[i]
        out[i + 1] = x[i + 1] + x[i + 1] + y[i + 1]
    if n % 2 == 1:
        out[n - 1] = x[n - 1] + x[n - 1] + y[n - 1]
    return out
""",
    ),
    "transpose": (
        classics.TRANSPOSE,
        """
def kernel(x):
    rows, columns = x.shape
    out = np.empty((columns, rows), x.dtype)
    for i in range(rows):
        for j in range(columns):
            out[j, i] = x[i, j]
    return out
""",
    ),
    "transpose in tiles": (
        classics.TRANSPOSE,
        """
def kernel(x):
    rows, columns = x.shape
    out = np.empty((columns, rows), x.dtype)
    for a in range(0, rows, 4):
        for b in range(0, columns, 4):
            for i in range(a, min(a + 4, rows)):
                for j in range(b, min(b + 4, columns)):
                    out[j, i] = x[i, j]
    return out
""",
    ),
    "row sum from the left": (
        classics.ROW_SUM,
        """
def kernel(x):
    out = np.zeros(x.shape[0], x.dtype)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i] += x[i, j]
    return out
""",
    ),
    "row sum from the right": (
        classics.ROW_SUM,
        """
def kernel(x):
    out = np.zeros(x.shape[0], x.dtype)
    for i in range(x.shape[0]):
        for j in range(x.shape[1] - 1, -1, -1):
            out[i] += x[i, j]
    return out
""",
    ),
    "row sum in four lanes": (
        classics.ROW_SUM,
        """
def kernel(x):
    rows, columns = x.shape
    out = np.empty(rows, x.dtype)
    for i in range(rows):
        lanes = np.zeros(4, np.float32)
        for j in range(columns):
            lanes[j % 4] += x[i, j]
        out[i] = lanes[0] + lanes[1] + (lanes[2] + lanes[3])
    return out
""",
    ),
    "row sum as a tree": (
        classics.ROW_SUM,
        """
def kernel(x):
    out = np.empty(x.shape[0], x.dtype)
    for i in range(x.shape[0]):
        work = x[i].copy()
        n = len(work)
        while n > 1:
            half = (n + 1) // 2
            for j in range(n // 2):
                work[j] = work[j] + work[j + half]
            n = half
        out[i] = work[0]
    return out
""",
    ),
    "row sum with carried errors": (
        classics.ROW_SUM,
        """
def kernel(x):
    out = np.empty(x.shape[0], x.dtype)
    for i in range(x.shape[0]):
        total = np.float32(0)
        carried = np.float32(0)
        for j in range(x.shape[1]):
            term = x[i, j] - carried
            after = total + term
            carried = after - total - term
            total = after
        out[i] = total
    return out
""",
    ),
    "row sum in bfloat16, added in float32": (
        classics.ROW_SUM_BFLOAT16,
        BITS
        + """
def kernel(x):
    out = np.zeros(x.shape[0], np.float32)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i] += x[i, j]
        out[i] = rounded(out[i])
    return out
""",
    ),
    "row sum in bfloat16 throughout": (
        classics.ROW_SUM_BFLOAT16,
        BITS
        + """
def kernel(x):
    out = np.zeros(x.shape[0], np.float32)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i] = rounded(out[i] + x[i, j])
    return out
""",
    ),
    "row max": (
        classics.ROW_MAX,
        """
def kernel(x):
    out = np.empty(x.shape[0], x.dtype)
    for i in range(x.shape[0]):
        most = x[i, 0]
        for j in range(1, x.shape[1]):
            if x[i, j] > most:
                most = x[i, j]
        out[i] = most
    return out
""",
    ),
    "softmax in three passes": (
        classics.SOFTMAX,
        """
def kernel(x):
    rows, columns = x.shape
    out = np.empty(x.shape, x.dtype)
    for i in range(rows):
        top = x[i, 0]
        for j in range(1, columns):
            top = max(top, x[i, j])
        total = np.float32(0)
        for j in range(columns):
            total += np.exp(x[i, j] - top)
        for j in range(columns):
            out[i, j] = np.exp(x[i, j] - top) / total
    return out
""",
    ),
    "softmax with a running maximum": (
        classics.SOFTMAX,
        """
def kernel(x):
    rows, columns = x.shape
    out = np.empty(x.shape, x.dtype)
    for i in range(rows):
        top = x[i, 0]
        total = np.float32(1)
        for j in range(1, columns):
            if x[i, j] > top:
                total = total * np.exp(top - x[i, j]) + 1
                top = x[i, j]
            else:
                total += np.exp(x[i, j] - top)
        for j in range(columns):
            out[i, j] = np.exp(x[i, j] - top) / total
    return out
""",
    ),
    "rms norm": (
        classics.RMS_NORM,
        """
def kernel(x, gain):
    rows, columns = x.shape
    out = np.empty(x.shape, x.dtype)
    for i in range(rows):
        squares = np.float32(0)
        for j in range(columns):
            squares += x[i, j] * x[i, j]
        scale = 1 / np.sqrt(squares / columns + np.float32(1e-5))
        for j in range(columns):
            out[i, j] = x[i, j] * scale * gain[j]
    return out
""",
    ),
    "layer norm with its backward pass": (
        classics.LAYER_NORM,
        """
def moments(x, i):
    n = x.shape[1]
    mean = np.float32(0)
    for j in range(n):
        mean += x[i, j] / n
    variance = np.float32(0)
    for j in range(n):
        variance += (x[i, j] - mean) * (x[i, j] - mean) / n
    return mean, 1 / np.sqrt(variance + np.float32(1e-5))

def kernel(x, gain, bias):
    rows, columns = x.shape
    out = np.empty(x.shape, x.dtype)
    for i in range(rows):
        mean, scale = moments(x, i)
        for j in range(columns):
            out[i, j] = (x[i, j] - mean) * scale * gain[j] + bias[j]
    return out

def backward(upstream, x, gain, bias):
    rows, columns = x.shape
    dx = np.empty(x.shape, x.dtype)
    dgain = np.zeros(columns, x.dtype)
    dbias = np.zeros(columns, x.dtype)
    for i in range(rows):
        mean, scale = moments(x, i)
        total = np.float32(0)
        along = np.float32(0)
        for j in range(columns):
            y = (x[i, j] - mean) * scale
            inner = upstream[i, j] * gain[j]
            total += inner / columns
            along += inner * y / columns
            dgain[j] += upstream[i, j] * y
            dbias[j] += upstream[i, j]
        for j in range(columns):
            y = (x[i, j] - mean) * scale
            dx[i, j] = (upstream[i, j] * gain[j] - total - y * along) * scale
    return dx, dgain, dbias
""",
    ),
    "matmul, inner products": (
        classics.MATMUL,
        """
def kernel(A, B):
    n, k = A.shape
    m = B.shape[1]
    C = np.empty((n, m), A.dtype)
    for i in range(n):
        for j in range(m):
            total = np.float32(0)
            for p in range(k):
                total += A[i, p] * B[p, j]
            C[i, j] = total
    return C
""",
    ),
    "matmul, outer products": (
        classics.MATMUL,
        """
def kernel(A, B):
    n, k = A.shape
    m = B.shape[1]
    C = np.zeros((n, m), A.dtype)
    for p in range(k):
        for i in range(n):
            for j in range(m):
                C[i, j] += A[i, p] * B[p, j]
    return C
""",
    ),
    "matmul in tiles": (
        classics.MATMUL,
        """
def kernel(A, B):
    n, k = A.shape
    m = B.shape[1]
    C = np.zeros((n, m), A.dtype)
    for a in range(0, n, 4):
        for b in range(0, k, 4):
            for i in range(a, min(a + 4, n)):
                for p in range(b, min(b + 4, k)):
                    for j in range(m):
                        C[i, j] += A[i, p] * B[p, j]
    return C
""",
    ),
    "running sum": (
        classics.RUNNING_SUM,
        """
def kernel(x):
    out = np.empty_like(x)
    total = np.float32(0)
    for i in range(len(x)):
        total += x[i]
        out[i] = total
    return out
""",
    ),
    "running sum in blocks": (
        classics.RUNNING_SUM,
        """
def kernel(x):
    n = len(x)
    out = np.empty(n, x.dtype)
    before = np.float32(0)
    for start in range(0, n, 8):
        inside = np.float32(0)
        for i in range(start, min(start + 8, n)):
            inside += x[i]
            out[i] = before + inside
        before += inside
    return out
""",
    ),
    "running sum by doubling": (
        classics.RUNNING_SUM,
        """
def kernel(x):
    out = x.copy()
    step = 1
    while step < len(x):
        old = out.copy()
        for i in range(step, len(x)):
            out[i] = old[i] + old[i - step]
        step *= 2
    return out
""",
    ),
    "moving mean": (
        classics.MOVING_MEAN,
        """
def kernel(x):
    n = len(x)
    out = np.empty(n, x.dtype)
    for i in range(n):
        total = x[i]
        if i > 0:
            total += x[i - 1]
        if i < n - 1:
            total += x[i + 1]
        out[i] = total / 3
    return out
""",
    ),
    "first largest": (
        classics.FIRST_LARGEST,
        """
def kernel(x):
    out = np.zeros(x.shape[0], np.int64)
    for i in range(x.shape[0]):
        for j in range(1, x.shape[1]):
            if x[i, j] > x[i, out[i]]:
                out[i] = j
    return out
""",
    ),
    "cross entropy": (
        classics.CROSS_ENTROPY,
        """
def kernel(logits, labels):
    rows, classes = logits.shape
    out = np.empty(rows, logits.dtype)
    for i in range(rows):
        top = logits[i, 0]
        for j in range(1, classes):
            top = max(top, logits[i, j])
        total = np.float32(0)
        for j in range(classes):
            total += np.exp(logits[i, j] - top)
        out[i] = np.log(total) + top - logits[i, labels[i]]
    return out
""",
    ),
}


def honest() -> dict[str, tuple[Task, Source]]:
    """Task and text of every right kernel, by name."""
    return {
        name: (task, Source(HEAD + text.lstrip("\n"), backward="backward" if "def backward" in text else ""))
        for name, (task, text) in TEXTS.items()
    }
