"""HTTP to a server: one pool of connections, retries only where they are safe, problems as typed errors."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from shipway.errors import BrokenAnswer, InvalidInput, ServerTimeout, ServerUnreachable, refusal

ARROW_STREAM = "application/vnd.apache.arrow.stream"
DEFAULT_SERVER = "http://127.0.0.1:8700"

_CONNECT_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_LATER = (429, 503)


class Transport:
    """What the client sends requests with. `safe` says that doing a request twice does no more than doing it once."""

    def __init__(
        self, server: str | None, token: str | None, timeout: float, long_timeout: float | None, retries: int
    ) -> None:
        self.server = (server or os.environ.get("SHIPWAY_SERVER") or DEFAULT_SERVER).rstrip("/")
        token = token or os.environ.get("SHIPWAY_TOKEN") or None
        try:
            url = httpx.URL(self.server)
        except httpx.InvalidURL:
            url = httpx.URL("")
        if url.scheme not in ("http", "https") or not url.host:
            hint = f"write it with its scheme, such as {DEFAULT_SERVER}"
            raise InvalidInput(f"server `{self.server}` is not an address", hint=hint)
        self.retries = retries
        self._ordinary = httpx.Timeout(timeout, connect=_CONNECT_SECONDS)
        self._long = httpx.Timeout(long_timeout, connect=_CONNECT_SECONDS)
        self._http = httpx.Client(
            base_url=f"{self.server}/api/v1/",
            headers={"authorization": f"Bearer {token}"} if token else {},
            # A proxy of the environment can not reach this machine's own loopback address.
            trust_env=not _is_loopback(url.host),
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        return self.json("GET", path, safe=True)

    def json(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        safe: bool,
        long: bool = False,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """Sends JSON, or nothing, and returns the JSON of the answer."""
        content = None if body is None else json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
        headers = {} if body is None else {"content-type": "application/json"}
        return self.bytes(method, path, content, headers=headers, safe=safe, long=long, params=params)

    def bytes(
        self,
        method: str,
        path: str,
        content: Any,
        *,
        headers: Mapping[str, str],
        safe: bool,
        long: bool = False,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """Sends bytes as they are and returns the JSON of the answer. What is long is a function that gives its pieces,
        called again for another try."""
        request = {"content": content, "headers": headers, "params": params}
        with self._answered(method, path, request, safe=safe, long=long) as response:
            with self._telling(None):
                text = response.read()
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise self._stranger() from None

    @contextmanager
    def arrow(self, path: str, body: Any) -> Iterator[httpx.Response]:
        """Posts JSON; inside, the answer streams in. Nothing that is asked for this way changes anything."""
        headers = {"content-type": "application/json", "accept": ARROW_STREAM}
        request = {"content": json.dumps(body, allow_nan=False).encode(), "headers": headers}
        with self._answered("POST", path, request, safe=True, long=True) as response:
            if not response.headers.get("content-type", "").startswith(ARROW_STREAM):
                raise self._stranger()
            with self._telling(None):
                yield response

    def _stranger(self) -> BrokenAnswer:
        hint = "name the address of a Shipway server with `server=` or SHIPWAY_SERVER"
        return BrokenAnswer(f"{self.server} does not answer like a Shipway server", hint=hint)

    @contextmanager
    def _answered(
        self, method: str, path: str, request: Mapping[str, Any], *, safe: bool, long: bool
    ) -> Iterator[httpx.Response]:
        """The response, once it is a success. Its body is not read yet, and it is closed in the end."""
        response = self._send(method, path, request, safe=safe, long=long)
        try:
            yield response
        finally:
            response.close()

    def _send(self, method: str, path: str, request: Mapping[str, Any], *, safe: bool, long: bool) -> httpx.Response:
        timeout = self._long if long else self._ordinary
        for attempt in range(self.retries + 1):
            is_last = attempt == self.retries
            try:
                with self._telling(timeout.read):
                    content = request["content"]() if callable(request["content"]) else request["content"]
                    built = self._http.build_request(method, path, timeout=timeout, **{**request, "content": content})
                    response = self._http.send(built, stream=True)
                    if response.is_success:
                        return response
                    with _closing(response):
                        error = refusal(response.status_code, _problem(response.read()))
                if is_last or not safe or response.status_code not in _LATER:
                    raise error
                _pause(attempt, response.headers.get("retry-after"))
            except ServerUnreachable as unreachable:
                # Where no connection came about, nothing was sent: trying again is safe whatever was asked.
                never_sent = isinstance(unreachable.__cause__, (httpx.ConnectError, httpx.ConnectTimeout))
                if is_last or not (safe or never_sent):
                    raise
                _pause(attempt, None)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def _telling(self, seconds: float | None) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            hint = "start one with `shipway serve`, or name another with `server=` or SHIPWAY_SERVER"
            raise ServerUnreachable(f"no answer from {self.server}: {_innermost(error)}", hint=hint) from error
        except httpx.TimeoutException as error:
            within = f" within {seconds:g} s" if seconds else " in time"
            hint = "give the client a longer `timeout=`; what was asked for may still be done"
            raise ServerTimeout(f"{self.server} did not answer{within}", hint=hint) from error
        except httpx.TransportError as error:
            message = f"the connection to {self.server} broke: {_innermost(error)}"
            raise ServerUnreachable(message, hint="the server's log says why") from error
        except httpx.HTTPError as error:
            raise BrokenAnswer(f"the answer of {self.server} can not be read: {error}") from error


@contextmanager
def _closing(response: httpx.Response) -> Iterator[None]:
    try:
        yield
    finally:
        response.close()


def _problem(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _pause(attempt: int, retry_after: str | None) -> None:
    """Longer each time and never the same, so that many clients do not come back together."""
    seconds = _FIRST_PAUSE_SECONDS * 4**attempt * random.uniform(0.75, 1.25)
    if retry_after is not None and retry_after.isdecimal():
        seconds = max(seconds, float(retry_after))
    time.sleep(min(seconds, _LONGEST_PAUSE_SECONDS))


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return str(error) or type(error).__name__


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
