"""Calls to outside parties over HTTP: few words, no surprises, and nothing about a person in an error or a log line.

What a caller gets is one of these:

    Answer          one of the statuses it said it expects
    TryLater        nothing happened at the other side: not reached, too busy; or the call was one without an effect
    Unanswered      the request may have taken effect: look before asking again
    Parked          an answer nobody foresaw (a redirect, a status that was not expected)
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
import requests
import tenacity
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from shared.contracts.errors import Parked, TryLater, Unanswered

log = logging.getLogger(__name__)

# urllib3 writes paths and queries into its debug and warning lines; ours name the host alone.
logging.getLogger("urllib3").setLevel(logging.ERROR)

BUSY_OR_FAILING = frozenset({429, 500, 502, 503, 504})
"""Statuses after which the same request may be tried again, if it is one that is safe to repeat."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST_RETRY_AFTER_SECONDS = 3600.0
_TARGET = re.compile(r"(?:/[\x21-\x7e]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: an expected `status`, the whole `body`, and `headers` whose names ignore case."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        """The body as JSON. Raises Unanswered("answer_unreadable"), for what was asked may well have been done."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise Unanswered("answer_unreadable") from None

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises Unanswered("answer_unreadable") for anything else."""
        value = self.json()
        if not isinstance(value, dict):
            raise Unanswered("answer_unreadable")
        return value


class _FailedError(Exception):
    """One try that brought no expected answer. `reached` says whether the request may have arrived and been acted upon."""

    def __init__(self, code: str, *, reached: bool, retry_after_seconds: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.reached = reached
        self.retry_after_seconds = retry_after_seconds


class HttpClient:
    """One outside party's HTTP door, with a pool of connections that are kept open. Safe to share between greenthreads.

    `base_url` is what every path is appended to; `timeout_seconds` is (to connect, to wait for the next bytes); `pool_size`
    bounds the calls in flight, further ones wait; `tries` is the most one call sends, and only of what is safe to repeat;
    `ca_file` replaces the usual certificate authorities. Proxies and credentials are never taken from the environment,
    redirects are never followed, and certificates are always checked.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_seconds: tuple[float, float] = (5.0, 20.0),
        pool_size: int = 10,
        tries: int = 3,
        ca_file: str | None = None,
        longest_pause_seconds: float = 1.0,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ValueError("a base URL is http(s)://host[:port][/path] without credentials, query or fragment")
        self.base_url = base_url.rstrip("/")
        self.host = parts.hostname
        self._timeout = timeout_seconds
        self._verify: bool | str = ca_file or True
        # The mounted adapter alone: a session's cookies, proxies, hooks and redirects are what makes `requests` dear, and
        # none of them is wanted here.
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=pool_size, max_retries=0, pool_block=True)
        self._tries = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(tries),
            wait=tenacity.wait_random_exponential(multiplier=longest_pause_seconds / 4, max=longest_pause_seconds),
            retry=tenacity.retry_if_exception(_soon_again),
            reraise=True,
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        json: object = None,
        form: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        expected: Collection[int] = (200,),
        repeatable: bool,
        harmless: bool | None = None,
    ) -> Answer:
        """Send one request and give back the answer if its status is among `expected`.

        At most one of `json`, `form` and `body` is the content. `repeatable` says that sending it twice does no more than
        sending it once: only then are lost connections, time-outs and 429, 500, 502, 503, 504 tried again, after a short random
        pause and never against a `Retry-After`. `harmless` says that it changes nothing at the other side (by default: what
        GET and HEAD say of themselves), so that its loss leaves no doubt. Raises TryLater, Unanswered or Parked, see above.
        """
        request = self._prepared(method, path, query=query, json=json, form=form, body=body, headers=headers)
        may_have_happened = False

        def once() -> Answer:
            nonlocal may_have_happened
            try:
                return self._send(request, expected)
            except _FailedError as failure:
                may_have_happened = may_have_happened or failure.reached
                log.info("no answer from %s: %s", self.host, failure.code)
                raise

        try:
            return self._tries(once) if repeatable else once()
        except _FailedError as failure:
            code, after_seconds = failure.code, failure.retry_after_seconds
        if harmless if harmless is not None else method in _SAFE_METHODS:
            raise TryLater(code, after_seconds=after_seconds)
        if may_have_happened:
            raise Unanswered(code, after_seconds=after_seconds)
        raise TryLater(code, after_seconds=after_seconds)

    def close(self) -> None:
        """Close the connections that are idle. Safe to repeat."""
        self._adapter.close()

    def _prepared(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        json: object,
        form: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> requests.PreparedRequest:
        # Filled in by hand: `prepare()` parses and quotes the URL anew each time, asks for cookies and for netrc. What it
        # would have guarded against is checked here instead.
        target = f"{path}?{urlencode(query)}" if query else path
        if not _TARGET.fullmatch(target) or "/../" in f"{path}/" or "/./" in f"{path}/":
            raise ValueError("not a path that may be asked for")
        fields = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if json is not None:
            body, fields["Content-Type"] = orjson.dumps(json), "application/json"
        elif form is not None:
            body, fields["Content-Type"] = urlencode(form).encode("ascii"), "application/x-www-form-urlencoded"
        if body is not None or method not in _SAFE_METHODS:
            fields["Content-Length"] = str(len(body or b""))
        if headers:
            fields.update(headers)
        request = requests.PreparedRequest()
        request.method, request.url, request.body = method, self.base_url + target, body
        request.headers = CaseInsensitiveDict(fields)
        return request

    def _send(self, request: requests.PreparedRequest, expected: Collection[int]) -> Answer:
        try:
            response = self._adapter.send(request, timeout=self._timeout, verify=self._verify)
            answer = Answer(response.status_code, response.content, response.headers)
        except requests.ConnectTimeout:
            raise _FailedError("party_unreachable", reached=False) from None
        except requests.Timeout:
            raise _FailedError("party_timed_out", reached=True) from None
        except requests.exceptions.SSLError as error:
            # A certificate is refused before anything is sent; other TLS faults can come at any moment.
            untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
            raise _FailedError("party_untrusted" if untrusted else "connection_lost", reached=not untrusted) from None
        except requests.ConnectionError as error:
            refused = _never_connected(error)
            raise _FailedError("party_unreachable" if refused else "connection_lost", reached=not refused) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
            raise _FailedError("connection_lost", reached=True) from None
        if answer.status in expected:
            return answer
        if answer.status == 429:
            raise _FailedError("party_busy", reached=False, retry_after_seconds=retry_after_seconds(answer.headers))
        if answer.status in BUSY_OR_FAILING:
            # A gateway's 502, 503 or 504 does not tell whether the program behind it went on with its work.
            raise _FailedError("party_failing", reached=True, retry_after_seconds=retry_after_seconds(answer.headers))
        raise Parked(f"unexpected_status_{answer.status}")


def _soon_again(error: BaseException) -> bool:
    # Where the party names its own time, or its certificate is wrong, a pause of less than a second is not the answer.
    return isinstance(error, _FailedError) and error.retry_after_seconds is None and error.code != "party_untrusted"


def _never_connected(error: requests.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, urllib3.exceptions.MaxRetryError) else cause
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def retry_after_seconds(headers: Mapping[str, str], clock: Callable[[], float] = time.time) -> float | None:
    """What `Retry-After` asks for (RFC 9110, 10.2.3: seconds or a date), between 0 and an hour; None without a readable one."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    if value.strip().isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - clock()
        except ValueError:
            return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)
