"""A witness on the network: the HTTP interface of C2SP tlog-witness (https://c2sp.org/tlog-witness).

    POST /add-checkpoint             a checkpoint and a proof -> a cosignature
    GET  /<origin hash>/checkpoint   the last checkpoint that was cosigned, for monitors

Anybody may ask: only what a log that is known has signed leads to anything. So every connection has an end, every body a length, and there is room for so many
at a time. TLS, and limits for each address, belong to a web server in front of it.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from tutela.errors import said_by_system
from tutela.language import Text
from tutela.ledger.fork import TwoHistoriesError
from tutela.ledger.refused import ConflictError, LedgerError, MissingError
from tutela.ledger.store.seen import Seen
from tutela.ledger.witness import MAX_REQUEST_BYTES, SIZE_TYPE, STATUSES, parse_request

MAX_CONNECTIONS = 64
CONNECTION_S = 60.0
"""A connection's whole life, however many requests it carries."""
SILENCE_S = 10.0


class WitnessServer(ThreadingHTTPServer):
    """Serves one witness; `told` hears a line about each checkpoint that was handed in."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], seen: Seen, told: Callable[[Text], None], connection_s: float = CONNECTION_S) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.seen, self.told = seen, told
        self._connection_s = connection_s
        self._lock = Lock()
        self._open: dict[socket.socket, float] = {}
        """Connections, and when each must end."""
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Binds, without asking a name server for its own name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def verify_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> bool:  # noqa: ARG002 - as socketserver calls it
        """Whether there is room for one more."""
        assert isinstance(request, socket.socket)
        with self._lock:
            room = len(self._open) < MAX_CONNECTIONS
            if room:
                self._open[request] = time.monotonic() + self._connection_s
        return room

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Closes a connection that is over, or that there was no room for."""
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Ends, twice a second, the connections that have lived long enough."""
        now = time.monotonic()
        with self._lock:
            for request, end in self._open.items():
                if end < now:
                    _hang_up(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """What went wrong with one connection ends that one alone; most often the client has gone."""


def _hang_up(request: socket.socket) -> None:
    # It may have gone by itself.
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "tutela", ""
    timeout = SILENCE_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        found = re.fullmatch(r"/([0-9a-f]{64})/checkpoint", self.path)
        try:
            if not found:
                self._answer(HTTPStatus.METHOD_NOT_ALLOWED if self.path == "/add-checkpoint" else HTTPStatus.NOT_FOUND)
                return
            content = self.server.seen.published(found[1])
        except MissingError:
            self._answer(HTTPStatus.NOT_FOUND, b"never cosigned\n")
        except (LedgerError, OSError):
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            self._answer(HTTPStatus.OK, content, "text/plain; charset=utf-8")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        # What is not read must not be taken for the next request.
        if not re.fullmatch(r"[0-9]{1,9}", length) or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._answer(HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > MAX_REQUEST_BYTES:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                self.close_connection = True
            elif self.path == "/add-checkpoint":
                self._add(body)
            else:
                self._answer(HTTPStatus.NOT_FOUND)

    def _add(self, body: bytes) -> None:
        about = "-"
        try:
            request = parse_request(body)
            about = f"{request.head.checkpoint.origin} {request.old}..{request.head.checkpoint.size}"
            signature = self.server.seen.add(request)
        except ConflictError as conflict:
            self._tell(about, 409, conflict.message)
            self._answer(HTTPStatus.CONFLICT, f"{conflict.size}\n".encode(), SIZE_TYPE)
        except (LedgerError, OSError) as problem:
            status = next((status for kind, status in STATUSES.items() if isinstance(problem, kind)), 500)
            message = problem.message if isinstance(problem, LedgerError) else said_by_system(problem)
            self._tell(about, status, message)
            if isinstance(problem, TwoHistoriesError):
                proof = self.server.seen.proof_of(problem.fork)
                self._say(Text(f"证据：{proof}", f"the proof is kept: {proof}"))
            # What is wrong with this witness itself is for its own log.
            self._answer(HTTPStatus(status), b"" if status == 500 else f"{message.en}\n".encode())
        else:
            self._tell(about, 200, Text("已见证", "cosigned"))
            self._answer(HTTPStatus.OK, signature.line.encode(), "text/plain; charset=utf-8")

    def _tell(self, about: str, status: int, message: Text) -> None:
        peer = self.client_address[0]
        self._say(Text(f"{peer} {about} {status} {message.zh}", f"{peer} {about} {status} {message.en}"))

    def _say(self, line: Text) -> None:
        # Where nobody hears it any more, or the disk for it is full, whoever asks gets the answer all the same.
        with suppress(OSError):
            self.server.told(line)

    def _answer(self, status: HTTPStatus, content: bytes = b"", kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the standard library
        """Nothing: what matters is told by `_tell`."""
