"""Files that survive a power cut once the call has returned: content by fsync(2), names by fsync of the folder they stand in."""

from __future__ import annotations

import os
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """A file nobody refers to yet, durable but for its name: the caller syncs its folder.

    What a crash left under that name is written over: nothing that was signed refers to it.
    """
    _write(path, content, 0o644)


def replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """A file that others refer to, replaced as a whole: at each moment, and after a crash, it is either the old or the new one."""
    beside = path.with_name(f".{path.name}.new")
    _write(beside, content, mode)
    beside.rename(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_folders(path: Path) -> None:
    """A folder with those above it; each new one's name is durable."""
    if path.is_dir():
        return
    make_folders(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        return
    sync_folder(path.parent)


def _write(path: Path, content: bytes, mode: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    finally:
        os.close(file)
