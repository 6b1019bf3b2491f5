"""Run every benchmark, bench/*.py, each in a process of its own; name some to run those alone, then options."""

import subprocess
import sys
from itertools import takewhile

from house import ROOT


def main(arguments: list[str]) -> int:
    """Run the benchmarks that are named (all of them without names) with the options, return the worst exit code."""
    names = list(takewhile(lambda one: not one.startswith("-"), arguments))
    options = arguments[len(names) :]
    programs = sorted(path for path in (ROOT / "bench").glob("*.py") if path.stem != "peers")  # no benchmark itself
    chosen = [path for path in programs if not names or path.stem.removeprefix("bench_") in names]
    if not chosen:
        print("no such benchmark" if programs else "there are no benchmarks yet")
        return 1 if programs else 0
    return max(subprocess.run((sys.executable, path, *options), cwd=ROOT, check=False).returncode for path in chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
