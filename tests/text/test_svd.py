import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from dialog_policy.text.svd import right_singular_vectors


@pytest.mark.parametrize("shape", [(60, 25), (25, 60), (40, 40)])
def test_the_vectors_are_those_of_scikit_learn(shape):
    matrix = sparse.random(*shape, density=0.2, format="csr", random_state=0, dtype=np.float32)
    expected = TruncatedSVD(8, n_iter=3, random_state=5).fit(matrix).components_
    vectors = right_singular_vectors(matrix, 8, power_iterations=3, seed=5)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected * np.sign((vectors * expected).sum(axis=1))[:, None], atol=1e-5)
    assert (vectors[np.arange(8), np.abs(vectors).argmax(axis=1)] > 0).all()
