"""What a command that has ended left behind, whether it ran in this process or in one of its own."""

import json
from dataclasses import dataclass


@dataclass
class Result:
    """Its exit code, and all that it said."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """Return what it said as one document."""
        return json.loads(self.out)

    @property
    def receipt(self):
        """Return the last line of what it said, where each line is a document."""
        return json.loads(self.out.splitlines()[-1])
