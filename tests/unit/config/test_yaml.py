"""YAML with the line of everything."""

import sys
import textwrap

import pytest

from outlast.config import Document, read_yaml
from outlast.errors import ConfigError, MissingExtraError


def written(folder, text):
    """Write a file."""
    path = folder / "settings.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_values_and_lines(tmp_path):
    """Everything has its line, and keys stay as they are written."""
    document = read_yaml(
        written(
            tmp_path,
            """\
            # a remark
            on: yes
            list:
              - one: 1
                two: 2.5
              - three
            nothing:
            """,
        )
    )

    assert document.value == {"on": True, "list": [{"one": 1, "two": 2.5}, "three"], "nothing": None}
    assert [document.line_of(path) for path in ("on", "list[0].two", "list[1]", "list[1].more[3]", "nothing")] == [
        2,
        5,
        6,
        6,
        7,
    ]
    assert document.line_of("elsewhere") == 2


def test_merge_keys(tmp_path):
    """What is merged in counts unless it is written again."""
    document = read_yaml(written(tmp_path, "base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\nsame: *base\n"))

    assert document.value["mine"] == {"a": 1, "b": 3}
    assert document.value["same"] == {"a": 1, "b": 2}


def test_empty_file(tmp_path):
    """An empty file is an empty mapping."""
    assert read_yaml(written(tmp_path, "# nothing\n")).value == {}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\na: 2\n", 2, "the key 'a' stands here twice"),
        ("a: 1\n? [b]\n: 2\n", 2, "a key that is no plain text"),
        ("a: &a\n  - *a\n", 1, "an alias that stands inside of what it stands for"),
        ("a: 1\n  b: [\n", 2, "is not YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", 1, "a tag for which nothing is made here"),
        ("a: \x00\n", None, "is not YAML"),
    ],
    ids=["twice", "key", "alias", "syntax", "object", "control"],
)
def test_wrong_file(tmp_path, text, line, said):
    """A file that cannot be understood says where."""
    path = written(tmp_path, text)

    with pytest.raises(ConfigError, match=said) as caught:
        read_yaml(path)

    assert caught.value.file == str(path)
    assert caught.value.line in {line, None}
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ")


def test_file_that_cannot_be_read(tmp_path):
    """A missing file, and one that is no text."""
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "missing.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "bytes.yaml")


def test_without_pyyaml(tmp_path, monkeypatch):
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(MissingExtraError, match=r'pip install "outlast\[service\]"'):
        read_yaml(written(tmp_path, "a: 1\n"))


def test_located_keeps_what_is_known():
    """A place that is known already is not overwritten."""
    document = Document("outer.yaml", {}, {"a": 7})

    with pytest.raises(ConfigError) as caught, document.located():
        raise ConfigError("wrong", path="a.b")
    assert str(caught.value) == "outer.yaml:7: a.b: wrong"
    with pytest.raises(ConfigError) as caught, document.located():
        raise ConfigError("wrong", path="a.b", file="inner.yaml", line=2)
    assert str(caught.value) == "inner.yaml:2: a.b: wrong"
