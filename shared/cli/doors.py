"""HTTP to our own doors and to the control side of our own sandboxes: patient, quiet about what was sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, stop_when_event_set, wait_exponential
from tenacity.nap import sleep_using_event

from shared.cli.terminal import Misused, NotDone
from shared.lines import is_protected

_NOT_NOW = frozenset({429, 500, 502, 503, 504})


class Unreachable(NotDone):
    """A door did not answer, or said that it cannot now; asking again may help."""


class Answered(NotDone):
    """A door answered with a status that asking again will not change."""

    def __init__(self, door: str, status: int, codes: tuple[str, ...] = ()) -> None:
        super().__init__(f"{door} answered {status}{' (' + ', '.join(codes) + ')' if codes else ''}.")
        self.status = status
        self.codes = codes


class Door:
    """One HTTP address that is asked many times.

    `name` is what a person reads when it does not answer. `patience_seconds` bounds how long a call is repeated while the door is
    shut; everything asked through here is safe to repeat. `ca_file` replaces the usual certificate authorities. Raises Unreachable or Answered.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        token: str | None = None,
        ca_file: str | None = None,
        timeout_seconds: float = 15.0,
        patience_seconds: float = 60.0,
        on_wait: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        if not is_protected(base_url):
            raise Misused(f"{name}'s address is a plain line that leaves this machine: https:// is wanted.")
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds
        self._on_wait = on_wait
        self._stop = stop or threading.Event()
        self._session = requests.Session()
        if ca_file:
            self._session.verify = ca_file
        self._session.trust_env = False  # no proxy between us and our own stack, and no look-up per call
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def get_json(self, path: str, **params: str | int) -> Any:
        return self._json(self._ask("GET", path, params=params))

    def post_json(self, path: str, body: object) -> Any:
        return self._json(self._ask("POST", path, body=body))

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def get_bytes(self, path: str) -> bytes:
        return self._ask("GET", path).content

    def _ask(
        self, method: str, path: str, *, params: dict[str, str | int] | None = None, body: object = None
    ) -> requests.Response:
        def told(state: RetryCallState) -> None:
            if self._on_wait and state.attempt_number == 1:
                self._on_wait(f"{self.name} does not answer; asking again.")

        retrying = Retrying(
            retry=retry_if_exception_type(Unreachable),
            wait=wait_exponential(multiplier=0.2, max=3.0),
            stop=stop_after_delay(self._patience_seconds) | stop_when_event_set(self._stop),
            sleep=sleep_using_event(self._stop),
            before_sleep=told,
            reraise=True,
        )
        response: requests.Response = retrying(self._once, method, path, params, body)
        return response

    def _once(self, method: str, path: str, params: dict[str, str | int] | None, body: object) -> requests.Response:
        try:
            response = self._session.request(
                method, self._base_url + path, params=params, json=body, timeout=self._timeout_seconds, allow_redirects=False
            )
        except requests.RequestException as error:
            raise Unreachable(f"{self.name} does not answer ({type(error).__name__}).") from None
        if response.status_code in _NOT_NOW and not self._comes_too_late(response):
            raise Unreachable(f"{self.name} answered {response.status_code}.")
        if response.status_code >= 300:
            raise Answered(self.name, response.status_code, _codes(response))
        return response

    def _comes_too_late(self, response: requests.Response) -> bool:
        """Whether the door says itself that it will answer otherwise only after more than we would wait: a limit of the hour, say."""
        wait = response.headers.get("Retry-After", "")
        return response.status_code == HTTPStatus.TOO_MANY_REQUESTS and wait.isdecimal() and int(wait) > self._patience_seconds

    def _json(self, response: requests.Response) -> Any:
        try:
            return response.json()
        except requests.JSONDecodeError:
            raise Answered(self.name, response.status_code, ("not_json",)) from None


def _codes(response: requests.Response) -> tuple[str, ...]:
    """The stable codes of a problem answer; nothing else of a body is ever shown."""
    try:
        reasons = response.json().get("reasons", [])
        return tuple(str(reason["code"]) for reason in reasons)[:5]
    except (requests.JSONDecodeError, AttributeError, TypeError, KeyError):
        return ()
