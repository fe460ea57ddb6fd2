"""Names, lengths of time, windows and types: the rules of the server, applied before a server is asked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from shipway.errors import InvalidDefinition

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LENGTH = re.compile(r"0*[1-9][0-9]*[smhdw]")
_ELEMENT = ("bool", "int", "float", "text", "timestamp")
_LIST = re.compile(r"list\((.*)\)")
_DECIMAL = re.compile(r"decimal\( *([0-9]{1,2}) *(?:, *([0-9]{1,2}) *)?\)")
_MOST_DIGITS = 38


def checked_name(what: str, text: object) -> str:
    """`text`, if it matches `[a-z][a-z0-9_]{0,62}`."""
    if isinstance(text, str) and _NAME.fullmatch(text):
        return text
    belongs_to_system = isinstance(text, str) and text.startswith("_")
    hint = (
        "names that start with _ belong to the system; rename it"
        if belongs_to_system
        else "use a lower-case letter, then at most 62 of a-z, 0-9 and _"
    )
    raise InvalidDefinition(f"{what} `{text}` is not a name", hint=hint)


def checked_length(what: str, text: object) -> str:
    """`text`, if it is a length of time such as `30m`."""
    if isinstance(text, str) and _LENGTH.fullmatch(text):
        return text
    hint = "write a whole number and one of s, m, h, d, w, such as 30m; the smallest is 1s"
    raise InvalidDefinition(f"{what} `{text}` is not a length of time", hint=hint)


def checked_window(thing: str, text: object) -> str:
    """`text`, if it is a length of time or `lifetime`."""
    if text == "lifetime":
        return "lifetime"
    if isinstance(text, str) and _LENGTH.fullmatch(text):
        return text
    hint = "write a whole number and one of s, m, h, d, w, such as 30m, or lifetime; the smallest is 1s"
    raise InvalidDefinition(f"{thing}: window `{text}` is not a length of time", hint=hint)


def checked_columns(thing: str, item: str, columns: Mapping[str, str], *, lists: bool = True) -> dict[str, str]:
    """`columns`, if there is at least one and every name and type exists."""
    if not isinstance(columns, Mapping) or not columns:
        raise InvalidDefinition(f"{thing}: no {item} is given", hint="write {name: type, …}")
    return {
        checked_name(f"{thing}: {item}", name): _checked_type(f"{thing}: {item} {name}", data_type, lists)
        for name, data_type in columns.items()
    }


def _checked_type(what: str, data_type: object, lists: bool) -> str:
    text = data_type if isinstance(data_type, str) else ""
    listed_type = _LIST.fullmatch(text)
    element = _element(listed_type.group(1) if listed_type else text)
    if element is not None and listed_type is None:
        return element
    if element is not None and lists:
        return f"list({element})"
    if element is not None:
        raise InvalidDefinition(f"{what} is {data_type}", hint="only the columns of a source can be lists")
    hint = f"the types are {', '.join(_ELEMENT)}, decimal(18,2){', and list(…) of each' if lists else ''}"
    if "decimal" in text:
        hint = f"write decimal(18,2): 1 to {_MOST_DIGITS} digits, and how many of them stand after the point"
    raise InvalidDefinition(f"{what} has the type {data_type}, which does not exist", hint=hint)


def _element(text: str) -> str | None:
    """The word of a type without parts, written in one way; `None` when there is no such type."""
    if text in _ELEMENT:
        return text
    digits = decimal_digits(text)
    return None if digits is None else f"decimal({digits[0]},{digits[1]})"


def decimal_digits(text: str) -> tuple[int, int] | None:
    """How many digits a type of decimals has, and how many of them after the point.

    >>> decimal_digits("decimal(18, 2)")
    (18, 2)
    >>> decimal_digits("decimal(2,18)")
    """
    found = _DECIMAL.fullmatch(text)
    if found is None:
        return None
    precision, scale = int(found.group(1)), int(found.group(2) or 0)
    return (precision, scale) if 1 <= precision <= _MOST_DIGITS and scale <= precision else None


def checked_text(what: str, text: object) -> str:
    """`text`, if it says something."""
    if isinstance(text, str) and text.strip():
        return text
    raise InvalidDefinition(f"{what} is text, got {'nothing' if text in (None, '') else repr(text)}")


def optional_text(what: str, text: str | None) -> None:
    """Refuses a text that is there and says nothing."""
    if text is not None:
        checked_text(what, text)


def listed(what: str, items: object) -> tuple[object, ...]:
    """The items of a list of at least one. A single text is not taken for a list of letters."""
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise InvalidDefinition(f"{what} is a list, got {items!r}", hint=f"write {what}=[…]")
    found = tuple(items)
    if not found:
        raise InvalidDefinition(f"{what} is empty")
    return found


def nearest_hint(word: str, known: Iterable[str], otherwise: str) -> str:
    """`did you mean …?` for a slip of the hand, else `otherwise`."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def check_fields(thing: str, given: Iterable[object], known: tuple[str, ...]) -> None:
    """Refuses a field of a written definition that does not exist."""
    for field in given:
        if field not in known:
            otherwise = f"the fields are {', '.join(known)}"
            raise InvalidDefinition(
                f"{thing}: field {field} does not exist", hint=nearest_hint(str(field), known, otherwise)
            )
