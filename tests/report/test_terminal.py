"""What a terminal shows: in its width, with its colours, and never obeying the user's texts."""

import io
import re
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from dialog_policy.report import result_of, show, text_report
from dialog_policy.report.document import Table
from dialog_policy.report.subjects import document_of
from dialog_policy.report.words import cell, lines_of, printable
from tests.report.pages import make
from tests.report.results import score_result

NAMES = st.text(st.sampled_from("ab_ 推é̀о"), min_size=1, max_size=90)


@given(NAMES, st.integers(4, 60))
@example("_a推推", 4)
def test_breaking_a_name_loses_nothing_but_spaces(text, columns):
    lines = lines_of(text, columns)
    assert all(cell_len(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_names_are_broken_after_underscores():
    assert lines_of("inform_departure_time", 12) == ["inform_", "departure_", "time"]


@pytest.mark.parametrize("width", [24, 40, 60, 80, 100, 140])
def test_reports_fit_the_terminal_with_all_their_figures_and_names(width):
    made = make()
    for result in map(result_of, (score_result(), made.score, made.comparison, made.value, made.summary)):
        lines = text_report(result, width=width).splitlines()
        assert max(map(cell_len, lines)) <= width
        assert not any(line.endswith(" ") for line in lines)
        shown, figures = Counter(" ".join(lines).split()), Counter[str]()
        parts = [part for section in document_of(result).sections for part in section.parts]
        for table in [part for part in parts if isinstance(part, Table)]:
            for row in table.rows:
                names = [printable(cell(row[column])) for column in table.left]
                assert all(
                    word in shown for name in names for word in name.split() if word.isalnum() and cell_len(word) < 9
                )
                for column in set(range(len(row))) - set(table.left):
                    figures.update(printable(cell(row[column])).split())
        assert figures <= shown, figures - shown


def test_a_table_that_is_too_wide_is_shown_in_parts_each_with_the_names_of_its_rows():
    lines = text_report(result_of(score_result()), width=40).splitlines()
    tables = "\n".join(lines).split("\n\n")
    with_policies = [table for table in tables if table.startswith(("policy", "       "))][:2]
    assert [" ".join(table.split("─", 1)[0].split()) for table in with_policies] == [
        "turn dialogue micro policy accuracy accuracy F1",
        "macro weighted policy F1 F1",
    ]
    for table in with_policies:
        assert all(name in table for name in ("this policy", "majority", "bigram"))


def test_figures_are_aligned_with_names_of_any_script():
    lines = text_report(result_of(make().comparison)).splitlines()
    rows = [line for line in lines if line.startswith(("good <1>  ", "坏的  "))][:2]
    assert len({cell_len(row) for row in rows}) == 1


def test_an_evaluation_in_the_fields_words():
    text = text_report(result_of(score_result()))
    for part in (
        "turn accuracy",
        "dialogue accuracy",
        "95 % CI, lower",
        "top-3 accuracy",
        "binary cross-entropy summed over actions",
        "majority baseline",
        "[0.900, 0.990]",
        "cannot exceed a turn accuracy of 0.930",
    ):
        assert part in text
    exclusive = text_report(result_of(score_result() | {"actions_exclude_each_other": True}))
    assert "negative log-likelihood of the action" in exclusive


def test_warnings_come_first_and_the_run_is_named():
    first, _, title, run, *_ = text_report(result_of(score_result()), width=200).splitlines()
    assert first.startswith("Warning: The run was trained on 24 of these 100 dialogues")
    assert title == "small.jsonl, split test: 100 dialogues, 900 turns to predict, free running"
    assert run == "Run small_run (id a1b2c3), trained on 2026-11-24 with dialog-policy 0.2.0."


def test_one_is_singular():
    text = text_report(result_of(score_result() | {"dialogues": 1, "turns": 1, "unseen_action_turns": 1}))
    assert "1 dialogue, 1 turn to predict" in text
    assert "1 turn has an action that does not occur in training and counts as wrong." in text


def test_small_groups_are_not_ranked_and_said_to_be_small():
    result = score_result()
    result["slices"][0] |= {"turns": 6, "turn_accuracy": 0.0}
    result["by_length"][0]["turns"] = 29
    text = text_report(result_of(result))
    assert "1 group of fewer than 30 turns is too small to be ranked." in text
    ranked = text[text.index("Groups of turns") :]
    assert "0.000" not in ranked
    assert re.search(r"1-4 +20 +29 +0\.950 .* small$", text, re.MULTILINE)


def test_the_comparison_begins_with_its_verdict():
    text = text_report(result_of(make().comparison))
    title, _, verdict, *_ = text.splitlines()
    assert title.startswith("<made>.jsonl, split all")
    assert verdict.startswith("good <1> is better than 坏的 in turn accuracy")


def test_a_higher_loss_is_worse():
    result = make().comparison
    pair = result["pairs"][0] | {"metric": "hamming_loss", "difference": 0.1, "ci95": [0.05, 0.15], "p_holm": 0.001}
    policies = [row | {"hamming_loss": 0.1 + 0.1 * (row["name"] == pair["a"])} for row in result["policies"]]
    text = text_report(result_of(result | {"metrics": ["hamming_loss"], "pairs": [pair], "policies": policies}))
    assert "good <1> is worse than 坏的 in Hamming loss" in text


def test_the_corpus_owner_gets_advice_on_small_parts_and_rare_actions():
    summary = make().summary
    text = " ".join(text_report(result_of(summary)).split())
    assert "The test part is small" in text
    assert "dialog-policy evaluate CORPUS --folds 5" in text
    rare = summary | {"actions": [*summary["actions"], {"action": "rare", "turns": 1, "splits": {}}]}
    assert "1 of 8 actions occurs in fewer than 10 turns" in " ".join(text_report(result_of(rare)).split())


def test_texts_do_not_command_the_terminal():
    result = score_result()
    evil = "a\033[2Jb\u202ec\r\nd\ud800"
    result |= {
        "corpus": evil,
        "warnings": [evil],
        "run": {"name": evil, "created": "", "package_version": "", "id": ""},
    }
    result["slices"][0] |= {"value": evil, "field": evil}
    result["mistakes"]["confusions"][0]["gold"] = [evil]
    text = text_report(result_of(result))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", text)
    assert "a�[2Jb�c  d�" in text


class Terminal(io.StringIO):
    def __init__(self, is_terminal=True, encoding="utf-8"):
        super().__init__()
        self._is_terminal, self._encoding = is_terminal, encoding

    def isatty(self):
        return self._is_terminal

    @property
    def encoding(self):
        return self._encoding


@pytest.mark.parametrize(
    ("is_terminal", "environment", "colours"),
    [(True, {}, True), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False), (False, {}, False)],
)
def test_colours_only_on_a_terminal_that_wants_them(monkeypatch, is_terminal, environment, colours):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "72", **environment}.items():
        monkeypatch.setenv(name, value)
    stream = Terminal(is_terminal)
    monkeypatch.setattr("sys.stdout", stream)
    show(result_of(score_result()))
    assert ("\033[" in stream.getvalue()) == colours
    plain = re.sub(r"\033\[[\d;]*m", "", stream.getvalue())
    assert plain.split() == text_report(result_of(score_result()), width=72).split()


def test_a_sentence_is_one_line_where_no_terminal_shows_it(monkeypatch):
    stream = Terminal(is_terminal=False)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", "60")
    show(result_of(make().value))
    assert make().value["conclusion"] in stream.getvalue().splitlines()


def test_what_the_encoding_lacks_is_replaced(monkeypatch):
    stream = Terminal(is_terminal=False, encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    show(result_of(make().comparison))
    assert stream.getvalue().isascii()
    assert "good <1> is better than ??" in stream.getvalue()
