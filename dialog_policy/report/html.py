"""Results for the browser: self-contained pages whose plots follow the page's colours."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import msgspec

from dialog_policy.comparison.result import Comparison
from dialog_policy.corpus.summary import ContradictionSummary, CorpusSummary
from dialog_policy.errors import counted, require
from dialog_policy.evaluation.evaluation import Evaluation
from dialog_policy.ope.result import OffPolicyValue
from dialog_policy.report import comparison, corpus, evaluation, value
from dialog_policy.report.document import Table
from dialog_policy.report.plots import plots_of
from dialog_policy.report.plots.figure import Plot, draw_svg
from dialog_policy.report.subjects import Result, check_result, warnings_of
from dialog_policy.report.words import (
    MODES,
    action_set,
    cell,
    interval,
    metric_name,
    number,
    printable,
    rate,
    run_sentence,
    size_of,
)

__all__ = ["html_report"]

_PURPOSE = "the HTML report"
_HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>', re.DOTALL)
_SHOWN_TURNS, _SHOWN_SETS, _SHOWN_PAIRS, _SHOWN_EXAMPLES = 20, 200, 100, 5
# Characters after which a long name may be broken.
_JOINTS = re.compile(r"(?<=[_/.:|=-])(?=\w)")


def html_report(result: Result, *, history: Sequence[Mapping[str, float]] | None = None) -> str:
    """Return a result as an HTML page that loads nothing.

    Parameters
    ----------
    result
        An evaluation (with its mistakes, if they are to be shown), a comparison, an off-policy value or the summary of a corpus.
    history
        The training's epochs, if they are to be plotted.

    Raises
    ------
    MissingExtraError
        If the extra `report` is not installed.
    """
    check_result(result)
    if isinstance(result, Evaluation):
        template, values = "evaluation.html", _evaluation(result)
    elif isinstance(result, Comparison):
        template, values = "comparison.html", _comparison(result)
    elif isinstance(result, OffPolicyValue):
        template, values = "value.html", _value(result)
    else:
        template, values = "corpus.html", _corpus(result)
    return _render(template, plots_of(result, history=history), result, **values)


def _render(template: str, plots: Sequence[Plot], result: Result, *, title: str, **values: Any) -> str:
    """Fill the template of a subject; `title` is that of the browser's tab, `values` are what the template mentions."""
    jinja2 = require("jinja2", extra="report", purpose=_PURPOSE)
    markup = require("markupsafe", extra="report", purpose=_PURPOSE).Markup
    here = files("dialog_policy.report").joinpath("templates")
    environment = jinja2.Environment(
        autoescape=True,
        finalize=lambda shown: printable(shown) if type(shown) is str else shown,
        loader=jinja2.FunctionLoader(lambda name: here.joinpath(name).read_text("utf-8")),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(action_set=action_set, counted=counted)
    environment.filters.update(
        pct=corpus.percent, num=rate, number=number, ci=interval, cell=cell, json=_json, name=_breaking(markup)
    )
    drawn = {plot.name: {"plot": plot, "svg": markup(draw_svg(plot))} for plot in plots}
    body = environment.get_template(template).render(plots=drawn, r=result, **values)
    stored = msgspec.json.encode(result.to_json()).decode()
    page: str = environment.get_template("page.html").render(
        title=title,
        body=markup(body),
        warnings=warnings_of(result),
        sections=[(match[1], markup(match[2])) for match in _HEADING.finditer(body)],
        style=markup(here.joinpath("page.css").read_text("utf-8")),
        script=markup(here.joinpath("page.js").read_text("utf-8")),
        # Nothing in it may end the element that holds it.
        numbers=markup(stored.replace("<", "\\u003c")),
    )
    return page


def _breaking(markup: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a filter that lets a browser break a name after underscores and the like."""
    return lambda name: markup("<wbr>").join(_JOINTS.split(printable(str(name))))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _evaluation(result: Evaluation) -> dict[str, Any]:
    mistakes = result.mistakes
    name = result.run.name if result.run else result.corpus
    mode = [MODES.get(result.mode, result.mode)] if result.mode else []
    cards = [
        (metric_name(key), corpus.percent(getattr(result, key)), interval((result.ci95 or {}).get(key), corpus.percent))
        for key in ("turn_accuracy", "dialogue_accuracy", "micro_f1", "macro_f1")
    ]
    return {
        "title": f"{name}: turn accuracy {corpus.percent(result.turn_accuracy)}",
        "about": ", ".join([size_of(result), *mode]) + ".",
        "run": run_sentence(result.run),
        "cards": cards,
        "unseen": evaluation.unseen_sentence(result),
        "policies": evaluation.policies_table(result, intervals="none"),
        "lengths": evaluation.lengths_table(result),
        "slices": evaluation.slices_table(result),
        "measures": evaluation.probabilities_table(result),
        "top_k": evaluation.top_k_sentence(result),
        "actions": evaluation.actions_table(result),
        "m": mistakes,
        "confusions": None if mistakes is None else evaluation.confusions_table(mistakes),
        "bounds": [] if mistakes is None else corpus.bounds(mistakes.contradictions),
        "examples": [] if mistakes is None else _examples(mistakes.contradictions)[:_SHOWN_EXAMPLES],
    }


def _examples(contradictions: ContradictionSummary) -> list[dict[str, Any]]:
    """Return histories that are followed by different actions, in words and with what follows them."""
    return [
        {"of": example, "situation": corpus.situation(example), "outcomes": corpus.outcomes_table(example)}
        for example in contradictions.recent.examples
    ]


def _comparison(result: Comparison) -> dict[str, Any]:
    return {
        "title": " or ".join(row.name for row in result.policies),
        "about": size_of(result) + ".",
        "runs": comparison.runs_of(result),
        "verdicts": comparison.verdicts(result),
        "policies": comparison.policies_table(result),
        "pairs": comparison.pairs_table(result),
        "dialogues": comparison.dialogues_table(result),
        "differing": [_differing(result, row.a, row.b) for row in result.mcnemar],
    }


def _differing(result: Comparison, a: str, b: str) -> dict[str, Any]:
    """Count the turns that only one of two policies gets right, by their true actions, and show the first of them."""
    turns = [row for row in result.disagreements if (row.a, row.b) == (a, b)]
    sides = {name: [row for row in turns if row.right == name] for name in (a, b)}
    counts = {name: Counter(action_set(row.gold) for row in rows) for name, rows in sides.items()}
    sets = sorted(counts[a] | counts[b], key=lambda name: (-(counts[a][name] + counts[b][name]), name))
    return {
        "a": a,
        "b": b,
        "sets": Table(
            title=f"True actions of the turns on which {a} and {b} differ",
            header=["true actions", f"only {a} is right", f"only {b} is right", "balance"],
            rows=[
                [name, counts[a][name], counts[b][name], f"{counts[a][name] - counts[b][name]:+d}"]
                for name in sets[:_SHOWN_SETS]
            ],
        ),
        "sides": [
            {
                "right": name,
                "wrong": other,
                "count": len(sides[name]),
                "turns": sides[name][:_SHOWN_TURNS],
            }
            for name, other in ((a, b), (b, a))
        ],
    }


def _value(result: OffPolicyValue) -> dict[str, Any]:
    return {
        "title": f"{result.policy}: value on {result.corpus}",
        "about": [size_of(result, "decision", "decisions") + ".", *value.about(result)],
        "write": number,
        "chosen": None if result.rests_on is None else result.estimate(result.rests_on),
        "estimates": value.estimates_table(result, reasons=True),
        "overlap": value.overlap_sentences(result),
    }


def _corpus(summary: CorpusSummary) -> dict[str, Any]:
    contradictions = summary.contradictions
    return {
        "title": f"{summary.corpus}: {counted(summary.dialogues, 'dialogue')}",
        "about": corpus.title(summary) + ".",
        "advice": corpus.advice(summary),
        "parts": corpus.parts_table(summary),
        "bounds": corpus.bounds_table(contradictions),
        "examples": _examples(contradictions),
        "actions": corpus.actions_table(summary),
        "pairs": corpus.pairs_table(summary, _SHOWN_PAIRS),
        "copies": corpus.copies_table(summary),
    }
