"""The HTTP side of a door: tokens, limits, JSON in and out, and one table from our errors to statuses.

Nothing about a request is logged but the door's name and the status: an address, a user agent, a path may be personal or secret.
"""

from __future__ import annotations

import hmac
import logging
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import eventlet
import orjson
from eventlet import wsgi
from eventlet.semaphore import Semaphore
from nameko.extensions import Entrypoint
from nameko.web.server import HttpOnlyProtocol, WebServer
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Rule
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response

from shared import metrics
from shared.contracts.errors import Fault, Parked, Refused, TryLater
from shared.contracts.storefront.grammars import media_type
from shared.workers import run_worker

_log = logging.getLogger("brownpaper.http")

F = TypeVar("F", bound=Callable[..., Any])
MAX_BODY_BYTES = 512 * 1024
REQUEST_TIMEOUT_SECONDS = 60
BODY_TIMEOUT_SECONDS = 20
MOST_CONNECTIONS = 400


class StatusError(Refused):
    """A refusal with its own HTTP status."""

    def __init__(self, status: int, code: str, path: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__([Fault(code, path)])
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a door's method gives back: a JSON value, or bytes with a Content-Type."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What a door's method gets: the path's parts, the query, and the body (at most `MAX_BODY_BYTES`).

    At a door of staff `bearer` is the token that was shown, and `is_machine` whether it is the one of the door's setting.
    """

    values: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = field(repr=False)
    content_type: str
    bearer: str = field(default="", repr=False)
    is_machine: bool = False

    def json(self) -> Any:
        """The body as JSON. Raises a refusal with 415 or 400."""
        if not is_json(self.content_type):
            raise StatusError(415, "content_type_unsupported")
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise StatusError(400, "malformed_json") from None


def is_json(content_type: str) -> bool:
    """Whether the header names JSON in UTF-8, CloudEvents included."""
    return media_type(content_type) in ("application/json", "application/cloudevents+json")


def problem(status: int, code: str, faults: tuple[Fault, ...] = (), headers: Mapping[str, str] | None = None) -> Response:
    """RFC 9457's problem answer: a status, a stable code, every fault; never a value."""
    reasons = [fault.as_dict() for fault in faults] or [{"code": code, "path": ""}]
    body = orjson.dumps({"title": code, "status": status, "reasons": reasons})
    return Response(body, status=status, content_type="application/problem+json", headers=dict(headers or {}))


def problem_of(error: Exception) -> Response:
    """The one table from errors to answers."""
    match error:
        case StatusError():
            return problem(error.status, error.code, error.faults, error.headers)
        case Refused():
            return problem(422, error.code, error.faults)
        case TryLater():
            return problem(503, error.code, headers={"Retry-After": str(int(error.after_seconds or 2))})
        case Parked():
            return problem(500, error.code)
        case HTTPException():
            allow = (
                {"Allow": ", ".join(error.valid_methods)} if isinstance(error, MethodNotAllowed) and error.valid_methods else {}
            )
            return problem(error.code or 500, (error.name or "error").lower().replace(" ", "_"), headers=allow)
        case _:
            return problem(500, "unexpected")


class HttpDoor(WebServer):
    """Nameko's server, silent, with problem answers, and without the delays of small writes."""

    _starting: bool

    def start(self) -> None:
        if not self._starting:
            self._starting = True
            # Nameko's backlog of 50 lets a burst of callers hang in the kernel, connected and never heard.
            self._sock = eventlet.listen(tuple(self.bind_addr), backlog=MOST_CONNECTIONS)
            self._sock.settimeout(None)
            self._serv = self.get_wsgi_server(self._sock, self.get_wsgi_app())
            self._gt = self.container.spawn_managed_thread(self.run, "http_door")

    def run(self) -> None:
        places = Semaphore(MOST_CONNECTIONS)
        while self._is_accepting:
            places.acquire()
            try:
                sock, address = self._sock.accept()
            except OSError:
                places.release()
                eventlet.sleep(0.1)  # too many open files, or a client that hung up before we took its call
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(REQUEST_TIMEOUT_SECONDS)
            thread = self.container.spawn_managed_thread(partial(self.process_request, sock, address), "http")
            thread.link(lambda _thread: places.release())

    def process_request(self, sock: Any, address: Any) -> None:
        with suppress(OSError):  # the client is gone
            super().process_request(sock, address)

    def get_wsgi_server(self, sock: Any, wsgi_app: Any, protocol: Any = HttpOnlyProtocol, debug: bool = False) -> Any:
        return wsgi.Server(
            sock,
            sock.getsockname(),
            wsgi_app,
            protocol=protocol,
            debug=debug,
            log=logging.getLogger("eventlet.wsgi"),
            log_output=False,
            keepalive=True,
            socket_timeout=REQUEST_TIMEOUT_SECONDS,
        )

    def get_wsgi_app(self) -> Callable[..., Any]:
        routes = self.make_url_map()

        def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            try:
                provider, values = routes.bind_to_environ(environ).match()
                response = provider.answer(WerkzeugRequest(environ), values)
            except HTTPException as error:
                response = problem_of(error)
            return response(environ, start_response)

        return application


class Served(Entrypoint):
    """One route. `token` names the setting whose bearer token the caller must show.

    With `sessions` the method itself looks at the token shown (`shared.staffing.door`), and nothing that it answers may be kept.
    """

    server = HttpDoor()

    def __init__(self, method: str, path: str, *, token: str | None = None, in_flight: int = 256, sessions: bool = False) -> None:
        super().__init__()
        self._method, self._path, self._token, self._in_flight = method, path, token, in_flight
        self._sessions = sessions
        self._busy = 0

    def setup(self) -> None:
        self.server.register_provider(self)

    def stop(self) -> None:
        self.server.unregister_provider(self)
        super().stop()

    def get_url_rule(self) -> Rule:
        return Rule(self._path, methods=[self._method])

    def answer(self, request: WerkzeugRequest, values: Mapping[str, str]) -> Response:
        """Check, run the door's method as a Nameko worker, and turn what comes into an answer."""
        if self._busy >= self._in_flight:
            response = problem(429, "too_many_requests", headers={"Retry-After": "1"})
        else:
            self._busy += 1
            try:
                response = self._run(self._checked(request, values))
            except Exception as error:
                if not isinstance(error, Refused | TryLater):
                    _log.error("request_failed", extra={"door": self.method_name, "error": type(error).__name__})
                response = problem_of(error)
            finally:
                self._busy -= 1
        if self._sessions:
            response.headers["Cache-Control"] = "no-store"
        metrics.requests.labels(self.container.service_name, self.method_name, str(response.status_code)).inc()
        return response

    def _checked(self, request: WerkzeugRequest, values: Mapping[str, str]) -> Request:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        bearer = shown.strip() if scheme.lower() == "bearer" else ""
        is_machine = False
        if self._token is not None:
            wanted = str(getattr(self.container.config["settings"], self._token))
            is_machine = bool(bearer) and hmac.compare_digest(bearer.encode(), wanted.encode())
            if not is_machine and not self._sessions:
                raise StatusError(401, "token_wrong", headers={"WWW-Authenticate": "Bearer"})
        if any("\0" in word for word in (*values.values(), *request.args.values())):
            raise StatusError(404, "not_found")  # nothing of ours is called so, and PostgreSQL's text holds no U+0000
        if request.content_length is None and "Transfer-Encoding" in request.headers:
            raise StatusError(411, "length_required", headers={"Connection": "close"})
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise StatusError(413, "too_large", headers={"Connection": "close"})
        body = b""
        if self._method in ("POST", "PUT"):
            try:
                with eventlet.Timeout(BODY_TIMEOUT_SECONDS, TimeoutError):
                    body = request.stream.read(MAX_BODY_BYTES + 1)
            except TimeoutError:
                raise StatusError(408, "too_slow", headers={"Connection": "close"}) from None
        if len(body) > MAX_BODY_BYTES:
            raise StatusError(413, "too_large", headers={"Connection": "close"})
        content_type = request.headers.get("Content-Type", "")
        return Request(values, request.args, body, content_type, bearer if self._sessions else "", is_machine)

    def _run(self, request: Request) -> Response:
        answer: Answer = run_worker(self.container, self, request)
        headers = dict(answer.headers)
        if isinstance(answer.body, bytes):
            return Response(answer.body, status=answer.status, headers=headers)
        content_type = headers.pop("Content-Type", "application/json")
        return Response(orjson.dumps(answer.body, option=orjson.OPT_UTC_Z), answer.status, headers, content_type=content_type)


def serve(method: str, path: str, *, token: str | None = None, in_flight: int = 256, sessions: bool = False) -> Callable[[F], F]:
    """The method `(request) -> Answer` answers this route; `<name>` in the path goes to `request.values`."""
    decorator: Callable[[F], F] = Served.decorator(method, path, token=token, in_flight=in_flight, sessions=sessions)
    return decorator


__all__ = ["Answer", "HttpDoor", "Request", "StatusError", "problem_of", "serve"]
