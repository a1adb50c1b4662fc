"""A bundle: everything one look at one host brought back.

The canonical bytes of a bundle are the probe's own frames behind one header line, so what was recorded is what was seen.

    tutela-bundle 1 {"collected_at": "...", "probe": "...", "subject": "...", ...}\\n
    <status> <rc> <name bytes> <content bytes>\\n<name>\\n<content>\\n        one frame a source
    end\\n

Lengths come first, so no content can forge a frame. Of two frames with one name the first holds, so nothing that comes later takes its place;
a later one that says something else is kept as `<name> (again)`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from tutela.errors import BundleError
from tutela.language import Text
from tutela.record import field, record

MAX_BUNDLE_BYTES = 64 << 20
"""No honest host needs more; a larger one is refused before it is read."""
MAX_SOURCES = 20_000
MAX_NAME_BYTES = 4096

MAGIC = b"tutela-bundle 1 "
_FRAME = re.compile(rb"(ok|absent|denied|timeout|failed|truncated|skipped) (\d{1,3}) (\d{1,5}) (\d{1,9})\n")
_END = b"end\n"
AGAIN = " (again)"
"""Ends the name of a source that was seen before and differs."""


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


class Evidence:
    """One source, exactly as it came back; never changed once made.

    `name` is a path, or a command line as it was run.
    """

    __slots__ = ("_digest", "content", "name", "rc", "status")

    def __init__(self, name: str, status: Status, content: bytes = b"", rc: int = 0) -> None:
        self.name, self.status, self.content, self.rc = name, status, content, rc
        self._digest = ""

    @property
    def digest(self) -> str:
        """SHA-256 of status and content: the same digest means the same sight."""
        # Hosts of a fleet share most of what is seen, so it is worked out when first asked for and then kept.
        if not self._digest:
            self._digest = digest_of(b"%s %d\n" % (self.status.value.encode(), self.rc), self.content)
        return self._digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evidence) and (self.name, self.status, self.rc, self.content) == (other.name, other.status, other.rc, other.content)

    def __hash__(self) -> int:
        return hash((self.name, self.content))

    def __repr__(self) -> str:
        return f"Evidence(name={self.name!r}, status={self.status!r}, content={self.content!r}, rc={self.rc!r})"


def digest_of(*parts: bytes) -> str:
    """`sha256:` and the hex digest of the parts, one behind the other."""
    made = hashlib.sha256()
    for part in parts:
        made.update(part)
    return "sha256:" + made.hexdigest()


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

    @property
    def head(self) -> bytes:
        """The first line of the canonical bytes."""
        header = {
            "collected_at": self.collected_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "meta": dict(self.meta),
            "probe": self.probe,
            "subject": self.subject,
            "vantage": self.vantage.value,
        }
        line = json.dumps(header, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return MAGIC + line.encode() + b"\n"

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return self.head + self.frames

    @property
    def digest(self) -> str:
        """Digest of the canonical bytes."""
        return digest_of(self.head, self.frames)

    @classmethod
    def from_bytes(cls, raw: bytes, seen: Frames | None = None) -> Bundle:
        """Read canonical bytes; `seen` only makes reading many bundles quicker.

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
        bundle = cls(frames=frames, sources=read_frames(frames, seen), **made)
        if bundle.head != raw[: end + 1]:
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


class Frames:
    """Frames of earlier bundles, for reading many: most hosts of a fleet send most frames alike, in the same order.

    A frame says how long it is, so where the same bytes stand again the same frame stands again, and need not be read.
    """

    def __init__(self, size: int = 16 << 20) -> None:
        self.size = size
        """Bytes kept at most; beyond that everything is forgotten."""
        self.kept = 0
        self.after: dict[str, list[tuple[bytes, Evidence]]] = {}
        """Name of a frame -> the frames that followed it, the latest first."""

    def keep(self, frame: bytes, evidence: Evidence, previous: str) -> None:
        """Remember a frame by the one before it."""
        if self.kept + len(frame) > self.size:
            self.after.clear()
            self.kept = 0
        known = self.after.setdefault(previous, [])
        known.insert(0, (frame, evidence))
        self.kept += len(frame)
        if len(known) > _ALTERNATIVES:
            self.kept -= len(known.pop()[0])


_ALTERNATIVES = 16
"""Frames that may follow a frame: a few distributions times a few settings."""


def read_frames(frames: bytes, seen: Frames | None = None) -> dict[str, Evidence]:
    """Sources by name.

    An odd configuration may lead two parts of a probe to one file. That must not hide the rest, so it is no error: the first frame holds.

    Raises BundleError when the stream is cut or has something behind its end.
    """
    at, name, count = 0, "", 0
    sources: dict[str, Evidence] = {}
    after = {} if seen is None else seen.after
    while True:
        known_here = after.get(name, [])
        for pair in known_here:
            if frames.startswith(pair[0], at):
                at, evidence = at + len(pair[0]), pair[1]
                if pair is not known_here[0]:
                    known_here.remove(pair)
                    known_here.insert(0, pair)
                break
        else:
            found = _frame(frames, at)
            if found is None:
                break
            end, evidence = found
            if seen is not None:
                seen.keep(frames[at:end], evidence, name)
            at = end
        name = evidence.name
        known = sources.setdefault(name, evidence)
        if known is not evidence and known != evidence:
            sources.setdefault(name + AGAIN, Evidence(name + AGAIN, evidence.status, evidence.content, evidence.rc))
        count += 1
        if count > MAX_SOURCES:
            raise _error("来源过多或名称过长", "too many sources, or a name too long")
    if not frames.startswith(_END, at):
        raise _error(f"探针输出在第 {at} 字节处中断，没有结束标记", f"the probe's output stops at byte {at} without its end mark")
    if at + len(_END) != len(frames):
        raise _error("结束标记之后还有内容", "something follows the end mark")
    return sources


def whole_frames(frames: bytes) -> bytes:
    """Of an output that is still coming, what is whole, as if nothing came after it."""
    at = 0
    while (head := _FRAME.match(frames, at)) is not None:
        end = head.end() + int(head[3]) + int(head[4]) + 2
        if end > len(frames):
            break
        at = end
    return frames[:at] + _END


def _frame(frames: bytes, at: int) -> tuple[int, Evidence] | None:
    """Where the frame at this place ends, and what it says."""
    head = _FRAME.match(frames, at)
    if head is None:
        return None
    status, rc, name_bytes, content_bytes = head.groups()
    name_at = head.end()
    content_at = name_at + int(name_bytes) + 1
    end = content_at + int(content_bytes) + 1
    if int(name_bytes) > MAX_NAME_BYTES:
        raise _error("来源过多或名称过长", "too many sources, or a name too long")
    if end > len(frames) or frames[content_at - 1] != 0x0A or frames[end - 1] != 0x0A:
        raise _error(f"探针输出在第 {name_at} 字节处不完整", f"the probe's output is cut or damaged at byte {name_at}")
    name = frames[name_at : content_at - 1].decode("utf-8", "backslashreplace")
    return end, Evidence(name, Status(status.decode()), frames[content_at : end - 1], int(rc))


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
