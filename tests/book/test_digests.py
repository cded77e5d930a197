"""Digests: what counts in code, and what counts of files."""

import ast
import os

import pytest

import digests

MODULE = '''\
"""What it is for."""

import os  # a remark


class A:
    """A class."""

    size: int = 1
    """A size."""

    def f(self):
        """Do it."""
        return self.size
'''


def of(text):
    return digests.of_tree(ast.parse(text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What it is for", "What for"),
        ("  # a remark", ""),
        ("A size.", "A length."),
        ('        """Do it."""\n', ""),
        ("return self.size", "return (\n            self.size\n        )"),
        ("\n\n\n", "\n\n# a comment\n\n"),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(old, new):
    assert old in MODULE
    assert of(MODULE.replace(old, new)) == of(MODULE)


@pytest.mark.parametrize(
    ("old", "new"),
    [("= 1", "= 2"), ("import os", "import re"), ("def f", "def g"), ("int", "float")],
)
def test_what_code_does_counts(old, new):
    assert of(MODULE.replace(old, new)) != of(MODULE)


def test_a_text_that_is_used_counts():
    assert of("a = 'x'") != of("a = 'y'")
    assert of("f('x')") != of("f('y')")


@pytest.fixture
def tree(tmp_path):
    files = {
        "__init__.py": "",
        "a/__init__.py": "from imc_helpers.c import x",
        "a/one.py": "import numpy",
        "b.py": "def f():\n    from imc_helpers.a import one\n",
        "c.py": "import imc_helpers.d",
        "d.py": "import imc_helpers.c",
        "e.py": "",
    }
    for name, text in files.items():
        path = tmp_path / "imc_helpers" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_code_needs_what_it_imports_wherever_it_does(tree):
    """Inside functions too; packages around a module run first; a circle comes to an end."""
    needs = digests.Code(tree).needs
    around = ["imc_helpers", "imc_helpers.a"]
    cycle = ["imc_helpers.c", "imc_helpers.d"]
    assert list(needs("imc_helpers.b")) == [*around, "imc_helpers.a.one", "imc_helpers.b", *cycle]
    assert list(needs("imc_helpers.d")) == ["imc_helpers", *cycle]
    assert list(needs("imc_helpers.e")) == ["imc_helpers", "imc_helpers.e"]
    assert needs("imc_helpers.nothing") == {} == needs("numpy")
    asked = ast.parse("def f():\n    import imc_helpers.e\n")
    assert needs(asked) == needs("imc_helpers.e")
    named = ast.parse("from imc_helpers.a import one, two")
    assert list(needs(named)) == [*around, "imc_helpers.a.one", *cycle]


def test_the_hash_of_a_module_is_that_of_its_code(tree):
    before = digests.Code(tree).needs("imc_helpers.b")
    (tree / "imc_helpers/d.py").write_text("# why\nimport imc_helpers.c\n")
    assert digests.Code(tree).needs("imc_helpers.b") == before
    (tree / "imc_helpers/d.py").write_text("import imc_helpers.c\nx = 1\n")
    after = digests.Code(tree).needs("imc_helpers.b")
    assert [name for name in after if after[name] != before[name]] == ["imc_helpers.d"]


def test_a_digest_is_rewritten_only_when_its_content_changes(tmp_path):
    path = tmp_path / digests.write(tmp_path, "pages/one", {"text": "1", "code": "2"})
    assert path.read_text() == "text: 1\ncode: 2\n"
    os.utime(path, ns=(1, 1))
    digests.write(tmp_path, "pages/one", {"text": "1", "code": "2"})
    assert path.stat().st_mtime_ns == 1
    digests.write(tmp_path, "pages/one", {"text": "1", "code": "3"})
    assert path.stat().st_mtime_ns > 1
    assert path.read_text() == "text: 1\ncode: 3\n"
    assert [file.name for file in path.parent.iterdir()] == ["one"]


def test_files_count_by_name_and_content(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text("same")
    found = digests.of_files(tmp_path, [tmp_path / "one", tmp_path / "two", tmp_path / "none"])
    assert list(found) == ["one", "two", "none"]
    assert found["one"] == found["two"] == digests.of_text("same")
    assert found["none"] == digests.of_text("")


def test_a_folder_counts_by_the_contents_of_its_files(tmp_path):
    def of_folder():
        return digests.of_folder(tmp_path, tmp_path / "masks")

    nothing = of_folder()
    (tmp_path / "masks/a").mkdir(parents=True)
    assert of_folder() == nothing
    file = tmp_path / "masks/a/1.tiff"
    file.write_text("cells")
    first = of_folder()
    assert first != nothing
    file.touch()
    assert of_folder() == first, "touched"
    (tmp_path / "masks/.part-x").mkdir()
    (tmp_path / "masks/.part-x/1.tiff").write_text("half of it")
    assert of_folder() == first, "what is half made does not count"
    file.write_text("Cells")
    second = of_folder()
    assert second not in (nothing, first)
    file.rename(file.with_name("2.tiff"))
    assert of_folder() not in (nothing, first, second), "renamed"
    file.with_name("2.tiff").rename(file)
    assert of_folder() == second


def test_a_large_file_is_read_again_only_when_its_size_or_time_changed(tmp_path, monkeypatch):
    read = []
    hashing = digests.hashlib.file_digest

    def count(content, name):
        read.append(content.name)
        return hashing(content, name)

    monkeypatch.setattr(digests.hashlib, "file_digest", count)
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / name).write_text(name)
    for _ in range(3):
        digests.of_folder(tmp_path, folder)
    assert sorted(read) == [str(folder / name) for name in ("one", "two")]
    os.utime(folder / "one", ns=(5, 5))
    digests.of_folder(tmp_path, folder)
    assert read[2:] == [str(folder / "one")]
    (folder / "two").write_text("three")
    digests.of_folder(tmp_path, folder)
    assert read[3:] == [str(folder / "two")]
    notes = tmp_path / digests.FOLDER
    assert [file.name for file in notes.iterdir()] == [digests.CONTENTS]
