"""A pytest plugin: the run ends with what was skipped, why, and the command that brings it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

# Pattern in the reason of a skip, what was missing, what to do about it. The first pattern that matches counts.
_SERVICES = "./scripts/install-test-services"
_EXTRAS = "./scripts/test (it installs every extra), or pip install --editable '.[train,static,sentence,tune,jax,ray,report,serve,postgres,docs,excel,parquet,download,test]'"
_CAUSES = (
    (r"public corpus", "public corpora", "set DIALOG_POLICY_CORPORA to the folder that has them"),
    (r"no Chromium", "Chromium", _SERVICES),
    (r"redis-server", "Redis", _SERVICES),
    (r"nginx", "nginx", _SERVICES),
    (r"PostgreSQL", "PostgreSQL", _SERVICES),
    (r"no C compiler", "a C compiler", _SERVICES),
    (r"extra|not installed|could not import", "an optional package", _EXTRAS),
)


def describe_skips(reasons: Iterable[str]) -> list[str]:
    """Return the lines of the summary: one for each cause, with its remedy; then every other reason as it is.

    Parameters
    ----------
    reasons
        The reason of each skipped test or test module.
    """
    causes: Counter[tuple[str, str]] = Counter()
    others: Counter[str] = Counter()
    for reason in reasons:
        match = next((cause for cause in _CAUSES if re.search(cause[0], reason, re.IGNORECASE)), None)
        if match is None:
            others[reason] += 1
        else:
            causes[match[1:]] += 1
    remedies: dict[str, list[str]] = {}
    for (name, remedy), count in causes.most_common():
        remedies.setdefault(remedy, []).append(f"{name} ({count})")
    lines = [
        f"Not installed: {', '.join(names)}. To run these tests, too: {remedy}" for remedy, names in remedies.items()
    ]
    return lines + [f"Does not apply here ({count}): {reason}" for reason, count in others.most_common()]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the summary at the end of a run."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    reasons = [report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr) for report in skipped]
    terminalreporter.write_sep("=", f"{len(skipped)} tests or test modules were skipped")
    for line in describe_skips(reason.removeprefix("Skipped: ") for reason in reasons):
        terminalreporter.write_line(line)
