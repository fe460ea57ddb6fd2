"""What calls are made of: moments, bodies without what is not given, names in paths."""

from __future__ import annotations

import datetime
from typing import Any, Union
from urllib.parse import quote

Moment = Union[str, datetime.datetime, datetime.date]
"""RFC 3339 text, a date, or a datetime; one without a time zone is taken as UTC."""


def moment_text(moment: Moment | None) -> str | None:
    return moment if moment is None or isinstance(moment, str) else moment.isoformat()


def given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def segment(name: str) -> str:
    return quote(name, safe="")
