import subprocess
import sys

import dialog_policy

# Libraries that nothing but training or a report may load.
_HEAVY = ("tensorflow", "keras", "gensim", "sklearn", "pandas", "onnxruntime", "matplotlib")


def test_every_public_name_is_there():
    for name in dialog_policy.__all__:
        assert getattr(dialog_policy, name).__name__ == name


def test_importing_the_package_loads_nothing_heavy():
    program = f"import sys, dialog_policy; print([name for name in {_HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
