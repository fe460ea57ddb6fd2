"""What can go wrong, as types: catch the kind you can handle, print the rest.

Every error prints the way the command line does: what is wrong, then what to do about it.

>>> import shipway
>>> try:
...     shipway.Entity("Origin", keys={"origin": "text"})
... except shipway.ShipwayError as error:
...     print(error)
error: entity name `Origin` is not a name
hint: use a lower-case letter, then at most 62 of a-z, 0-9 and _
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ShipwayError(Exception):
    """Anything that Shipway refuses or fails at.

    `message` says what is wrong, `hint` what can be done about it (or `None`). `code` is stable, such as
    `features.unknown_service`, and has a page in `docs/errors`; `status` is that of the HTTP answer. Both are `None`
    for what never reached a server.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        status: int | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.status = status
        self.errors: list[dict[str, Any]] = [dict(error) for error in errors]
        """Each thing that is wrong, where a server lists them: definitions with `path`, `line`, `message`, `hint`."""

    def __str__(self) -> str:
        text = f"error: {self.message}"
        return f"{text}\nhint: {self.hint}" if self.hint else text


class InvalidDefinition(ShipwayError, ValueError):
    """A definition or an operation that no server would take; found before one is asked."""


class InvalidInput(ShipwayError, ValueError):
    """Rows, a frame or an argument that cannot be sent."""


class MissingPackage(ShipwayError, ImportError):
    """pandas or polars is asked for and is not installed."""


class ServerUnreachable(ShipwayError, ConnectionError):
    """Nothing answers at the server's address, or the connection broke before there was an answer."""


class ServerTimeout(ShipwayError, TimeoutError):
    """The server took longer than the timeout of the client. What was asked for may still have been done."""


class BrokenAnswer(ShipwayError):
    """The answer broke off or is not one of a Shipway server; nothing of it was handed out."""


class Refused(ShipwayError):
    """The server answered no. The subclasses say which kind of no."""


class InvalidRequest(Refused, ValueError):
    """400: the request is wrong, and stays wrong."""


class Unauthenticated(Refused, PermissionError):
    """401: the server demands a token, or does not know this one."""


class Forbidden(Refused, PermissionError):
    """403: the caller may not do this."""


class NotFound(Refused, LookupError):
    """404: there is nothing of that name."""


class Conflict(Refused):
    """409: it contradicts what is there: a gate that is not met, a name that is taken, an answer that is not exact."""


class TooLarge(Refused, ValueError):
    """413: more than the server takes at once."""


class Exhausted(Refused):
    """429: too much at the same time; later it will work."""


class Unavailable(Refused):
    """503: not now: a view that is being built, events that are not visible yet, a server that is shutting down."""


class ServerFailed(Refused):
    """500: the server failed; its log says why."""


_BY_STATUS: dict[int, type[Refused]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    429: Exhausted,
    503: Unavailable,
}


def refusal(status: int, body: object) -> Refused:
    """The error for an answer with `status`; `body` is its problem+json, or whatever else came."""
    problem: Mapping[str, Any] = body if isinstance(body, Mapping) else {}

    def word(name: str) -> str | None:
        value = problem.get(name)
        return value if isinstance(value, str) and value else None

    listed = problem.get("errors")
    kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else Refused)
    return kind(
        word("detail") or word("title") or f"the server answered {status}",
        hint=word("hint"),
        code=word("code"),
        status=status,
        errors=[error for error in listed if isinstance(error, Mapping)] if isinstance(listed, list) else (),
    )
