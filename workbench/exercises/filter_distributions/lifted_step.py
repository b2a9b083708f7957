"""One step of low-rank projected gradient descent, and back to factors: the filter model, ν = 0."""

import numpy as np
from scipy.linalg import eigh

from workbench.exercises import Exercise

Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def lifted_step(
    A: np.ndarray,
    B: np.ndarray,
    gamma: np.ndarray,
    X: np.ndarray,
    C: np.ndarray,
    wrong: np.ndarray,
    xi: float,
    tau: float,
    rank: int,
) -> Parts:
    A = A - tau * X @ wrong.T
    B = B - tau * 2 * xi * (B - X)
    gamma = gamma - tau * wrong @ C.T
    U, sigma, Vt = np.linalg.svd(np.hstack([A, B]), full_matrices=False)
    W = U[:, :rank]
    codes = sigma[:rank, None] * Vt[:rank]
    signs = np.sign(W[np.abs(W).argmax(axis=0), np.arange(rank)])
    W, codes = W * signs, codes * signs[:, None]
    return W, codes[:, : A.shape[1]], codes[:, A.shape[1] :], gamma


def by_eigenvectors(A, B, gamma, X, C, wrong, xi, tau, rank):
    """The atoms are the strongest eigenvectors of Z Zᵀ, and what they see of Z is β and H."""
    Z = np.concatenate([A - tau * X @ wrong.T, (1 - 2 * tau * xi) * B + 2 * tau * xi * X], axis=1)
    W = eigh(Z @ Z.T)[1][:, ::-1][:, :rank].copy()
    for atom in W.T:
        atom *= np.sign(atom[np.abs(atom).argmax()])
    both = W.T @ Z
    return W, both[:, : A.shape[1]], both[:, A.shape[1] :], gamma - tau * wrong @ C.T


def atom_by_atom(A, B, gamma, X, C, wrong, xi, tau, rank):
    """Takes one atom after the other and subtracts what it explains."""
    K = A.shape[1]
    Z = np.column_stack([A, B])
    Z[:, :K] -= tau * (X @ wrong.T)
    Z[:, K:] -= 2 * tau * xi * (B - X)
    W, both = [], []
    for _ in range(rank):
        left, size, right = np.linalg.svd(Z, full_matrices=False)
        atom, seen = left[:, 0], size[0] * right[0]
        if atom[np.abs(atom).argmax()] < 0:
            atom, seen = -atom, -seen
        Z = Z - np.outer(atom, seen)
        W.append(atom)
        both.append(seen)
    codes = np.array(both)
    return np.array(W).T, codes[:, :K], codes[:, K:], gamma - tau * wrong @ C.T


def separately(A, B, gamma, X, C, wrong, xi, tau, rank):
    """Atoms from B alone, as PCA would have them; A is then described by these."""
    stepped = A - tau * X @ wrong.T
    W, _, H, gamma = lifted_step(np.zeros_like(A), B, gamma, X, C, np.zeros_like(wrong), xi, tau, rank)
    return W, W.T @ stepped, H, gamma - tau * wrong @ C.T


def stacked(A, B, gamma, X, C, wrong, xi, tau, rank):
    """Logits on top of B, as in the feature model."""
    A, B = A - tau * X @ wrong.T, B - tau * 2 * xi * (B - X)
    U, sigma, Vt = np.linalg.svd(np.vstack([A.T @ X, B]), full_matrices=False)
    K = A.shape[1]
    beta, W, H = U[:K, :rank].T, U[K:, :rank], sigma[:rank, None] * Vt[:rank]
    signs = np.sign(W[np.abs(W).argmax(axis=0), np.arange(rank)])
    return W * signs, beta * signs[:, None], H * signs[:, None], gamma - tau * wrong @ C.T


def covariates_too(A, B, gamma, X, C, wrong, xi, tau, rank):
    """Γ under A and the covariates under B, all cut to the rank together."""
    A, B = A - tau * X @ wrong.T, B - tau * 2 * xi * (B - X)
    gamma = gamma - tau * wrong @ C.T
    Z = np.block([[A, B], [gamma.T, C]])
    U, sigma, Vt = np.linalg.svd(Z, full_matrices=False)
    (p, K), codes = A.shape, sigma[:rank, None] * Vt[:rank]
    W, below = U[:p, :rank], U[p:, :rank]
    signs = np.sign(W[np.abs(W).argmax(axis=0), np.arange(rank)])
    gamma = (below @ codes[:, :K]).T
    return W * signs, codes[:, :K] * signs[:, None], codes[:, K:] * signs[:, None], gamma


def without_the_factor(A, B, gamma, X, C, wrong, xi, tau, rank):
    W, beta, H, _ = lifted_step(A, B, gamma, X, C, wrong, xi / 2, tau, rank)
    return W, beta, H, gamma - tau * wrong @ C.T


def without_singular_values(A, B, gamma, X, C, wrong, xi, tau, rank):
    W, beta, H, gamma = lifted_step(A, B, gamma, X, C, wrong, xi, tau, rank)
    size = np.sqrt(np.sum(beta**2, axis=1) + np.sum(H**2, axis=1))[:, None]
    return W, beta / size, H / size, gamma


