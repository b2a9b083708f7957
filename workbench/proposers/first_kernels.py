"""First kernels for eight operations, as a beginner writes them: one pass for each step of the formula.

Each has a hole or two where a writer can choose, and where some choices are classical mistakes. They are the
table of `Templates` when a search has no language model to begin with.
"""

from workbench.proposers.templates import Template

LAYER_NORM = Template(
    """
def kernel(x, weight, bias, eps):
    rows, columns = x.shape
    mean = np.zeros(rows)
    variance = np.zeros(rows)
    normed = np.empty((rows, columns))
    out = np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            mean[i] += x[i, j] / columns
    for i in range(rows):
        for j in range(columns):
            variance[i] += (x[i, j] - mean[i]) * (x[i, j] - mean[i]) / <divisor>
    for i in range(rows):
        for j in range(columns):
            normed[i, j] = (x[i, j] - mean[i]) / <scale>
    for i in range(rows):
        for j in range(columns):
            out[i, j] = normed[i, j] * weight[j] + bias[j]
    return out
""",
    {
        "divisor": ["columns", "(columns - 1)"],
        "scale": ["math.sqrt(variance[i] + eps)", "(math.sqrt(variance[i]) + eps)"],
    },
)

RMS_NORM = Template(
    """
def kernel(x, weight, eps):
    rows, columns = x.shape
    mean = np.zeros(rows)
    normed = np.empty((rows, columns))
    out = np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            mean[i] += x[i, j] * x[i, j] / columns
    for i in range(rows):
        for j in range(columns):
            normed[i, j] = x[i, j] / <scale>
    for i in range(rows):
        for j in range(columns):
            out[i, j] = normed[i, j] * weight[j]
    return out
""",
    {"scale": ["math.sqrt(mean[i] + eps)", "(math.sqrt(mean[i]) + eps)"]},
)

CROSS_ENTROPY = Template(
    """
def kernel(logits, targets):
    rows, columns = logits.shape
    highest = np.empty(rows)
    total = np.zeros(rows)
    losses = np.zeros(rows)
    out = np.zeros(1)
    for i in range(rows):
        highest[i] = <start>
        for j in range(columns):
            highest[i] = max(highest[i], logits[i, j])
    for i in range(rows):
        for j in range(columns):
            total[i] += math.exp(logits[i, j] - highest[i])
    for i in range(rows):
        losses[i] = math.log(total[i]) + highest[i] - logits[i, targets[i]]
    for i in range(rows):
        out[0] += losses[i] / rows
    return out
""",
    {"start": ["logits[i, 0]", "-np.inf", "0.0"]},
)

CROSS_ENTROPY_GRADIENT = Template(
    """
def kernel(logits, targets, upstream):
    rows, columns = logits.shape
    highest = np.empty(rows)
    total = np.zeros(rows)
    share = np.empty((rows, columns))
    out = np.empty((rows, columns))
    for i in range(rows):
        highest[i] = logits[i, 0]
        for j in range(columns):
            highest[i] = max(highest[i], logits[i, j])
    for i in range(rows):
        for j in range(columns):
            total[i] += math.exp(logits[i, j] - highest[i])
    for i in range(rows):
        for j in range(columns):
            share[i, j] = math.exp(logits[i, j] - highest[i]) / total[i]
    for i in range(rows):
        for j in range(columns):
            out[i, j] = share[i, j] * upstream[0] / rows
    for i in range(rows):
        out[i, targets[i]] -= <one>
    return out
""",
    {"one": ["upstream[0] / rows", "upstream[0]"]},
)

LINEAR_RELU = Template(
    """
def kernel(x, weight, bias):
    rows, inputs = x.shape
    outputs = weight.shape[0]
    product = np.zeros((rows, outputs))
    out = np.empty((rows, outputs))
    for i in range(rows):
        for j in range(outputs):
            for k in range(inputs):
                product[i, j] += x[i, k] * weight[j, k]
    for i in range(rows):
        for j in range(outputs):
            out[i, j] = <relu>
    return out
""",
    {"relu": ["max(product[i, j] + bias[j], 0.0)", "max(product[i, j], 0.0) + bias[j]"]},
)

