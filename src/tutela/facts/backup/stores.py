"""Repositories and dumps on this host, and who may read them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tutela.evidence import Reason, Unobserved
from tutela.facts.backup.model import Backup, Store
from tutela.facts.look import Look
from tutela.facts.mounts import under
from tutela.facts.schedules import Left
from tutela.language import Text

OPEN_FILES = "find (backup directories) -type f -perm -004"
NEEDS = (OPEN_FILES,)


def stores(look: Look, backups: tuple[Backup | Unobserved, ...], left: dict[str, Left]) -> Iterator[Store | Unobserved]:
    """What enabled jobs leave here, then where it is not known what they leave; `left` is what lies at the paths that jobs name."""
    listed = look.text(OPEN_FILES)
    open_files = listed.split("\n") if isinstance(listed, str) else []
    enabled = [one for one in backups if isinstance(one, Unobserved) or one.enabled is not False]
    for path in dict.fromkeys(one.target for one in enabled if isinstance(one, Backup) and one.kind != "snapshot" and one.target.startswith("/")):
        yield Store(path, _open_to_all(path, left, open_files))
    for one in enabled:
        if isinstance(one, Unobserved):
            yield one
        elif one.kind == "files" and not one.target and isinstance(one.destination, Unobserved):
            yield one.destination


def _open_to_all(path: str, left: dict[str, Left], open_files: list[str]) -> bool | Unobserved:
    # What stands behind a variable or a pattern changes from day to day; the folder above it stays.
    clean = re.split(r"[$*]", path)[0].rstrip("/")
    top = clean if clean == path.rstrip("/") else clean.rpartition("/")[0]
    seen = left.get(clean) or left.get(top)
    if seen is None:
        parent = left.get(clean.rpartition("/")[0])
        if parent is not None and parent.directory and not parent.mode & 0o005:
            return False
        return Unobserved(Reason.NO_DATA, path, Text("文件或目录没有看到", "the file or directory was not seen"))
    if not seen.directory:
        return seen.open_to_all and not _shielded(clean, left)
    # A directory that others may not enter shields all in it. Where they may list it too, what lies in it is as open as its
    # own mode says: for a repository that is the repository.
    return bool(seen.mode & 0o001) and (bool(seen.mode & 0o004) or any(one and under(one, top) for one in open_files))


def _shielded(path: str, left: dict[str, Left]) -> bool:
    """Whether a directory above keeps others out."""
    while (path := path.rpartition("/")[0]) != "":
        above = left.get(path)
        if above is not None and not above.mode & 0o001:
            return True
    return False
