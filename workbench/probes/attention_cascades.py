"""Softmax and attention as cascades: the same results, from different numbers of passes.

Ranks: p queries, m keys (m1 blocks of m0 keys each), e numbers in a query and a key, f numbers in a value;
for a softmax alone, x [m]. Queries come scaled already. None of these says how many passes it takes: that is
for `passes` to find.
"""

from workbench.probes.cascades import Cascade

BLOCKS = {"m": ("m1", "m0")}

_ALL = (
    Cascade(
        "softmax, naive",
        """
        SN[m] = exp(x[m])                       # overflows
        SD    = sum(SN[m])
        y[m]  = SN[m] / SD
        """,
    ),
    Cascade(
        "softmax, maximum first",
        """
        GM    = max(x[m])
        SN[m] = exp(x[m] - GM)
        SD    = sum(SN[m])
        y[m]  = SN[m] / SD
        """,
    ),
    Cascade(
        "softmax, pairs",  # e^x = t * 2^n
        """
        n[m]    = rint(x[m] * log2(exp(1)))
        t[m]    = exp(x[m] - n[m] * log(2))
        N[0]    = -inf
        N[m+1]  = max(N[m], n[m])
        T[0]    = 0
        T[m+1]  = T[m] * exp2(N[m] - N[m+1]) + t[m] * exp2(n[m] - N[m+1])
        y[m]    = t[m] / T[M] * exp2(n[m] - N[M])
        """,
    ),
    Cascade(
        "softmax, online",
        """
        RM[0]   = -inf
        RM[m+1] = max(RM[m], x[m])
        RD[0]   = 0
        RD[m+1] = RD[m] * exp(RM[m] - RM[m+1]) + exp(x[m] - RM[m+1])
        y[m]    = exp(x[m] - RM[M]) / RD[M]
        """,
    ),
    Cascade(
        "attention, naive",
        """
        QK[p, m]  = sum(Q[p, e] * K[m, e])
        SN[p, m]  = exp(QK[p, m])               # overflows
        SD[p]     = sum(SN[p, m])
        SNV[p, f] = sum(SN[p, m] * V[m, f])
        AV[p, f]  = SNV[p, f] / SD[p]
        """,
    ),
    Cascade(
        "attention, maximum first",
        """
        QK[p, m] = sum(Q[p, e] * K[m, e])
        GM[p]    = max(QK[p, m])
        SN[p, m] = exp(QK[p, m] - GM[p])
        SD[p]    = sum(SN[p, m])
        A[p, m]  = SN[p, m] / SD[p]
        AV[p, f] = sum(A[p, m] * V[m, f])
        """,
    ),
    Cascade(
        "attention, division last",
        """
        QK[p, m]  = sum(Q[p, e] * K[m, e])
        GM[p]     = max(QK[p, m])
        SN[p, m]  = exp(QK[p, m] - GM[p])
        SD[p]     = sum(SN[p, m])
        SNV[p, f] = sum(SN[p, m] * V[m, f])
        AV[p, f]  = SNV[p, f] / SD[p]
        """,
    ),
    Cascade(
        "attention, local maxima",
        """
        QK[p, m1, m0]  = sum(Q[p, e] * K[m1, m0, e])
        LM[p, m1]      = max(QK[p, m1, m0])
        SLN[p, m1, m0] = exp(QK[p, m1, m0] - LM[p, m1])
        SLD[p, m1]     = sum(SLN[p, m1, m0])
        GM[p]          = max(LM[p, m1])
        PLM[p, m1]     = exp(LM[p, m1] - GM[p])
        SD[p]          = sum(SLD[p, m1] * PLM[p, m1])
        A[p, m1, m0]   = SLN[p, m1, m0] * PLM[p, m1] / SD[p]
        AV[p, f]       = sum(A[p, m1, m0] * V[m1, m0, f])
        """,
        BLOCKS,
    ),
    Cascade(
        "attention, split keys",
        """
        QK[p, m1, m0]  = sum(Q[p, e] * K[m1, m0, e])
        LM[p, m1]      = max(QK[p, m1, m0])
        SLN[p, m1, m0] = exp(QK[p, m1, m0] - LM[p, m1])
        SLD[p, m1]     = sum(SLN[p, m1, m0])
        SLNV[p, m1, f] = sum(SLN[p, m1, m0] * V[m1, m0, f])
        GM[p]          = max(LM[p, m1])
        PLM[p, m1]     = exp(LM[p, m1] - GM[p])
        SD[p]          = sum(SLD[p, m1] * PLM[p, m1])
        SNV[p, f]      = sum(SLNV[p, m1, f] * PLM[p, m1])
        AV[p, f]       = SNV[p, f] / SD[p]
        """,
        BLOCKS,
    ),
    Cascade(
        "attention, running statistics",  # as in Edge-MoE: (1/s, b) for each row, then the row again
        """
        QK[p, m]  = sum(Q[p, e] * K[m, e])
        b[p, 0]   = -inf
        b[p, m+1] = max(b[p, m], QK[p, m])
        s[p, 0]   = 0
        s[p, m+1] = s[p, m] * exp(b[p, m] - b[p, m+1]) + exp(QK[p, m] - b[p, m+1])
        r[p]      = 1 / s[p, M]
        AV[p, f]  = sum(exp(QK[p, m] - b[p, M]) * r[p] * V[m, f])
        """,
    ),
    Cascade(
        "attention, one pass",  # FuseMax's; the same numbers as an online softmax in blocks
        """
        QK[p, m1, m0]   = sum(Q[p, e] * K[m1, m0, e])
        LM[p, m1]       = max(QK[p, m1, m0])
        RM[p, 0]        = -inf
        RM[p, m1+1]     = max(RM[p, m1], LM[p, m1])
        SLN[p, m1, m0]  = exp(QK[p, m1, m0] - RM[p, m1+1])
        PRM[p, m1]      = exp(RM[p, m1] - RM[p, m1+1])
        SLD[p, m1]      = sum(SLN[p, m1, m0])
        RD[p, 0]        = 0
        SPD[p, m1]      = PRM[p, m1] * RD[p, m1]
        RD[p, m1+1]     = SPD[p, m1] + SLD[p, m1]
        SLNV[p, m1, f]  = sum(SLN[p, m1, m0] * V[m1, m0, f])
        RNV[p, 0, f]    = 0
        SPNV[p, m1, f]  = PRM[p, m1] * RNV[p, m1, f]
        RNV[p, m1+1, f] = SPNV[p, m1, f] + SLNV[p, m1, f]
        AV[p, f]        = RNV[p, M1, f] / RD[p, M1]
        """,
        BLOCKS,
    ),
)

CASCADES: dict[str, Cascade] = {cascade.name: cascade for cascade in _ALL}
