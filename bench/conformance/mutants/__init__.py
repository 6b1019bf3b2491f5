"""For each demand a fault that it is there to catch: (module, old text, new text), planted in a copy of the source."""

import importlib

from rows import THEMES

from mutants.places import END

__all__ = ["END", "MUTANTS"]

MUTANTS = {}
for theme in THEMES:
    MUTANTS |= importlib.import_module(f"mutants.{theme}").MUTANTS
