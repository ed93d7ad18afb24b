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


def right_singular_vectors(matrix: Any, n: int, *, power_iterations: int, seed: int) -> FloatArray:
    """Return the right singular vectors of the greatest singular values, as scikit-learn's ``TruncatedSVD`` computes them.

    The randomized method of Halko, Martinsson & Tropp (2011, algorithms 4.4 and 5.1), with LU decompositions between the power
    iterations.

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
    Array of shape (n, columns). The largest component of each vector by magnitude is positive.
    """
    linalg = require("scipy.linalg", extra="train", purpose="fitting an LSA encoder")
    orthonormal = partial(linalg.qr, mode="economic", check_finite=False)
    triangular = partial(linalg.lu, permute_l=True, check_finite=False)
    wide = matrix.shape[0] < matrix.shape[1]
    if wide:
        matrix = matrix.T
    # scikit-learn's random numbers, so that encoders are the same as with it.
    basis = np.random.RandomState(seed).normal(size=(matrix.shape[1], n + _MORE)).astype(matrix.dtype)
    for _ in range(power_iterations):
        basis = triangular(matrix @ basis)[0]
        basis = triangular(matrix.T @ basis)[0]
    basis = orthonormal(matrix @ basis)[0]
    left, _, right = linalg.svd(basis.T @ matrix, full_matrices=False, lapack_driver="gesdd")
    vectors = (basis @ left).T[:n] if wide else right[:n]
    signs = np.sign(vectors[np.arange(n), np.abs(vectors).argmax(axis=1)])
    return np.asarray(vectors * signs[:, None])
