from click.testing import CliRunner

import dialog_policy
from dialog_policy.cli import main


def test_an_installed_package_says_where_the_harnesses_are(tmp_path, monkeypatch):
    monkeypatch.setattr(dialog_policy, "__file__", str(tmp_path / "dialog_policy" / "__init__.py"))
    done = CliRunner().invoke(main, ["benchmark"])
    assert done.exit_code == 2
    assert "the harnesses are not part of the installed package" in done.output
    assert "./scripts/benchmark" in done.output
