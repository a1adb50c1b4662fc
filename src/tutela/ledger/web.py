"""A log on a web server, and witnesses that are asked over HTTP.

Neither is trusted: what a log serves is checked against its checkpoint, and a cosignature against the witness's key. What they can do is to be slow, long, or
lead elsewhere, so every answer has limits of size and time, and a redirection stays within HTTP and never leaves HTTPS.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
)
from urllib.request import (
    Request as HttpRequest,
)

from tutela import __version__
from tutela.errors import said_by_system
from tutela.language import Text, same
from tutela.ledger.log import Log
from tutela.ledger.note import MAX_NOTE_BYTES, Signature, VerifierKey, decimal, parse_signatures
from tutela.ledger.refused import (
    ConflictError,
    DamagedError,
    LedgerError,
    MalformedError,
    MissingError,
    MisuseError,
    RollbackError,
    UnreachableError,
    UnwitnessedError,
)
from tutela.ledger.signing import verify
from tutela.ledger.timestamp import MAX_REPLY_BYTES
from tutela.ledger.witness import SIZE_TYPE, Request
from tutela.record import record

SECONDS = 60.0
"""For one answer as a whole."""
_SILENCE_S = 10.0
"""For a server that says nothing in the middle of it."""
_TRIES = 3
"""A witness that is asked by others at the same time may know another size by then."""
_CHUNK = 1 << 16

T = TypeVar("T")


class Web:
    """A log's files below a URL."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        self.place = _prefix(url)
        self._seconds = seconds

    def read(self, path: str, limit: int) -> bytes:
        """See `Source`; raises UnreachableError too."""
        url = f"{self.place}/{path}"
        answer = _answer(HttpRequest(url, headers={"Accept-Encoding": "gzip, identity"}), limit, self._seconds)  # noqa: S310 - _prefix lets HTTP pass alone
        # Object stores answer 403 for what is not there, unless everybody may list them.
        if answer.status in (403, 404, 410):
            raise MissingError(Text(f"{url}：没有这个文件（HTTP {answer.status}）", f"{url}: there is no such file (HTTP {answer.status})"))
        if answer.status != 200:
            raise _unreachable(url, same(f"HTTP {answer.status}"))
        if len(answer.content) > limit:
            raise DamagedError(Text(f"{url}：超过 {limit} 字节", f"{url}: more than {limit} bytes"))
        return answer.content


def cosignature(url: str, key: VerifierKey, log: Log, old: int = 0, seconds: float = SECONDS) -> Signature:
    """The cosignature of the witness with `key` at `url` under the checkpoint of `log`, verified; `old` is the size it may have cosigned last.

    Raises UnwitnessedError (it refuses), RollbackError (it has cosigned more than the log has), UnreachableError, UnsignedError.
    """
    head = log.head
    for _ in range(_TRIES):
        try:
            answered = submit(url, Request(old, tuple(log.consistency(old)), head), seconds)
        except ConflictError as conflict:
            old = conflict.size
            if old > log.size:
                raise RollbackError(
                    Text(
                        f"{key.name} 已见证到 {old} 条，这里只有 {log.size} 条：别处刚写过，或者账本是从备份恢复的",
                        f"{key.name} has cosigned {old} entries, and there are {log.size} here: somebody has just added some, or the log was restored from a backup",
                    )
                ) from None
            continue
        for one in answered:
            if (one.name, one.key_id) == (key.name, key.key_id) and verify(key, head.note.text, one.signature).time:
                return one
        raise UnwitnessedError(Text(f"{url} 的回答里没有 {key.name} 的见证签名", f"{url} answers without a cosignature of {key.name}"))
    raise UnwitnessedError(Text(f"{url} 同时在见证别的检查点，请稍后再试", f"{url} is cosigning other checkpoints at the same time; try again later"))


def submit(url: str, request: Request, seconds: float = SECONDS) -> tuple[Signature, ...]:
    """One add-checkpoint call; what comes back is not verified yet. Raises ConflictError, UnwitnessedError, UnreachableError."""
    url = f"{_prefix(url)}/add-checkpoint"
    answer = _answer(HttpRequest(url, request.content, {"Content-Type": "text/plain; charset=utf-8"}, method="POST"), MAX_NOTE_BYTES, seconds)  # noqa: S310
    words = answer.content.decode("utf-8", "replace")
    try:
        if answer.status == 200:
            return parse_signatures(words)
        if answer.status == 409 and answer.kind == SIZE_TYPE:
            raise ConflictError(request.old, decimal(words.removesuffix("\n")))
    except MalformedError as problem:
        raise _unreachable(url, problem.message) from None
    said = "".join(char if char.isprintable() else " " for char in words[:200]).strip()
    raise UnwitnessedError(Text(f"{url} 拒绝见证：HTTP {answer.status} {said}", f"{url} refuses to cosign: HTTP {answer.status} {said}"))


