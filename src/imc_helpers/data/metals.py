"""Metal tags as files write them: ``Ir191``, ``191Ir``, ``CD38_Pr141``."""

import re

_METAL = re.compile(
    r"(?<![A-Za-z0-9])(?:([A-Z][a-z]?)(\d{2,3})|(\d{2,3})([A-Z][a-z]?))(?![A-Za-z0-9])"
)


def metal(tag: str) -> str:
    """Write a metal tag as ``Ir191``, whichever way round it is; other texts stay as they are."""
    found = _METAL.fullmatch(tag.partition("(")[0])
    return tag if found is None else _symbol_first(found)


def _symbol_first(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}" if found[1] else f"{found[4]}{found[3]}"


def metal_and_name(text: str) -> tuple[str, str]:
    """Read ``141Pr_CD38``, ``CD38_Pr141`` or ``CD38``: the metal as ``Pr141``, and the name."""
    found = _METAL.search(text.replace("_", " "))
    if not found:
        return text, text
    tag = _symbol_first(found)
    name = (text[: found.start()] + text[found.end() :]).strip(" _-.()")
    return tag, name or tag
