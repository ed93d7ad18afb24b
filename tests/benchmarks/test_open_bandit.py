"""Off-policy estimates beside another package's: what both are given, and the figures of this one by their formulas."""

import numpy as np
import pytest

from benchmarks.open_bandit.__main__ import draw_logs, lambdas_of, main, our_estimates, table


def test_estimates_are_those_of_the_formulas():
    logs = draw_logs(2, 40)
    ours = our_estimates(logs)
    for number in range(2):
        taken = np.arange(40), logs.action[number]
        weights = logs.target[number][taken] / logs.pscore[number]
        direct = (logs.target[number] * logs.q[number]).sum(axis=1)
        errors = logs.reward[number] - logs.q[number][taken]
        expected = {
            "dm": direct.mean(),
            "ips": (weights * logs.reward[number]).mean(),
            "snips": np.average(logs.reward[number], weights=weights),
            "dr": (direct + weights * errors).mean(),
            "sndr": direct.mean() + np.average(errors, weights=weights),
            "switch_dr, λ = 2": (direct + weights * (weights <= 2) * errors).mean(),
            "dros, λ = 10": (direct + 10 * weights / (weights**2 + 10) * errors).mean(),
        }
        assert {name: ours[name][number] for name in expected} == pytest.approx(expected)
    assert [len(own) for own in lambdas_of(logs)["dros"]] == [10, 10]
    assert len(list(table(ours, ours, logs.value))) == 2 + len(ours)


def test_without_the_other_package_it_says_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("OBP_PYTHON", str(tmp_path / "python"))
    assert main() == 2
    assert "python3.9 -m venv .venv-obp" in capsys.readouterr().err
