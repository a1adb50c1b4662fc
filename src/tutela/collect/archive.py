"""Bundles on disk: one gzip file of a bundle's canonical bytes.

Nothing in a file names a path, so reading one can write nothing; sizes are bounded before anything is unpacked.
The digest is that of the canonical bytes: how well they were compressed does not matter.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tutela.collect.answer import make_bundle, named_by_host
from tutela.errors import BundleError, CollectError, said_by_system
from tutela.evidence import Bundle, Status
from tutela.evidence.bundle import MAGIC, MAX_BUNDLE_BYTES, Frames, read_frames
from tutela.language import Text

SUFFIX = ".bundle"
_LEVEL = 4
"""Of gzip's nine: the last five together make a bundle smaller by a twentieth, in twice the time."""
PROBE_STARTS = tuple(f"{status} ".encode() for status in Status)


def read_bundle(path: Path, seen: Frames | None = None) -> Bundle:
    """The bundle in a file, packed or not; `seen` only makes reading many quicker.

    Raises BundleError when it is not whole and ours, or would unpack to more than MAX_BUNDLE_BYTES.
    """
    try:
        with path.open("rb") as file:
            # Room is made for as much as is asked for, so that is what a file holds; a pipe does not say how much that is.
            size = min(os.fstat(file.fileno()).st_size, MAX_BUNDLE_BYTES)
            raw = file.read(size + 1)
            if len(raw) > size:
                raw += file.read(MAX_BUNDLE_BYTES + 1 - len(raw))
        if raw[:2] == b"\x1f\x8b":
            unpack = zlib.decompressobj(wbits=31)
            raw = unpack.decompress(raw, MAX_BUNDLE_BYTES + 1)
            if len(raw) <= MAX_BUNDLE_BYTES and (not unpack.eof or unpack.unused_data):
                raise BundleError(Text(f"{path} 被截断或后面附有其他内容；请重新采集", f"{path} is cut, or something follows it; collect again"))
    except OSError as problem:
        why = said_by_system(problem)
        raise BundleError(Text(f"无法读取 {path}：{why.zh}", f"cannot read {path}: {why.en}")) from None
    except zlib.error as problem:
        raise BundleError(Text(f"{path} 不是完整的 gzip 文件：{problem}", f"{path} is not a whole gzip file: {problem}")) from None
    try:
        return Bundle.from_bytes(raw, seen) if raw.startswith(MAGIC) else _of_probe(path, raw)
    except BundleError as problem:
        raise BundleError(Text(f"{path}：{problem.message.zh}", f"{path}: {problem.message.en}")) from None


def _of_probe(path: Path, raw: bytes) -> Bundle:
    """A bundle of bare probe output (`sh probe.sh > FILE`); when it was made is what the host said, since nobody else was there."""
    meta = read_frames(raw).get("meta") if raw.startswith(PROBE_STARTS) else None
    if meta is None:
        raise BundleError(
            Text("既不是证据包，也不是探针输出；主机清单请写成 @文件", "it is neither a bundle nor the output of the probe; an inventory is written @file")
        )
    started = re.search(rb"^started=(\d{1,11})$", meta.content, re.MULTILINE)
    if started is None:
        raise BundleError(Text("探针输出没有采集时间", "the probe's output does not say when it was made"))
    return named_by_host(make_bundle(path.stem, raw, datetime.fromtimestamp(int(started[1]), UTC), {"transport": "file"}))


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write a bundle so that a reader sees the whole file or none.

    Raises CollectError when the disk is full or the place cannot be written.
    """
    write_whole(path, gzip.compress(bundle.to_bytes(), _LEVEL, mtime=0), private=True)


def write_whole(path: Path, content: bytes | Iterable[bytes], *, private: bool = False) -> None:
    """Write a file in one step: a full disk or a crash leaves what was there before. Pieces are written as they come.

    Raises CollectError.
    """
    pieces = (content,) if isinstance(content, bytes) else content
    # Beside it, whatever it is called: a path such as .. has no name to change.
    part = path.parent / f".{path.name}.{os.getpid()}.part"
    complete = False
    try:
        if path.exists() and not path.is_file():
            # A device or a pipe, such as /dev/stdout, cannot be replaced.
            with path.open("wb") as file:
                file.writelines(pieces)
            return
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        complete = True
        part.replace(path)
    except OSError as problem:
        why = said_by_system(problem)
        if complete and not part.exists():
            # It failed and yet happened, as on a network file system that lost the answer.
            raise CollectError(
                Text(
                    f"{path} 已写入，但系统报告：{why.zh}；使用前请先核对。",
                    f"{path} was written, but the system said: {why.en}. Look at it before you rely on it.",
                )
            ) from None
        raise CollectError(
            Text(f"无法写入 {path}：{why.zh}。原有文件未改动。", f"cannot write {path}: {why.en}. What was there before is unchanged.")
        ) from None
    finally:
        with suppress(OSError):
            part.unlink()
