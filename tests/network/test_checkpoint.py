"""The file of a checkpoint."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from dialog_policy.network.checkpoint import read_checkpoint, write_checkpoint

_ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=5).filter(lambda name: name != "__metadata__"),
    st.sampled_from(["<f4", "<f8", "<f2", "<i4", "<i8", "<u4", "u1", "?"]).flatmap(
        lambda dtype: arrays_of.arrays(
            dtype,
            arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False} if "f" in dtype else None,
        )
    ),
    max_size=5,
)


@given(arrays=_ARRAYS, transposed=st.booleans())
def test_a_checkpoint_is_a_file_of_safetensors_whatever_the_arrays(tmp_path_factory, arrays, transposed):
    folder = tmp_path_factory.mktemp("checkpoint")
    if transposed:  # not in the order of its axes
        arrays = {name: array.T for name, array in arrays.items()}
    state = {"arrays": arrays, "history": [{"epoch": 1.0, "loss": 0.5}], "about": {"name": "ü"}}
    write_checkpoint(folder, state)
    read = read_checkpoint(folder)
    assert read["history"] == state["history"]
    assert read["arrays"].keys() == arrays.keys()
    for name, array in arrays.items():
        assert read["arrays"][name].dtype == array.dtype
        np.testing.assert_array_equal(read["arrays"][name], array)
