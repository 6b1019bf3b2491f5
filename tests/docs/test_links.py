"""The documentation's links and generated parts, by the program behind `make docs`."""

import pytest

import docs
from house import ROOT


@pytest.mark.parametrize("page", list(docs.pages(ROOT)), ids=lambda page: str(page.relative_to(ROOT)))
def test_page_is_true(page):
    """Links lead somewhere, and generated parts are what would be generated now."""
    text = page.read_text(encoding="utf-8")

    assert docs.broken_links(page, ROOT) == []
    assert docs.regenerate(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[away](nowhere.md)", ["page.md: nowhere.md does not exist"], id="missing-file"),
        pytest.param("[away](../outside.md)", ["page.md: ../outside.md does not exist"], id="outside"),
        pytest.param("[here](#no-such)", ["page.md: page.md has no heading #no-such"], id="missing-heading"),
        pytest.param("[a]: nowhere.md", ["page.md: nowhere.md does not exist"], id="reference"),
        pytest.param("# Two words, really\n[here](#two-words-really)", [], id="heading"),
        pytest.param("[web](https://example.org/x)", [], id="absolute"),
        pytest.param("```\n[code](nowhere.md)\n```", [], id="inside-code"),
    ],
)
def test_broken_link_is_found(tmp_path, text, said):
    """A link to a missing file or heading is a finding; code and the web are not looked at."""
    page = tmp_path / "page.md"
    page.write_text(text)

    assert docs.broken_links(page, tmp_path) == said


def test_generated_part_is_replaced_between_its_marks():
    """Only the text between the marks changes."""
    page = "before\n<!-- generated: layers -->\nold\n<!-- end -->\nafter\n"

    current = docs.regenerate(page)

    assert current.startswith("before\n<!-- generated: layers -->\n```text\n 1  errors | _lazy\n")
    assert current.endswith("```\n<!-- end -->\nafter\n")
