"""Write docs/reference/torture.md from the figures of the last runs, which are kept beside this program."""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "reference" / "torture.md"
FIGURES = HERE / "figures.json"
LONG = 2000


def write(**news):
    """Take in new figures and write the page."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    figures.update(news)
    FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(text_of(figures))


def text_of(figures):
    return "TODO"