def time_stamp(url: str, query: bytes, seconds: float = SECONDS) -> bytes:
    """What a time-stamping authority answers to a query (RFC 3161, 3.4); nothing of it is verified yet. Raises UnreachableError."""
    url = _prefix(url)
    answer = _answer(HttpRequest(url, query, {"Content-Type": "application/timestamp-query"}, method="POST"), MAX_REPLY_BYTES, seconds)  # noqa: S310
    if answer.status != 200 or answer.kind != "application/timestamp-reply" or len(answer.content) > MAX_REPLY_BYTES:
        raise _unreachable(url, Text(f"没有给出时间戳：HTTP {answer.status} {answer.kind}", f"no time-stamp came back: HTTP {answer.status} {answer.kind}"))
    return answer.content


@record
class _Answer:
    status: int
    kind: str
    """Content-Type without parameters."""
    content: bytes
    """At most one byte more than what was asked for."""


def _prefix(url: str) -> str:
    """The URL in ASCII, without the slash at its end; raises MisuseError unless it is one of HTTP, without a user, a query or a fragment."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and not (parts.username or parts.password or parts.query or parts.fragment):
            host = parts.hostname.encode("idna").decode()
            host = f"[{host}]" if ":" in host else host
            port = f":{parts.port}" if parts.port is not None else ""
            return f"{parts.scheme}://{host}{port}{quote(parts.path, safe='/%:@!$&()*+,;=~')}".rstrip("/")
    except ValueError:
        pass
    raise MisuseError(Text(f"网址应为 http:// 或 https:// 加主机和路径，而不是 {url!r}", f"a URL is http:// or https:// with a host and a path, not {url!r}"))


def _answer(request: HttpRequest, limit: int, seconds: float) -> _Answer:
    """What a server answers, whatever the status; raises UnreachableError."""
    try:
        return _within(seconds, lambda: _asked(request, limit, time.monotonic() + seconds))
    except LedgerError:
        raise
    except (OSError, HTTPException, ValueError) as problem:
        reason = problem.reason if isinstance(problem, URLError) else problem
        if isinstance(reason, TimeoutError):
            why = Text("没有及时答完", "did not answer in time")
        else:
            why = said_by_system(reason) if isinstance(reason, OSError) else same(str(reason) or type(reason).__name__)
        raise _unreachable(request.full_url, why) from None


def _asked(request: HttpRequest, limit: int, deadline: float) -> _Answer:
    request.add_header("User-Agent", f"tutela/{__version__}")
    try:
        opened = _opener().open(request, timeout=_SILENCE_S)
    except HTTPError as refusal:
        opened = refusal
    with opened:
        headers: HTTPMessage = opened.headers
        content = b""
        # Packed, it may be a little longer than it is.
        while len(content) <= limit + 1024 and (more := opened.read1(_CHUNK)):
            content += more
            if time.monotonic() > deadline:
                raise TimeoutError
        length = headers.get("Content-Length", "")
        if len(content) <= limit and length.isdecimal() and len(content) < int(length):
            raise HTTPException("the answer was cut off")
        packed = headers.get("Content-Encoding", "identity")
        if packed == "gzip":
            content = _unpacked(content, limit)
        elif packed != "identity":
            raise HTTPException(f"Content-Encoding: {packed}")
        return _Answer(opened.status, headers.get_content_type(), content[: limit + 1])


def _unpacked(content: bytes, limit: int) -> bytes:
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(content, limit + 1)
    except zlib.error as problem:
        raise HTTPException(f"gzip: {problem}") from None


class _Redirections(HTTPRedirectHandler):
    """Follows where a log is read, never where a checkpoint is handed in."""

    max_redirections = 5

    def redirect_request(self, req: HttpRequest, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str) -> HttpRequest | None:
        to = urlsplit(newurl).scheme
        if req.data is not None or to not in ("http", "https") or (req.type == "https" and to == "http"):
            fp.close()
            raise HTTPException(f"HTTP {code} redirects to {re.sub(r'[^!-~]', '?', newurl)[:200]}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    """One that knows HTTP alone: no files, no FTP, no passwords. Proxies are those of the environment, as with any client."""
    opener = OpenerDirector()
    for one in (ProxyHandler(), HTTPHandler(), HTTPSHandler(), HTTPErrorProcessor(), HTTPDefaultErrorHandler(), _Redirections()):
        opener.add_handler(one)
    return opener


def _within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises; TimeoutError if that takes longer: neither a name server nor one that sends a byte a second has another limit."""
    done: SimpleQueue[tuple[T | None, Exception | None]] = SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except Exception as problem:  # noqa: BLE001 - raised again where it is waited for
            done.put((None, problem))

    Thread(target=run, daemon=True).start()
    try:
        found, problem = done.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if problem is not None:
        raise problem
    return found  # type: ignore[return-value]


def _unreachable(url: str, why: Text) -> UnreachableError:
    return UnreachableError(Text(f"{url}：{why.zh}", f"{url}: {why.en}"))
