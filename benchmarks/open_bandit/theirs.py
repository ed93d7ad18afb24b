"""Open Bandit Pipeline's estimates; runs in an environment of its own, which has obp and not this package.

``python theirs.py LOGS.npz LAMBDAS.json``: prints an object of estimator to the estimates of all logs.
"""

import json
import sys

import numpy as np
from obp import ope

FIXED = {
    "dm": ope.DirectMethod(),
    "ips": ope.InverseProbabilityWeighting(),
    "snips": ope.SelfNormalizedInverseProbabilityWeighting(),
    "dr": ope.DoublyRobust(),
    "sndr": ope.SelfNormalizedDoublyRobust(),
    "switch_dr, λ = 2": ope.SwitchDoublyRobust(lambda_=2.0),
    "dros, λ = 10": ope.DoublyRobustWithShrinkage(lambda_=10.0),
}
TUNED = {
    "switch_dr, λ by SLOPE": ("switch_dr", ope.SwitchDoublyRobustTuning),
    "dros, λ by SLOPE": ("dros", ope.DoublyRobustWithShrinkageTuning),
}


def main() -> None:
    """Estimate the target policy's value from every log."""
    logs = np.load(sys.argv[1], allow_pickle=False)
    with open(sys.argv[2], encoding="utf-8") as file:
        lambdas = json.load(file)
    estimates: dict[str, list[float]] = {name: [] for name in (*FIXED, *TUNED)}
    for number in range(len(logs["reward"])):
        given = {"reward": logs["reward"][number], "action": logs["action"][number]}
        given["action_dist"] = logs["target"][number][:, :, None]
        model = {"estimated_rewards_by_reg_model": logs["q"][number][:, :, None]}
        # Their tuning takes actions in slates, of which these logs have the first place alone.
        weighing = {"pscore": logs["pscore"][number], "position": np.zeros(len(given["reward"]), dtype=int)}
        for name, estimator in FIXED.items():
            own = {} if name in ("ips", "snips") else model
            more = {} if name == "dm" else weighing
            estimates[name].append(estimator.estimate_policy_value(**given, **own, **more))
        for name, (key, tuning) in TUNED.items():
            options = [float("inf") if value is None else value for value in lambdas[key][number]]
            tuned = tuning(lambdas=options, tuning_method="slope")
            estimates[name].append(tuned.estimate_policy_value_with_tuning(**given, **model, **weighing))
    print(json.dumps({name: list(map(float, own)) for name, own in estimates.items()}))


if __name__ == "__main__":
    main()