LINEAR_RELU_GRADIENTS = Template(
    """
def kernel(x, weight, bias, upstream):
    rows, inputs = x.shape
    outputs = weight.shape[0]
    product = np.zeros((rows, outputs))
    open_ = np.zeros((rows, outputs))
    dx = np.zeros((rows, inputs))
    dweight = np.zeros((outputs, inputs))
    dbias = np.zeros(outputs)
    for i in range(rows):
        for j in range(outputs):
            for k in range(inputs):
                product[i, j] += x[i, k] * weight[j, k]
    for i in range(rows):
        for j in range(outputs):
            if product[i, j] + bias[j] <edge> 0.0:
                open_[i, j] = upstream[i, j]
    for i in range(rows):
        for j in range(outputs):
            for k in range(inputs):
                dx[i, k] += open_[i, j] * weight[j, k]
    for i in range(rows):
        for j in range(outputs):
            for k in range(inputs):
                dweight[j, k] += open_[i, j] * x[i, k]
    for i in range(rows):
        for j in range(outputs):
            dbias[j] += open_[i, j]
    return dx, dweight, dbias
""",
    {"edge": [">", ">="]},
)

CONV_RELU_POOL = Template(
    """
def kernel(x, weight, bias):
    channels, height, width = x.shape
    filters, _, side, _ = weight.shape
    rows, columns = height - side + 1, width - side + 1
    conv = np.zeros((filters, rows, columns))
    positive = np.empty((filters, rows, columns))
    out = np.zeros((filters, <down>, <across>))
    for f in range(filters):
        for i in range(rows):
            for j in range(columns):
                for c in range(channels):
                    for u in range(side):
                        for v in range(side):
                            conv[f, i, j] += x[c, i + u, j + v] * weight[f, c, u, v]
    for f in range(filters):
        for i in range(rows):
            for j in range(columns):
                positive[f, i, j] = max(conv[f, i, j] + bias[f], 0.0)
    for f in range(filters):
        for i in range(rows // 2):
            for j in range(columns // 2):
                for u in range(2):
                    for v in range(2):
                        out[f, i, j] = max(out[f, i, j], positive[f, 2 * i + u, 2 * j + v])
    return out
""",
    {"down": ["rows // 2", "(rows + 1) // 2"], "across": ["columns // 2"]},
)

MAX_POOL_GRADIENT = Template(
    """
def kernel(x, upstream):
    channels, height, width = x.shape
    highest = np.empty((channels, height // 2, width // 2))
    out = np.zeros((channels, height, width))
    for c in range(channels):
        for i in range(height // 2):
            for j in range(width // 2):
                highest[c, i, j] = x[c, 2 * i, 2 * j]
                for u in range(2):
                    for v in range(2):
                        highest[c, i, j] = max(highest[c, i, j], x[c, 2 * i + u, 2 * j + v])
    for c in range(channels):
        for i in range(height // 2):
            for j in range(width // 2):
                free = 1
                for u in range(2):
                    for v in range(2):
                        if <first>x[c, 2 * i + u, 2 * j + v] == highest[c, i, j]:
                            out[c, 2 * i + u, 2 * j + v] = upstream[c, i, j]
                            free = 0
    return out
""",
    {"first": ["free == 1 and ", ""]},
)

FIRST = {
    "layer norm": [LAYER_NORM],
    "RMS norm": [RMS_NORM],
    "mean cross-entropy": [CROSS_ENTROPY],
    "gradient of the mean cross-entropy": [CROSS_ENTROPY_GRADIENT],
    "linear layer with ReLU": [LINEAR_RELU],
    "gradients of a linear layer with ReLU": [LINEAR_RELU_GRADIENTS],
    "convolution, ReLU and max-pooling": [CONV_RELU_POOL],
    "gradient of max-pooling": [MAX_POOL_GRADIENT],
}
