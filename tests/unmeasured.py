"""The environment of processes that no coverage is taken of.

A tracer makes a start several times as long, and what is killed saves nothing of what it has measured. Programs that
are neither the package nor meant to end by themselves run with it.
"""

import os

UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
