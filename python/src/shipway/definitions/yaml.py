"""Definitions as YAML: a writer whose text reads well, and a reader that means by a word what the server means by it.

YAML 1.1, which PyYAML speaks, takes `on`, `no` and `1:30` for something else than text. The server speaks YAML 1.2, so
the reader here does, too, and the writer puts into quotes what either of them could mistake.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from shipway.errors import InvalidDefinition

_PLAIN = re.compile(r"[a-z][a-z0-9_]*(\([0-9.a-z]+\))?|[0-9]+[smhdw]|[a-z][a-z0-9_]*:[a-z][a-z0-9_]*")
_TAKEN = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))
_FLOW_WIDTH = 100

# What a server knows of YAML 1.2's core schema.
_SCALARS = (
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("tag:yaml.org,2002:int", r"^[-+]?[0-9]+$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+0123456789.",
    ),
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2, whole numbers in decimal, and no key twice."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), ["" if first == "\0" else first for first in _first])


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node).replace(".inf", "inf").replace(".nan", "nan"))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [str(key.value) for key, _ in node.value]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise InvalidDefinition(f"line {node.start_mark.line + 1}: {twice} is given twice")
    return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value)}


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read(text: str, path: str = "definitions") -> list[Any]:
    """The documents of `text` that are not empty."""
    try:
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise InvalidDefinition(f"{path}{line}: not readable as YAML: {problem}") from None
    except InvalidDefinition as error:
        raise InvalidDefinition(f"{path}: {error.message}", hint=error.hint) from None


def write(documents: Iterable[Mapping[str, Any]]) -> str:
    """The text of `documents`, one map each. What is small stands on one line."""
    return "---\n".join("".join(_block_map(document, 0, top=True)) for document in documents)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text not in _TAKEN:
        return text
    return json.dumps(text, ensure_ascii=False)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_flow(item) for item in value)}]"
    return _scalar(value)


def _block_map(value: Mapping[str, Any], indent: int, *, top: bool = False) -> list[str]:
    lines = []
    for key, item in value.items():
        head = f"{' ' * indent}{_scalar(key)}:"
        flow = _flow(item)
        is_list_of_maps = isinstance(item, (list, tuple)) and any(isinstance(entry, Mapping) for entry in item)
        if not is_list_of_maps and len(head) + len(flow) < _FLOW_WIDTH:
            lines.append(f"{head} {flow}\n")
        elif isinstance(item, Mapping):
            lines.append(f"{head}\n")
            lines.extend(_block_map(item, indent + 2))
        elif isinstance(item, (list, tuple)):
            lines.append(f"{head}\n")
            for entry in item:
                if isinstance(entry, Mapping) and not (not top and len(_flow(entry)) < _FLOW_WIDTH):
                    inner = _block_map(entry, indent + 4)
                    lines.append(f"{' ' * indent}  - {inner[0].lstrip()}")
                    lines.extend(inner[1:])
                else:
                    lines.append(f"{' ' * indent}  - {_flow(entry)}\n")
        else:
            lines.append(f"{head} {flow}\n")
    return lines
