"""Folders in which something new is made: a ledger, a witness."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tutela.language import Text
from tutela.ledger.refused import MisuseError
from tutela.ledger.store.durable import alone, make_folders


@contextmanager
def fresh(what: Text, *folders: Path) -> Iterator[None]:
    """Empty folders, made where there are none, while something new is put into them; the last one is private, 0700.

    If that fails they are empty again, so that it can be tried again. Raises MisuseError where something stands already: of two at once, for the second.
    """
    _check_empty(what, folders)
    for folder in folders:
        make_folders(folder)
    folders[-1].chmod(0o700)
    with alone(folders[-1]):
        _check_empty(what, folders)
        try:
            yield
        except BaseException:
            for folder in folders:
                _empty(folder)
            raise


def _check_empty(what: Text, folders: Sequence[Path]) -> None:
    for folder in folders:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise MisuseError(Text(f"{folder} 已有内容：新{what.zh}要用空文件夹", f"{folder} is not empty: a new {what.en} needs an empty folder"))


def _empty(folder: Path) -> None:
    with suppress(OSError):
        for one in folder.iterdir():
            if one.is_dir():
                shutil.rmtree(one)
            else:
                one.unlink()