def uphill(A, B, gamma, X, C, wrong, xi, tau, rank):
    return lifted_step(A, B, gamma, X, C, wrong, xi, -tau, rank)


def projects_first(A, B, gamma, X, C, wrong, xi, tau, rank):
    """Cuts A and B to the rank, then steps, and describes the result by the atoms from before."""
    W, beta, H, _ = lifted_step(A, B, gamma, X, C, np.zeros_like(wrong), 0.0, tau, rank)
    A, B = W @ beta, W @ H
    A, B = A - tau * X @ wrong.T, B - tau * 2 * xi * (B - X)
    return W, W.T @ A, W.T @ B, gamma - tau * wrong @ C.T


def places(rng: np.random.Generator) -> tuple[np.ndarray | float, ...]:
    """Random lifted variables of any size, often odd, and never two atoms equally strong."""
    p, n = int(rng.integers(2, 8)), int(rng.integers(3, 12))
    K, q = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    rank = int(rng.integers(1, min(p, n)))
    draw = rng.standard_normal
    A, B, gamma = draw((p, K)), draw((p, n)), draw((K, q))
    X, C, wrong = 2 * draw((p, n)), draw((q, n)), rng.uniform(-1, 1, (K, n))
    return A, B, gamma, X, C, wrong, float(rng.uniform(0.1, 2)), float(rng.uniform(0.05, 0.4)), rank


X = np.array([[2.0, -1.0, 0.5, 1.0, 0.0], [1.0, 3.0, -2.0, 0.0, 1.0], [0.0, 1.0, 1.0, -1.0, 4.0]])
HALF = np.array([[0.5, -0.5, 0.5, -0.5, 0.5]])
START = (np.zeros((3, 1)), np.zeros((3, 5)), np.zeros((1, 1)), X, np.ones((1, 5)), HALF)

EXERCISE = Exercise(
    "filter-distributions/lifted-step",
    lifted_step,
    places,
    signature="lifted_step(A, B, gamma, X, C, wrong, xi, tau, rank) -> W, beta, H, gamma",
    ask="""
    One step of low-rank projected gradient descent in the filter model, then back to factors. Given are
    `A` [p, K], `B` [p, n], `gamma` [K, q], the data `X` [p, n] and covariates `C` [q, n], and `wrong` [K, n]:
    probability minus label, for each class and example. The loss is the cross entropy of the logits
    AᵀX + ΓC plus xi · |X - B|², and nothing else.

    Step against its gradient with the length `tau` in all three. Then cut A and B *together* to the given
    rank. Return `W` [p, rank], `beta` [rank, K], `H` [rank, n] and the new `gamma`. W β and W H are the new A
    and B. The columns of W have length 1 and are orthogonal, the strongest one first; in each, the entry of
    largest size is positive. No input may be changed.
    """,
    examples=[
        (*START, 1.0, 0.1, 1),
        (*START, 1.0, 0.1, 2),
        (np.ones((3, 1)), X[:, ::-1] / 2, np.array([[0.5]]), X, np.ones((1, 5)), HALF, 0.2, 0.3, 2),
    ],
    wrong_answers={
        "A and B are cut apart from each other": (
            separately,
            "Your atoms come from B alone: that is PCA, and the labels never meet it. Whose directions "
            "should the SVD see?",
        ),
        "rows are stacked as in the feature model": (
            stacked,
            "In the filter model A = W β and B = W H share their *columns'* space. Which way do the two have "
            "to be put together, so that W is common to both?",
        ),
        "the covariates are projected too": (
            covariates_too,
            "Covariates are only listened to. Is Γ made of atoms, and does anybody want to rebuild C?",
        ),
        "the 2 is missing in front of ξ": (
            without_the_factor,
            "What is the derivative of ξ (x - b)² by b?",
        ),
        "the singular values are lost": (
            without_singular_values,
            "U and Vᵀ have length 1. If the columns of W have it too, where must the sizes go?",
        ),
        "the step goes up": (
            uphill,
            "The gradient points to where the loss grows.",
        ),
        "the projection comes before the step": (
            projects_first,
            "After the step A and B have left the matrices of this rank again, with new directions in them. "
            "Which atoms did you describe them by?",
        ),
    },
    also_right=[by_eigenvectors, atom_by_atom],
    hints=[
        "Three derivatives: by A it is X wrongᵀ, by Γ it is wrong Cᵀ. By B only the reconstruction counts.",
        "Put the new A and the new B side by side, [p, K + n], and take one SVD of that. Γ is not in it.",
        "`U, s, Vt = np.linalg.svd(np.hstack([A, B]), full_matrices=False)`: W is `U[:, :rank]`; the rows of "
        "`s[:rank, None] * Vt[:rank]` begin with K numbers of β, and H follows. Where the largest entry of a "
        "column of W is negative, turn the sign of that column and of that row.",
    ],
    explanation="""
    Side by side, A and B are W times [β, H]: their rank is the number of atoms. The truncated SVD is the
    nearest such matrix, so labels and pictures compete for the same few directions; how loudly each speaks is
    how long its columns are. Γ is free, so its gradient step is all that happens to it. Signs are only agreed
    upon, to make the answer unique: an atom and its negative rebuild the same.
    """,
    rtol=1e-6,
    atol=1e-8,
)
