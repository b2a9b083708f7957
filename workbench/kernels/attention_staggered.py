"""Attention for several lanes that share one stream of keys: each lane begins its row one key later.

Lane j works on the queries j, j + p, j + 2 p, ... In step t all lanes meet the key t mod n. A lane begins a
query when the key of its own number comes by, meets all n keys once around, and goes on with its next query:

    step        0      1      2      3     ...
    key         0      1      2      3
    lane 0      q0     q0     q0     q0           a new query a step at most, and one new key
    lane 1             q1     q1     q1
    lane 2                    q2     q2

Three stages, as three kernels. The scores are kept in the order in which they are made. The statistic of a
row is a running bias b and a running sum s of e^(score - b). The values come by in the same order as the keys
did, and a score becomes e^(score - b) / s only while it is multiplied by them.
"""

import math

import numpy as np

from workbench.counting import kernel
from workbench.errors import WorkbenchError
from workbench.kernels.cost import Cost
from workbench.kernels.softmax_exp import exp_pair, power_of_two

# A sum may be regrouped into vectors, but inf and nan keep their meaning.
FAST = {"contract", "reassoc", "nsz"}


def staggered_steps(n: int, lanes: int) -> int:
    """Steps, and so key reads, for n queries and n keys: one full turn for each block, and what overhangs."""
    if not 1 <= lanes <= n:
        raise WorkbenchError(f"expected 1 to {n} lanes for {n} queries, but {lanes} came")
    blocks, rest = divmod(n + lanes - 1, lanes)
    return blocks * n + rest


def attention_staggered(Q: np.ndarray, K: np.ndarray, V: np.ndarray, lanes: int) -> np.ndarray:
    """softmax(Q K^T / sqrt(d)) V of one head: Q [n, d], K [n, d], V [n, e] float32 -> [n, e] float32."""
    if not (Q.ndim == K.ndim == V.ndim == 2 and Q.shape == K.shape and len(V) == len(Q)):
        raise WorkbenchError(
            f"expected Q [n, d], K [n, d] and V [n, e], but {Q.shape}, {K.shape} and {V.shape} came"
        )
    Q, K, V = (np.ascontiguousarray(part, np.float32) for part in (Q, K, V))
    S = np.zeros((staggered_steps(len(Q), lanes), lanes), np.float32)
    statistic, O = np.empty((len(Q), 2), np.float32), np.empty_like(V)
    staggered_scores(Q, K, S)
    staggered_statistic(S, statistic)
    staggered_values(V, S, statistic, O)
    return O


@kernel(cache=True, fastmath=FAST)
def staggered_scores(Q, K, S):
    """S [steps, lanes] gets the scores in the order of their making: Q [n, d], K [n, d], float32.

    Where a lane has no query, S stays as it is.
    """
    n, lanes = Q.shape[0], S.shape[1]
    held = np.zeros((lanes, Q.shape[1]), np.float32)  # the queries at work, one for each lane
    scores = np.empty(lanes, np.float32)
    scale = np.float32(1 / math.sqrt(Q.shape[1]))
    for step in range(S.shape[0]):
        key = step % n
        arriving = step // n * lanes + key
        if key < lanes and arriving < n:
            for c in range(Q.shape[1]):
                held[key, c] = Q[arriving, c]
        for lane in range(lanes):
            scores[lane] = np.float32(0)
        for c in range(K.shape[1]):
            k = K[key, c]  # read once, for all lanes
            for lane in range(lanes):
                scores[lane] += held[lane, c] * k
        for lane in range(lanes):
            row = (step - lane) // n * lanes + lane
            if step >= lane and row < n:
                S[step, lane] = scores[lane] * scale


@kernel(cache=True, fastmath=FAST)
def staggered_statistic(S, statistic):
    """statistic [n, 2] gets (1 / s, b) of each query: S [steps, lanes], each score looked at once."""
    n, lanes = statistic.shape[0], S.shape[1]
    sums = np.empty(lanes, np.float32)
    biases = np.empty(lanes, np.float32)
    for step in range(S.shape[0]):
        key = step % n
        for lane in range(lanes):
            row = (step - lane) // n * lanes + lane
            if step >= lane and row < n:
                a = S[step, lane]
                if key == lane:
                    sums[lane] = np.float32(1)
                    biases[lane] = a
                elif a > biases[lane]:
                    m, e = exp_pair(biases[lane] - a)
                    sums[lane] = sums[lane] * (m * power_of_two(e)) + np.float32(1)
                    biases[lane] = a
                else:
                    m, e = exp_pair(a - biases[lane])
                    sums[lane] += m * power_of_two(e)
                if (key + 1) % n == lane:
                    statistic[row, 0] = np.float32(1) / sums[lane]
                    statistic[row, 1] = biases[lane]


@kernel(cache=True, fastmath=FAST)
def staggered_values(V, S, statistic, O):
    """O [n, e] from V [n, e], S [steps, lanes] and statistic [n, 2]; no probability is ever stored."""
    n, lanes = V.shape[0], S.shape[1]
    held = np.zeros((lanes, V.shape[1]), np.float32)  # the sums at work, one for each lane
    weights = np.empty(lanes, np.float32)
    for step in range(S.shape[0]):
        key = step % n
        for lane in range(lanes):
            row = (step - lane) // n * lanes + lane
            weights[lane] = np.float32(0)
            if step >= lane and row < n:
                m, e = exp_pair(S[step, lane] - statistic[row, 1])
                weights[lane] = m * power_of_two(e) * statistic[row, 0]
        for c in range(V.shape[1]):
            v = V[key, c]
            for lane in range(lanes):
                held[lane, c] += weights[lane] * v
        finished = (key + 1) % n  # the lane that has now met all keys, if there is one of that number
        row = (step - finished) // n * lanes + finished
        if finished < lanes and step >= finished + n - 1 and row < n:
            for c in range(V.shape[1]):
                O[row, c] = held[finished, c]
                held[finished, c] = np.float32(0)


def staggered_scores_cost(n: int, lanes: int, d: int) -> Cost:
    """The closed form of `staggered_scores`; idle lanes multiply too, and their products are dropped."""
    steps = staggered_steps(n, lanes)
    work = steps * lanes * d
    return Cost(
        flops=2 * work + n * n + 2,  # 2: the scale
        loads={"Q": n * d, "K": steps * d, "held": work, "scores": work + n * n},
        stores={"S": n * n, "held": (n + lanes) * d, "scores": work + steps * lanes},
        bytes_unique={
            "Q": 4 * n * d,
            "K": 4 * n * d,
            "S": 4 * n * n,
            "held": 4 * lanes * d,
            "scores": 4 * lanes,
        },
    )
