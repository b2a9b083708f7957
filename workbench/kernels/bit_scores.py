"""Inner products of bits: 64 products are one exclusive or and one count of bits.

Two vectors of d signs agree in d - h places and differ in h, their Hamming distance; agreeing signs
contribute 1 to their inner product, differing ones -1:

    q . k = (d - h) - h = d - 2 h,        h = number of ones in  q xor k

Codes of zeros and ones need no distance for sums of values: a row is added where the bit is one.
"""

import numpy as np
from numpy.typing import NDArray

from workbench.counting import kernel
from workbench.errors import WorkbenchError

WORD = 64
M1, M2, M4 = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
BYTES = np.uint64(0x0101010101010101)
ONE, TWO, FOUR, TOP = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)


def packed_bits(B: np.ndarray) -> NDArray[np.uint64]:
    """B [n, d], true or 1 for a one, as words of 64 bits: uint64 [n, d / 64 rounded up], the rest zeros."""
    B = np.asarray(B)
    if B.ndim != 2:
        raise WorkbenchError(f"expected bits [n, d], but shape {B.shape} came")
    words = -(-B.shape[1] // WORD)
    wide = np.zeros((len(B), WORD * words), np.uint8)
    wide[:, : B.shape[1]] = B != 0
    return np.packbits(wide, axis=1, bitorder="little").view(np.uint64).reshape(len(B), words)


def sign_scores(Q: np.ndarray, K: np.ndarray) -> NDArray[np.int64]:
    """Inner products of all rows of signs (positive or not): Q [n, d], K [m, d] -> int64 [n, m]."""
    Q, K = np.asarray(Q), np.asarray(K)
    if Q.ndim != 2 or K.ndim != 2 or Q.shape[1] != K.shape[1]:
        raise WorkbenchError(f"expected Q [n, d] and K [m, d], but {Q.shape} and {K.shape} came")
    S = np.empty((len(Q), len(K)), np.int64)
    hamming_scores(packed_bits(Q > 0), packed_bits(K > 0).T.copy(), Q.shape[1], S)
    return S


@kernel(cache=True)
def hamming_scores(Q, K, d, S):
    """S [n, m] int64 gets d - 2 h: Q uint64 [n, words], K uint64 [words, m], both filled up with zeros."""
    for i in range(Q.shape[0]):
        for j in range(K.shape[1]):
            S[i, j] = d
        for w in range(Q.shape[1]):
            for j in range(K.shape[1]):
                x = Q[i, w] ^ K[w, j]
                # how many ones: in pairs, fours, bytes, then all bytes added up into the highest one
                x = x - ((x >> ONE) & M1)
                x = (x & M2) + ((x >> TWO) & M2)
                x = (x + (x >> FOUR)) & M4
                S[i, j] -= np.int64(((x * BYTES) >> TOP) << ONE)


@kernel(cache=True)
def masked_sums(B, V, Y):
    """Adds B^T V to Y [d, e]: a row of V [n, e] is added to row c of Y wherever bit B[i, c] (bool) is set."""
    for i in range(B.shape[0]):
        for c in range(B.shape[1]):
            if B[i, c]:
                for j in range(V.shape[1]):
                    Y[c, j] += V[i, j]
