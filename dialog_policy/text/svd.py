"""Truncated SVD of a sparse matrix, without scikit-learn: to import it takes as long as a small corpus' encoders altogether."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from dialog_policy.errors import require
from dialog_policy.text.table import FloatArray

__all__ = ["right_singular_vectors"]

# So many more vectors are computed than are wanted.
_MORE = 10
# Of a matrix of float32, singular values below this share of the greatest are rounding.
_ROUNDING = 1e-6


def right_singular_vectors(matrix: Any, n: int, *, power_iterations: int, seed: int) -> FloatArray:
    """Return the right singular vectors of the greatest singular values, those that scikit-learn's ``TruncatedSVD`` finds.

    The randomized method of Halko, Martinsson & Tropp (2011, algorithm 4.4), with an LU decomposition in each power iteration.
    What follows it there, a QR decomposition and the SVD of a small but long matrix, takes longer than everything before. So the
    vectors in the subspace that was found come from the eigenvectors of two products of double precision as small as
    the subspace (Rayleigh-Ritz): M is the matrix, B the basis, Y = M B, Z = Mᵀ Y; with W = V D^(-1/2) from
    Yᵀ Y = V D Vᵀ the basis Y W is orthonormal, and the eigenvectors of Wᵀ Zᵀ Z W are the left singular vectors
    in it.

    Parameters
    ----------
    matrix
        A SciPy sparse matrix of floats, shape (rows, columns).
    n
        How many vectors; fewer than rows and columns.
    power_iterations
        More come closer to the exact vectors. At least three.
    seed
        Of the random vectors that it begins with.

    Returns
    -------
    Array of shape (n, columns), zeros where the rank of the matrix is lower. The largest component of each vector by magnitude
    is positive.
    """
    linalg = require("scipy.linalg", extra="train", purpose="fitting an LSA encoder")
    triangular = partial(linalg.lu, permute_l=True, check_finite=False)
    wide = matrix.shape[0] < matrix.shape[1]
    if wide:
        matrix = matrix.T
    # scikit-learn's random numbers, so that the subspace is the same as with it.
    basis = np.random.RandomState(seed).normal(size=(matrix.shape[1], n + _MORE)).astype(matrix.dtype)
    for _ in range(power_iterations):
        basis = triangular(matrix.T @ (matrix @ basis))[0]
    images = matrix @ basis
    inner, directions = linalg.eigh(_gram(images))
    kept = inner > (_ROUNDING**2) * inner[-1]
    white = directions[:, kept] / np.sqrt(inner[kept])
    back = matrix.T @ images
    squares, rotation = linalg.eigh(white.T @ _gram(back) @ white)
    top = slice(None, -n - 1, -1)
    combined = white @ rotation[:, top]
    if not wide:
        combined /= np.sqrt(squares[top])
    found = (images if wide else back) @ combined.astype(matrix.dtype)
    vectors = np.zeros((n, len(found)), dtype=found.dtype)
    vectors[: found.shape[1]] = found.T
    signs = np.sign(vectors[np.arange(n), np.abs(vectors).argmax(axis=1)])
    vectors *= signs[:, None]
    return vectors


def _gram(rows: FloatArray) -> Any:
    double = rows.astype(np.float64)
    return double.T @ double
