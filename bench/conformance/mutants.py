"""For each row a fault that it is there to catch: (module, old text, new text), planted in a copy of the source."""

MUTANTS = {}
