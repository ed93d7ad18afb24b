"""Train a policy that predicts a dialogue system's next actions, evaluate it offline, embed it in a chatbot."""

__version__ = "0.1.0"
