"""The strict check of parameters."""

import pytest
from nbformat import v4

import parameters
from parameters import Parameter, ParameterError

CELL = """\
# What to show.
edition: str = "open"  # which edition this page shows
border: int = 28  # px ignored on each side
scale: float = 1.5
strict: bool = False
cohorts: list[str] = ["a", "b"]
"""


def notebook(source=CELL, tags=("parameters",)):
    return v4.new_notebook(cells=[v4.new_code_cell(source, metadata={"tags": list(tags)})])


def test_the_cell_is_read():
    assert parameters.declared(notebook()) == {
        "edition": Parameter("edition", "str", "open"),
        "border": Parameter("border", "int", 28),
        "scale": Parameter("scale", "float", 1.5),
        "strict": Parameter("strict", "bool", False),
        "cohorts": Parameter("cohorts", "list[str]", ["a", "b"]),
    }


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"edition": "demo", "border": 0, "scale": 2.5, "strict": True, "cohorts": []},
        {"scale": 2},
    ],
)
def test_values_that_fit(values):
    parameters.check(notebook(), values)


def test_an_unknown_name_is_refused():
    with pytest.raises(ParameterError, match="unknown parameter `boarder`; the chapter has border"):
        parameters.check(notebook(), {"boarder": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("edition", 3),
        ("border", 28.0),
        ("border", "28"),
        ("border", True),
        ("scale", "1.5"),
        ("strict", 1),
        ("cohorts", "a"),
        ("cohorts", ["a", 1]),
        ("edition", None),
    ],
)
def test_a_value_of_another_type_is_refused(name, value):
    with pytest.raises(ParameterError, match=f"parameter `{name}`: expected"):
        parameters.check(notebook(), {name: value})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("border = 28", "expected `name: type = literal`"),
        ("border: int", "expected `name: type = literal`"),
        ("border: int = 2 * window", "expected a literal, found `2 [*] window`"),
        ("border: dict = {}", "has type `dict`; use one of"),
        ("border: int = 1.5", "expected int, found 1.5"),
        ("import os", "expected `name: type = literal`"),
        ("cohorts: list[str] = [\n    'a',\n]", "`cohorts`: expected a literal on one line"),
        ('name: str = """a\nb"""', "`name`: expected a literal on one line"),
    ],
)
def test_a_cell_with_anything_else_is_refused(line, message):
    with pytest.raises(ParameterError, match=message):
        parameters.declared(notebook(line))


def test_there_must_be_one_such_cell():
    with pytest.raises(ParameterError, match="found 0"):
        parameters.declared(notebook(tags=()))
