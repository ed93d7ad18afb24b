"""What people use instead, on the same dialogues: Rasa's TED policy, a Keras LSTM as people write it, a hybrid code network's setting.

Every contender is a program of its own, run as ``python PROGRAM fit|predict FOLDER OUT``. FOLDER has ``train.jsonl``, ``dev.jsonl``
and ``test.jsonl``, dialogues in the native format; OUT is the contender's own folder. ``fit`` leaves there what it learnt. ``predict`` is a process of its own, as a bot is: it loads, decides every turn
of the test part as a bot would, one after the other with what was really done before, and leaves ``predictions.jsonl`` (the
format of ``dialog-policy predict``) and ``predict.json``: seconds to import and load, microseconds of each decision.
"""
