"""The strict check of parameters: papermill only warns about a name that a notebook lacks."""

import ast
import json
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from pydantic import TypeAdapter, ValidationError

TAG = "parameters"
TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list[str]": list[str],
    "list[int]": list[int],
    "list[float]": list[float],
}
"""What a parameter may be: what a YAML file and a command line can say without doubt."""


@dataclass(frozen=True)
class Parameter:
    """One line of a ``parameters`` cell."""

    name: str
    type: str
    default: Any


class ParameterError(ValueError):
    """A chapter's parameters, or the values given for them, are not as they should be."""


def declared(notebook: NotebookNode) -> dict[str, Parameter]:
    """Read the ``parameters`` cell: lines ``name: type = literal``.

    Raises
    ------
    ParameterError
        If there is not exactly one such cell, or a line in it is anything else.
    """
    cells = [c for c in notebook.cells if TAG in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ParameterError(f"expected one cell with the tag `{TAG}`, found {len(cells)}")
    found = {}
    for line in ast.parse(cells[0].source).body:
        parameter = _parse(line)
        _check(parameter, parameter.default)
        found[parameter.name] = parameter
    return found


def check(notebook: NotebookNode, values: dict[str, Any]) -> None:
    """Refuse values that a notebook's ``parameters`` cell does not provide for.

    Raises
    ------
    ParameterError
        If a name is unknown or a value has another type than the cell says.
    """
    known = declared(notebook)
    for name, value in values.items():
        if name not in known:
            raise ParameterError(
                f"unknown parameter `{name}`; the chapter has {', '.join(sorted(known))}"
            )
        _check(known[name], value)


def with_values(source: str, values: dict[str, Any]) -> str:
    """Return a ``parameters`` cell's text with other literals in it, comments and all kept.

    Parameters
    ----------
    source
        Text of a cell that `declared` accepts: lines ``name: type = literal  # comment``.
    values
        Values by name; other parameters keep theirs.
    """
    lines = source.splitlines()
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.AnnAssign)
        name, literal = ast.unparse(statement.target), statement.value
        if name in values and literal is not None:
            line = lines[literal.lineno - 1].encode()
            before, after = line[: literal.col_offset], line[literal.end_col_offset :]
            lines[literal.lineno - 1] = (
                f"{before.decode()}{as_literal(values[name])}{after.decode()}"
            )
    return "\n".join(lines)


def as_literal(value: Any) -> str:
    """Write a parameter's value as the chapters do: double quotes, as the formatter would."""
    if isinstance(value, list):
        return f"[{', '.join(map(as_literal, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _parse(line: ast.stmt) -> Parameter:
    if (
        not isinstance(line, ast.AnnAssign)
        or not isinstance(line.target, ast.Name)
        or line.value is None
    ):
        raise ParameterError(
            f"expected `name: type = literal` in the `{TAG}` cell, found `{ast.unparse(line)}`"
        )
    kind = ast.unparse(line.annotation)
    if kind not in TYPES:
        raise ParameterError(
            f"parameter `{line.target.id}` has type `{kind}`; use one of {', '.join(TYPES)}"
        )
    try:
        default = ast.literal_eval(line.value)
    except ValueError:
        raise ParameterError(
            f"parameter `{line.target.id}`: expected a literal, found `{ast.unparse(line.value)}`"
        ) from None
    if line.value.lineno != line.value.end_lineno:
        # The page shows the value in use in the place of this one.
        raise ParameterError(
            f"parameter `{line.target.id}`: expected a literal on one line, found one on lines "
            f"{line.value.lineno} to {line.value.end_lineno} of the cell"
        )
    return Parameter(line.target.id, kind, default)


def _check(parameter: Parameter, value: Any) -> None:
    try:
        TypeAdapter(TYPES[parameter.type]).validate_python(value, strict=True)
    except ValidationError:
        raise ParameterError(
            f"parameter `{parameter.name}`: expected {parameter.type}, "
            f"found {value!r} ({type(value).__name__})"
        ) from None
