"""Files that survive a power cut once the call has returned: content by fsync(2), names by fsync of the folder they stand in.

Locks are taken on folders: a file that is there to be locked looks like something to be removed when a program hangs, and then two would write.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

_TOGETHER = 8
"""Files that are written at the same time; a file system brings several to the disk in nearly the time of one."""


def write_new(root: Path, files: Sequence[tuple[Path, bytes]]) -> None:
    """Files below `root` that nobody refers to yet, with their folders.

    What a crash left under such a name is written over: nothing that was signed refers to it.
    """
    folders = {path.parent: None for path, _ in files}
    for folder in folders:
        make_folders(folder)
        _sync_names(root, folder)
    if len(files) > _TOGETHER:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_TOGETHER) as threads:
            for _ in threads.map(_write_one, files):
                pass
    else:
        for one in files:
            _write_one(one)
    for folder in folders:
        sync_folder(folder)


def replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """A file that others refer to, replaced as a whole: at each moment, and after a crash, it is either the old or the new one."""
    beside = path.with_name(f".{path.name}.new")
    _write(beside, content, mode)
    beside.rename(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    with opened(path) as folder, named(path):
        os.fsync(folder)


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """A folder as an open file, to be synced or locked."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a folder's lock, waiting for it; flock(2) frees it when a process ends, however it ends."""
    with opened(folder) as file:
        with named(folder):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def named(path: Path) -> Iterator[None]:
    """What fails on an open file says which one it is."""
    try:
        yield
    except OSError as problem:
        problem.filename = problem.filename or str(path)
        raise


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


@lru_cache(maxsize=256)
def _sync_names(root: Path, folder: Path) -> None:
    """The names of a folder and of those above it, up to `root`; once in a process, since another one may have been killed right after it had made them."""
    for one in (folder, *folder.parents):
        if one == root:
            break
        sync_folder(one.parent)


def _write_one(file: tuple[Path, bytes]) -> None:
    _write(*file, 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    # Whoever else may write into a folder that is published must not choose what the keeper, who may be root, writes over.
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with named(path):
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
    finally:
        os.close(file)
