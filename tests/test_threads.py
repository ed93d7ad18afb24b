import threading

import pytest

from dialog_policy.threads import InBackground


def test_a_call_in_the_background_returns_or_raises():
    go = threading.Event()

    def divide(a, *, by):
        go.wait()
        return a / by

    right, wrong = InBackground(divide, 6, by=3), InBackground(divide, 6, by=0)
    go.set()
    assert right.result() == 2
    with pytest.raises(ZeroDivisionError):
        wrong.result()
