"""A bundle: everything one look at one host brought back.

The canonical bytes of a bundle are the probe's own frames behind one header line, so what was recorded is what was seen.

    tutela-bundle 1 {"collected_at": "...", "probe": "...", "subject": "...", ...}\\n
    <status> <rc> <name bytes> <content bytes>\\n<name>\\n<content>\\n        one frame a source
    end\\n

Lengths come first, so no content can forge a frame.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from tutela.errors import BundleError
from tutela.language import Text
from tutela.record import record

MAX_BUNDLE_BYTES = 64 << 20
"""No honest host needs more; a larger one is refused before it is read."""
MAX_SOURCES = 20_000
MAX_NAME_BYTES = 4096

MAGIC = b"tutela-bundle 1 "
_FRAME = re.compile(rb"(ok|absent|denied|timeout|failed|truncated|skipped) (\d{1,3}) (\d{1,5}) (\d{1,9})\n")
_END = b"end\n"


class Status(StrEnum):
    """How a look at one source ended."""

    OK = "ok"
    ABSENT = "absent"
    """No such file or command: established, not unknown."""
    DENIED = "denied"
    TIMEOUT = "timeout"
    FAILED = "failed"
    TRUNCATED = "truncated"
    """The budget of the walk or the size limit was reached."""
    SKIPPED = "skipped"
    """Left out because the caller asked for it (`--quick`)."""
    MISSING = "missing"
    """The bundle does not hold this source at all."""


class Vantage(StrEnum):
    """From where one looked."""

    HOST = "host"
    CENTRE = "centre"
    RECEIVER = "receiver"


@record
class Evidence:
    """One source, exactly as it came back.

    `name` is a path, or a command line as it was run.
    """

    name: str
    status: Status
    content: bytes = b""
    rc: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of status and content: the same digest means the same sight."""
        return digest_of(f"{self.status} {self.rc}\n".encode() + self.content)


def digest_of(content: bytes) -> str:
    """`sha256:` and the hex digest of `content`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@record
class Bundle:
    """The evidence of one look at one subject."""

    subject: str
    """How the subject is called by whoever asked: a host name, an inventory name."""
    collected_at: datetime
    """Aware, UTC, from the clock of the collecting side."""
    probe: str
    """Version of the probe."""
    vantage: Vantage
    frames: bytes
    """The probe's frames, unchanged."""
    sources: Mapping[str, Evidence] = field(repr=False)
    meta: Mapping[str, str] = field(default_factory=dict)
    """How it was reached: transport, address, who asked; short words."""

    def __getitem__(self, name: str) -> Evidence:
        found = self.sources.get(name)
        return found if found is not None else Evidence(name, Status.MISSING)

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        header = {
            "collected_at": self.collected_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "meta": dict(self.meta),
            "probe": self.probe,
            "subject": self.subject,
            "vantage": self.vantage.value,
        }
        line = json.dumps(header, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return MAGIC + line.encode() + b"\n" + self.frames

    @property
    def digest(self) -> str:
        """Digest of the canonical bytes."""
        return digest_of(self.to_bytes())

    @classmethod
    def from_bytes(cls, raw: bytes) -> Bundle:
        """Read canonical bytes.

        Raises BundleError for anything that is not whole and ours.
        """
        if len(raw) > MAX_BUNDLE_BYTES:
            raise _error("证据包过大", "the bundle is too large")
        if not raw.startswith(MAGIC):
            raise _error("不是 tutela 证据包（开头不符）", "not a tutela bundle: the first bytes are not ours")
        end = raw.find(b"\n")
        try:
            header = json.loads(raw[len(MAGIC) : end])
            made = _header(header)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            raise _error(f"证据包头损坏：{problem}", f"the bundle's header is damaged: {problem}") from None
        frames = raw[end + 1 :]
        bundle = cls(frames=frames, sources=read_frames(frames), **made)
        if bundle.to_bytes() != raw:
            raise _error("证据包头不是规范写法", "the bundle's header is not in canonical form")
        return bundle


def _header(header: Any) -> dict[str, Any]:
    if set(header) != {"collected_at", "meta", "probe", "subject", "vantage"}:
        raise ValueError("unknown or missing keys")
    texts = [header["probe"], header["subject"], *header["meta"], *header["meta"].values()]
    if not all(isinstance(word, str) for word in texts):
        raise TypeError("not text")
    at = datetime.strptime(header["collected_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return {
        "collected_at": at,
        "meta": header["meta"],
        "probe": header["probe"],
        "subject": header["subject"],
        "vantage": Vantage(header["vantage"]),
    }


def read_frames(frames: bytes) -> dict[str, Evidence]:
    """Sources by name.

    Raises BundleError when the stream is cut, has something behind its end, or names a source twice.
    """
    return {evidence.name: evidence for evidence in _each_frame(frames)}


def _each_frame(frames: bytes) -> Iterator[Evidence]:
    at = 0
    seen: set[str] = set()
    while (head := _FRAME.match(frames, at)) is not None:
        status, rc, name_bytes, content_bytes = head.groups()
        name_at = head.end()
        content_at = name_at + int(name_bytes) + 1
        at = content_at + int(content_bytes) + 1
        if int(name_bytes) > MAX_NAME_BYTES or len(seen) >= MAX_SOURCES:
            raise _error("来源过多或名称过长", "too many sources, or a name too long")
        if at > len(frames) or frames[content_at - 1] != 0x0A or frames[at - 1] != 0x0A:
            raise _error(f"探针输出在第 {name_at} 字节处不完整", f"the probe's output is cut or damaged at byte {name_at}")
        name = frames[name_at : content_at - 1].decode("utf-8", "backslashreplace")
        if name in seen:
            raise _error(f"来源重复：{name!r}", f"a source occurs twice: {name!r}")
        seen.add(name)
        yield Evidence(name, Status(status.decode()), frames[content_at : at - 1], int(rc))
    if not frames.startswith(_END, at):
        raise _error(f"探针输出在第 {at} 字节处中断，没有结束标记", f"the probe's output stops at byte {at} without its end mark")
    if at + len(_END) != len(frames):
        raise _error("结束标记之后还有内容", "something follows the end mark")


def write_frames(sources: Iterable[Evidence]) -> bytes:
    """Frames as the probe writes them; for scenes and constructed bundles."""
    parts: list[bytes] = []
    for source in sources:
        name = source.name.encode()
        parts.append(b"%s %d %d %d\n%s\n%s\n" % (source.status.encode(), source.rc, len(name), len(source.content), name, source.content))
    parts.append(_END)
    return b"".join(parts)


def _error(zh: str, en: str) -> BundleError:
    return BundleError(
        Text(
            f"{zh}。没有采用其中任何内容；请重新采集（tutela collect）。",
            f"{en}. Nothing of it was used; collect again (tutela collect).",
        )
    )
