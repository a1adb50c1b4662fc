"""What else lies in a log's folder: partial tiles of the past, what a commit left that was cut off, and what nobody knows."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from tutela.errors import LedgerError
from tutela.language import Text
from tutela.ledger.fsck.finding import Finding, Grade, unread
from tutela.ledger.fsck.heads import STAMPED
from tutela.ledger.fsck.layout import BUNDLE_BYTES, ENTRIES, TILE_BYTES, WIDTH, beginning, path_of, place_of, read
from tutela.ledger.log import CHECKPOINT, COSIGNED, VKEY, Source
from tutela.ledger.note import VerifierKey
from tutela.ledger.refused import MissingError

_STAMP = re.compile(rf"{STAMPED}/[0-9]{{1,19}}-[0-9a-f]{{16}}\.(?:tsr|checkpoint)", re.ASCII)
_VKEY_BYTES = 4096


def strays(folder: Path, source: Source, size: int, keys: Collection[VerifierKey]) -> Iterator[Finding]:
    """Looks at every file that a log of `size` entries does not need; `keys` are those that signed it."""
    for path, problem in _files(folder):
        name = path.rpartition("/")[2]
        place = place_of(path)
        if problem:
            yield unread(path, problem)
        elif place:
            yield from _tile(source, size, path, *place)
        elif path == VKEY:
            yield from _vkey(source, keys)
        elif path not in (CHECKPOINT, COSIGNED) and not _STAMP.fullmatch(path):
            yield Finding(
                path, Grade.REMARK, _CUT_OFF if name.startswith(".") and name.endswith(".new") else Text("不认识的文件", "is a file that we do not know")
            )


def _tile(source: Source, size: int, path: str, level: int, number: int, width: int) -> Iterator[Finding]:
    needed = min((size >> 8 * max(level, 0)) - number * WIDTH, WIDTH)
    if width > needed:
        yield Finding(
            path, Grade.REMARK, Text("检查点还没有包含它：写入中断，或正在写入", "no checkpoint needs it yet: an append was cut off, or is under way")
        )
    elif width < needed:
        # Whoever holds an older checkpoint reads this one.
        try:
            content = source.read(path, BUNDLE_BYTES if level == ENTRIES else TILE_BYTES)
        except MissingError:
            # The log has grown meanwhile, and the full tile took its place.
            return
        except (LedgerError, OSError) as problem:
            yield unread(path, problem)
            return
        # What is wrong with the one that is needed was said before.
        with suppress(LedgerError, OSError):
            if content != beginning(level, read(source, level, number, needed), width):
                whole = path_of(level, number, needed)
                yield Finding(path, Grade.DAMAGED, Text(f"与 {whole} 的开头不符", f"differs from how {whole} begins"))


def _vkey(source: Source, keys: Collection[VerifierKey]) -> Iterator[Finding]:
    try:
        words = source.read(VKEY, _VKEY_BYTES)
    except (LedgerError, OSError) as problem:
        yield unread(VKEY, problem)
    else:
        shown, trusted = words.removesuffix(b"\n").split(b"\n"), [key.vkey.encode() for key in keys]
        if not set(shown).issuperset(trusted):
            yield Finding(VKEY, Grade.DAMAGED, Text("缺少签了检查点的可信密钥", "lacks a trusted key that signed the checkpoint"))
        elif not set(shown).issubset(trusted):
            yield Finding(VKEY, Grade.REMARK, Text("还有一把没有被信任的密钥", "holds another key as well, which nobody told us to trust"))


def _files(folder: Path) -> Iterator[tuple[str, OSError | None]]:
    """The paths of all files below a folder, and of folders that could not be read. Links to folders are not followed: they could go round."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(folder / below) as found:
                entries = sorted((one.name, one.is_dir(follow_symlinks=False)) for one in found)
        except FileNotFoundError:
            # Partial tiles go with their folder, once the tile is full.
            continue
        except OSError as problem:
            yield below, problem
            continue
        yield from ((below + name, None) for name, is_folder in entries if not is_folder)
        waiting += [f"{below}{name}/" for name, is_folder in reversed(entries) if is_folder]


_CUT_OFF = Text("写入中断时留下的，可以删除", "was left by a write that was cut off, and can be removed")
