"""The short form of ``scripts/soak``, and what it calls flat."""

import sys

import pytest

from benchmarks.soak import Sample, describe_soak, growth, soak_server, soak_training
from tests.conftest import REPOSITORY

pytest.importorskip("fastapi", reason="the extra serve is not installed")
RUN = REPOSITORY / "tests" / "fixtures" / "run-format-4"


def samples(rss, threads=5, descriptors=20):
    return [Sample(float(t), rss(t), threads, descriptors + t // 60, 10 * t) for t in range(100)]


def test_what_grows_is_found():
    warming = growth(samples(lambda t: 100.0 - 50.0 * (t < 20)))
    assert warming["rss_mb"] == pytest.approx(
        {"first": 100, "last": 100, "greatest": 100, "slope_per_hour": 0}, abs=1e-6
    )
    assert not warming["flat"], "a descriptor more at the end"
    leaking = growth([sample._replace(descriptors=20) for sample in samples(lambda t: 100.0 + 0.1 * t)])
    assert leaking["rss_mb"]["slope_per_hour"] == pytest.approx(360)
    assert not leaking["flat"]
    level = samples(lambda t: 100.0)
    assert growth([sample._replace(descriptors=20) for sample in level])["flat"]
    # Connections come and go, and by chance most of them are open at the end.
    assert growth([sample._replace(descriptors=20 + n % (5 + n // 60)) for n, sample in enumerate(level)])["flat"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
def test_a_server_at_half_load():
    from dialog_policy import load_corpus

    dialogues = list(load_corpus(f"{RUN}-dialogues.jsonl"))[:4]
    result = soak_server(str(RUN), dialogues, seconds=2.0, connections=2)
    assert result["done"] > 0
    assert result["sessions"]["greatest"] <= 2
    assert result["rss_mb"]["last"] > 0
    assert "turns" in describe_soak(result)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
def test_a_training():
    pytest.importorskip("tensorflow", reason="the extra train is not installed")
    result = soak_training(f"{RUN}-dialogues.jsonl", seconds=1.0, options=["--split", "all", "--set", "hidden=8"])
    assert result["done"] >= 1
    assert result["threads"]["least"] >= 1
    assert "epochs" in describe_soak(result)
