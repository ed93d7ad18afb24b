"""A training in a process of its own: ``python training_process.py CORPUS RUN [resume|restart] [EPOCHS]``.

Says "epoch" on stdout after every epoch and then waits for a line on stdin, so that a test decides when it goes on.
"""

import sys

from dialog_policy import DialogPolicy
from dialog_policy.errors import DialogPolicyError
from dialog_policy.network.backend import be_lean, load_keras
from tests.conftest import QUICK

be_lean()
keras = load_keras()


class Paused(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print("epoch", flush=True)
        sys.stdin.readline()


def main(corpus, run, resume="", epochs="3"):
    try:
        DialogPolicy(**QUICK | {"epochs": int(epochs)}).fit(
            corpus, dev=None, out=run, resume={"resume": True, "restart": False}.get(resume), callbacks=[Paused()]
        )
    except DialogPolicyError as error:
        print(f"error {error}", flush=True)
        return 2
    print("done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
