"""How the site is made of these pages: ``./scripts/docs``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

import dialog_policy

project = "dialog-policy"
author = "The dialog-policy authors"
project_copyright = "2026, the dialog-policy authors"
version = release = dialog_policy.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_click",
    "sphinx_copybutton",
    "numpydoc",
    "generated",
]
exclude_patterns = ["_build", "tutorials/work", "**/.ipynb_checkpoints"]
nitpicky = False
html_theme = "furo"
html_title = "dialog-policy"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False

# Commands and what they print stand in one block: what the lexer of shell sessions does not know, it leaves as it is.
suppress_warnings = ["misc.highlighting_failure"]
lexers["csv"] = TextLexer()

# Headings can be linked to as on any host of repositories: [text](page.md#a-heading).
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "fieldlist"]
# The notebooks are kept with their outputs, which the tests compare with those of today (scripts/notebooks).
nb_execution_mode = "off"
# Prompts and what a command prints are not copied.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's parameters say them
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False


def _complete_for_assistive_technology(app, pagename, templatename, context, doctree):  # type: ignore[no-untyped-def]
    """Add what keyboards and screen readers need: a level for captions marked as headings, focus for wide blocks."""
    for key in ("body", "furo_navigation_tree"):
        if context.get(key):
            context[key] = context[key].replace('role="heading"', 'role="heading" aria-level="2"')
            for wide in ("<pre", '<div class="cell_output docutils container"'):
                context[key] = context[key].replace(f"{wide}>", f'{wide} tabindex="0">')


def setup(app):  # type: ignore[no-untyped-def]
    """Come after the theme, which makes its navigation in the same event."""
    app.connect("html-page-context", _complete_for_assistive_technology, priority=900)
