"""Run every benchmark, bench/*.py, each in a process of its own; name one to run it alone."""

import subprocess
import sys

from house import ROOT


def main(names: list[str]) -> int:
    """Run the benchmarks called `names` (all of them without names), return the worst exit code."""
    programs = sorted(path for path in (ROOT / "bench").glob("*.py") if path.stem != "peers")  # no benchmark itself
    chosen = [path for path in programs if not names or path.stem in names]
    if not chosen:
        print("no such benchmark" if programs else "there are no benchmarks yet")
        return 1 if programs else 0
    return max(subprocess.run((sys.executable, path), cwd=ROOT, check=False).returncode for path in chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
