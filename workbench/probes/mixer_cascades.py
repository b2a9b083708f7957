"""What the mixers of tokens compute, as cascades of Einsums: how often must each walk over the tokens?

Ranks: p a token that answers, m a token that is looked at, c channels, e numbers of a query and a key, f
numbers of a value. Scores are scaled already, and a softmax is written as it is defined, maximum first.
Projections, biases and whatever handles one token alone are left out. Maps are rows of tokens here, `w`
counts windows.
"""

from workbench.probes.cascades import Cascade

_ALL = (
    Cascade(
        "full",
        """
        QK[p, m] = sum(Q[p, e] * K[m, e])
        GM[p]    = max(QK[p, m])
        SN[p, m] = exp(QK[p, m] - GM[p])
        SD[p]    = sum(SN[p, m])
        A[p, m]  = SN[p, m] / SD[p]
        Y[p, f]  = sum(A[p, m] * V[m, f])
        """,
    ),
    Cascade(
        "window",  # p and m are places inside window w: its keys are all that a query ever needs
        """
        QK[w, p, m] = sum(Q[w, p, e] * K[w, m, e])
        GM[w, p]    = max(QK[w, p, m])
        SN[w, p, m] = exp(QK[w, p, m] - GM[w, p])
        SD[w, p]    = sum(SN[w, p, m])
        A[w, p, m]  = SN[w, p, m] / SD[w, p]
        Y[w, p, f]  = sum(A[w, p, m] * V[w, m, f])
        """,
    ),
    Cascade(
        "grid",  # the same place p in all windows: now the windows u are what is walked over
        """
        QK[w, p, u] = sum(Q[w, p, e] * K[u, p, e])
        GM[w, p]    = max(QK[w, p, u])
        SN[w, p, u] = exp(QK[w, p, u] - GM[w, p])
        SD[w, p]    = sum(SN[w, p, u])
        A[w, p, u]  = SN[w, p, u] / SD[w, p]
        Y[w, p, f]  = sum(A[w, p, u] * V[u, p, f])
        """,
    ),
    Cascade(
        "neighborhood",  # j counts the places of the window, the first of which is p itself
        """
        QK[p, j] = sum(Q[p, e] * K[p+j, e])
        GM[p]    = max(QK[p, j])
        SN[p, j] = exp(QK[p, j] - GM[p])
        SD[p]    = sum(SN[p, j])
        A[p, j]  = SN[p, j] / SD[p]
        Y[p, f]  = sum(A[p, j] * V[p+j, f])
        """,
    ),
    Cascade(
        "landmark",  # l landmarks LM, made of the queries before; IM is the inverse of their similarities
        """
        D[m, l]  = sum((Q[m, e] - LM[l, e]) * (Q[m, e] - LM[l, e]))
        P[m, l]  = exp(D[m, l] / -2)
        G[l, f]  = sum(P[m, l] * V[m, f])
        Z[l, f]  = sum(IM[l, n] * G[n, f])
        Y[m, f]  = sum(P[m, l] * Z[l, f])
        """,
    ),
    Cascade(
        "sparse-low-rank",  # FQ, FK: r features of queries and keys; j counts the keys that are exact
        """
        S[r]     = sum(FK[m, r])
        T[r, f]  = sum(FK[m, r] * V[m, f])
        RS[p]    = sum(FQ[p, r] * S[r])
        QK[p, j] = sum(Q[p, e] * K[p+j, e])
        FF[p, j] = sum(FQ[p, r] * FK[p+j, r])
        C[p, j]  = exp(QK[p, j]) - FF[p, j]
        SC[p]    = sum(C[p, j])
        N[p, f]  = sum(C[p, j] * V[p+j, f])
        B[p, f]  = sum(FQ[p, r] * T[r, f])
        Y[p, f]  = (N[p, f] + B[p, f]) / (SC[p] + RS[p])
        """,
    ),
    Cascade(
        "slots",  # s slots; CS, where they begin, is given: means of the map would be one walk more
        """
        QC[m, s] = sum(X[m, c] * CS[s, c])
        GM[s]    = max(QC[m, s])
        EM[m, s] = exp(QC[m, s] - GM[s])
        SM[s]    = sum(EM[m, s])
        A[m, s]  = EM[m, s] / SM[s]
        Z[s, c]  = sum(A[m, s] * X[m, c])
        QK[s, t] = sum(Z[s, c] * Z[t, c])
        GT[s]    = max(QK[s, t])
        ET[s, t] = exp(QK[s, t] - GT[s])
        ST[s]    = sum(ET[s, t])
        U[s, c]  = sum(ET[s, t] * Z[t, c])
        O[s, c]  = U[s, c] / ST[s]
        GS[m]    = max(QC[m, s])
        ES[m, s] = exp(QC[m, s] - GS[m])
        SS[m]    = sum(ES[m, s])
        B[m, s]  = ES[m, s] / SS[m]
        Y[m, c]  = sum(B[m, s] * O[s, c])
        """,
    ),
    Cascade(
        "mlp",  # h hidden numbers; the same weights for every channel c
        """
        HX[h, c] = sum(W[h, m] * X[m, c])
        G[h, c]  = gelu(HX[h, c])
        Y[p, c]  = sum(U[p, h] * G[h, c])
        """,
    ),
    Cascade(
        "raft",  # rows i, columns j; raft r of k channels; a perceptron down each column, then along each row
        """
        HX[h, j, k]   = sum(W[h, r, i] * X[i, j, r, k])
        G[h, j, k]    = gelu(HX[h, j, k])
        Y[i, j, r, k] = sum(U[i, r, h] * G[h, j, k])
        LX[l, i, k]   = sum(P[l, r, j] * Y[i, j, r, k])
        B[l, i, k]    = gelu(LX[l, i, k])
        Z[i, j, r, k] = sum(S[j, r, l] * B[l, i, k])
        """,
    ),
    Cascade(
        "convolution",  # of one row: j counts the taps
        """
        Y[p, c]  = sum(W[j, c] * X[p+j, c])
        """,
    ),
)

MIXER_CASCADES: dict[str, Cascade] = {cascade.name: cascade for cascade in _ALL}
