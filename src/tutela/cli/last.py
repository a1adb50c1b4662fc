"""The last look at this host, kept for `tutela explain` in the user's own state folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tutela.cli.state import state_folder
from tutela.errors import TutelaError

if TYPE_CHECKING:
    from tutela.evidence import Bundle


def _path() -> Path:
    return state_folder() / "last.bundle"


def keep_last(bundle: Bundle) -> None:
    """Keep a bundle; where the folder cannot be written, do without."""
    from tutela.collect.archive import write_bundle

    with suppress(TutelaError, OSError, RuntimeError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_bundle(path, bundle)


def last_bundle() -> Bundle | None:
    """The kept bundle, if there is a readable one."""
    from tutela.collect.archive import read_bundle

    with suppress(TutelaError, OSError, RuntimeError):
        path = _path()
        return read_bundle(path) if path.exists() else None
    return None
