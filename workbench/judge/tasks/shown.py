"""Solved examples: for each task of `exemplars` a kernel in the language of each platform.

Each is what a careful beginner would write: loops, or one thread for each number of the result.
"""

NUMBA = {
    "add": """
def add(a, b):
    out = np.empty_like(a)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = a[i, j] + b[i, j]
    return out
""",
    "leaky-relu": """
def leaky_relu(x, slope):
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] if x[i, j] > 0 else slope * x[i, j]
    return out
""",
    "mse-loss": """
def mse_loss(predictions, targets):
    total = 0.0
    for i in range(predictions.shape[0]):
        for j in range(predictions.shape[1]):
            total += (predictions[i, j] - targets[i, j]) ** 2
    return total / (predictions.shape[0] * predictions.shape[1])
""",
    "matmul-add": """
def matmul_add(A, B, bias):
    out = np.empty((A.shape[0], B.shape[1]), A.dtype)
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            total = 0.0
            for k in range(A.shape[1]):
                total += A[i, k] * B[k, j]
            out[i, j] = total + bias[j]
    return out
""",
    "layer-norm": """
def layer_norm(x, weight, bias, eps):
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        mean = 0.0
        for j in range(x.shape[1]):
            mean += x[i, j]
        mean /= x.shape[1]
        variance = 0.0
        for j in range(x.shape[1]):
            variance += (x[i, j] - mean) ** 2
        variance /= x.shape[1]
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - mean) / math.sqrt(variance + eps) * weight[j] + bias[j]
    return out
""",
    "reduce-sum": """
def reduce_sum(x):
    out = np.empty((x.shape[0], x.shape[2]), x.dtype)
    for i in range(x.shape[0]):
        for j in range(x.shape[2]):
            total = 0.0
            for k in range(x.shape[1]):
                total += x[i, k, j]
            out[i, j] = total
    return out
""",
    "row-sum": """
def row_sum(x):
    out = np.empty((x.shape[0],), x.dtype)
    for i in range(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            total += x[i, j]
        out[i] = total
    return out
""",
}

CUDA = {
    "add": """
@cuda.jit
def on_device(a, b, out):
    i, j = cuda.grid(2)
    if i < out.shape[0] and j < out.shape[1]:
        out[i, j] = a[i, j] + b[i, j]


def add(a, b):
    out = np.empty_like(a)
    blocks = (out.shape[0] + 7) // 8, (out.shape[1] + 7) // 8
    on_device[blocks, (8, 8)](a, b, out)
    return out
""",
    "leaky-relu": """
@cuda.jit
def on_device(x, slope, out):
    i, j = cuda.grid(2)
    if i < out.shape[0] and j < out.shape[1]:
        out[i, j] = x[i, j] if x[i, j] > 0 else slope * x[i, j]


def leaky_relu(x, slope):
    out = np.empty_like(x)
    blocks = (out.shape[0] + 7) // 8, (out.shape[1] + 7) // 8
    on_device[blocks, (8, 8)](x, slope, out)
    return out
""",
    "mse-loss": """
@cuda.jit
def on_device(predictions, targets, out):
    total = 0.0
    for i in range(predictions.shape[0]):
        for j in range(predictions.shape[1]):
            total += (predictions[i, j] - targets[i, j]) ** 2
    out[0] = total / (predictions.shape[0] * predictions.shape[1])


def mse_loss(predictions, targets):
    out = np.empty((1,), predictions.dtype)
    on_device[1, 1](predictions, targets, out)
    return out[0]
""",
    "matmul-add": """
@cuda.jit
def on_device(A, B, bias, out):
    i, j = cuda.grid(2)
    if i < out.shape[0] and j < out.shape[1]:
        total = 0.0
        for k in range(A.shape[1]):
            total += A[i, k] * B[k, j]
        out[i, j] = total + bias[j]


def matmul_add(A, B, bias):
    out = np.empty((A.shape[0], B.shape[1]), A.dtype)
    blocks = (out.shape[0] + 7) // 8, (out.shape[1] + 7) // 8
    on_device[blocks, (8, 8)](A, B, bias, out)
    return out
""",
    "layer-norm": """
@cuda.jit
def on_device(x, weight, bias, eps, out):
    i = cuda.grid(1)
    if i < out.shape[0]:
        mean = 0.0
        for j in range(x.shape[1]):
            mean += x[i, j]
        mean /= x.shape[1]
        variance = 0.0
        for j in range(x.shape[1]):
            variance += (x[i, j] - mean) ** 2
        variance /= x.shape[1]
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - mean) / math.sqrt(variance + eps) * weight[j] + bias[j]


def layer_norm(x, weight, bias, eps):
    out = np.empty_like(x)
    blocks = (out.shape[0] + 31) // 32
    on_device[blocks, 32](x, weight, bias, eps, out)
    return out
""",
    "reduce-sum": """
@cuda.jit
def on_device(x, out):
    i, j = cuda.grid(2)
    if i < out.shape[0] and j < out.shape[1]:
        total = 0.0
        for k in range(x.shape[1]):
            total += x[i, k, j]
        out[i, j] = total


def reduce_sum(x):
    out = np.empty((x.shape[0], x.shape[2]), x.dtype)
    blocks = (out.shape[0] + 7) // 8, (out.shape[1] + 7) // 8
    on_device[blocks, (8, 8)](x, out)
    return out
""",
    "row-sum": """
@cuda.jit
def on_device(x, out):
    i = cuda.grid(1)
    if i < out.shape[0]:
        total = 0.0
        for j in range(x.shape[1]):
            total += x[i, j]
        out[i] = total


def row_sum(x):
    out = np.empty((x.shape[0],), x.dtype)
    blocks = (out.shape[0] + 31) // 32
    on_device[blocks, 32](x, out)
    return out
""",
}
