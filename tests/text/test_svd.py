import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from dialog_policy.text.svd import right_singular_vectors

RARE = np.random.default_rng(0).zipf(1.3, size=(400, 12)) % 3_000


@pytest.mark.parametrize("shape", [(60, 25), (25, 60), (40, 40)])
def test_the_vectors_are_those_of_scikit_learn(shape):
    matrix = sparse.random(*shape, density=0.2, format="csr", random_state=0, dtype=np.float32)
    expected = TruncatedSVD(8, n_iter=3, random_state=5).fit(matrix).components_
    vectors = right_singular_vectors(matrix, 8, power_iterations=3, seed=5)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected * np.sign((vectors * expected).sum(axis=1))[:, None], atol=1e-5)
    assert (vectors[np.arange(8), np.abs(vectors).argmax(axis=1)] > 0).all()


@pytest.mark.parametrize("transposed", [False, True])
def test_the_vectors_span_the_space_of_scikit_learn_and_are_the_same_bytes_again(transposed):
    """Counts of words by Zipf's law, as texts have them, in more columns than rows and the other way round."""
    rows = np.repeat(np.arange(len(RARE)), RARE.shape[1])
    matrix = sparse.csr_matrix((np.ones(RARE.size, dtype=np.float32), (rows, RARE.ravel())), shape=(len(RARE), 3_000))
    matrix = matrix.T.tocsr() if transposed else matrix
    expected = TruncatedSVD(50, n_iter=3, random_state=5).fit(matrix.astype(np.float64)).components_
    vectors = right_singular_vectors(matrix, 50, power_iterations=3, seed=5)
    assert vectors.tobytes() == right_singular_vectors(matrix, 50, power_iterations=3, seed=5).tobytes()
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(50), atol=1e-4)
    # The sine of the largest principal angle between the two spaces.
    assert np.linalg.norm(vectors - vectors @ expected.T @ expected, 2) < 1e-3
    strengths = np.linalg.norm(matrix @ vectors.T, axis=0)
    np.testing.assert_allclose(strengths, np.linalg.norm(matrix @ expected.T, axis=0), rtol=1e-4)


def test_beyond_the_rank_of_the_matrix_vectors_are_zeros():
    generator = np.random.default_rng(0)
    matrix = sparse.csr_matrix(generator.random((300, 6)) @ generator.random((6, 200)), dtype=np.float32)
    vectors = right_singular_vectors(matrix, 10, power_iterations=3, seed=0)
    np.testing.assert_allclose(vectors @ vectors.T, np.diag([1.0] * 6 + [0.0] * 4), atol=1e-4)
