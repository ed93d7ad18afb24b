"""How good a policy is: :func:`evaluate` judges any Predictor by the dialogues of a corpus."""

from dialog_policy.evaluation.evaluation import Evaluation
from dialog_policy.evaluation.evaluator import evaluate
from dialog_policy.evaluation.prediction_arrays import PredictionArrays
from dialog_policy.evaluation.prediction_files import PredictionFile

__all__ = ["Evaluation", "PredictionArrays", "PredictionFile", "evaluate"]
