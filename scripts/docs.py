"""Keep the documentation true: regenerate its generated parts and check that its links lead somewhere.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; its text is made by the function of that
name in `GENERATORS`. With `--check` nothing is written, and a part that is out of date is a finding.
"""

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from house import ROOT

_PART = re.compile(r"(<!-- generated: (?P<name>\S+) -->\n)(?P<text>.*?)(<!-- end -->)", re.DOTALL)
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)[^)]*\)|^\[[^\]]+\]:\s*(?P<reference>\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#+\s+(?P<text>.+?)\s*#*$", re.MULTILINE)


def layers() -> str:
    """Draw the layer map from the contract that import-linter holds, the lowest layer first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(one for one in settings["tool"]["importlinter"]["contracts"] if one["id"] == "layers")
    rows = [line.replace("(", "").replace(")", "") for line in reversed(contract["layers"])]
    return "".join(["```text\n", *(f"{number:>2}  {row}\n" for number, row in enumerate(rows, 1)), "```\n"])


GENERATORS: dict[str, Callable[[], str]] = {"layers": layers}


def pages(root: Path) -> Iterator[Path]:
    """Yield every page of the documentation."""
    yield from sorted(path for path in root.glob("*.md") if path.name != "CHANGELOG.md")
    for folder in ("docs", "bench"):
        yield from sorted((root / folder).rglob("*.md"))


def regenerate(text: str) -> str:
    """Return a page with its generated parts as they should be now."""
    return _PART.sub(lambda part: f"{part[1]}{GENERATORS[part['name']]()}{part[4]}", text)


def broken_links(page: Path, root: Path) -> list[str]:
    """Return one line for each link of a page, outside of code, that leads nowhere within the project."""
    found: list[str] = []
    for link in _LINK.finditer(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = (link["target"] or link["reference"]).partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        place = (page.parent / target).resolve() if target else page
        if not place.exists() or not place.is_relative_to(root):
            found.append(f"{page.relative_to(root)}: {target} does not exist")
        elif anchor and anchor not in _anchors(place):
            found.append(f"{page.relative_to(root)}: {target or page.name} has no heading #{anchor}")
    return found


def _anchors(page: Path) -> set[str]:
    headings = _HEADING.finditer(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading["text"].lower()).replace(" ", "-") for heading in headings}


def main(arguments: list[str]) -> int:
    """Regenerate (or with `--check` compare) and check the links; print what is wrong, return the exit code."""
    found: list[str] = []
    for page in pages(ROOT):
        text = page.read_text(encoding="utf-8")
        if (current := regenerate(text)) != text:
            if "--check" in arguments:
                found.append(f"{page.relative_to(ROOT)}: a generated part is out of date, run `make docs`")
            else:
                page.write_text(current, encoding="utf-8")
                print(f"{page.relative_to(ROOT)}: regenerated")
        found += broken_links(page, ROOT)
    print("\n".join(found) if found else "links lead somewhere, generated parts are current")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
