"""Variables in files beside an Ansible inventory: `group_vars/NAME.yml`, `host_vars/NAME/…`.

Only what stands there as plain text, at the top of a file, is read; an encrypted file says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from tutela.documents import top_words
from tutela.errors import ContentError, said_by_system
from tutela.language import Text

Variables = dict[str, str]
_EXTENSIONS = ("", ".yml", ".yaml", ".json")
MAX_FILES = 100
"""Of one group or host."""


class Beside:
    """The folders `group_vars` and `host_vars` next to an inventory; without a folder, none.

    A name that looks like a path finds nothing: only names that the folders list are compared with it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def group(self, name: str) -> Variables:
        """Variables of a group. Raises ContentError for a file that cannot be read."""
        return self._variables("group_vars", name)

    def host(self, name: str) -> Variables:
        """Variables of a host. Raises ContentError for a file that cannot be read."""
        return self._variables("host_vars", name)

    def _variables(self, kind: str, name: str) -> Variables:
        found: Variables = {}
        for path in self._files(kind).get(name, ()):
            try:
                raw = path.read_bytes()
            except OSError as problem:
                why = said_by_system(problem)
                raise ContentError(Text(f"无法读取：{why.zh}", f"cannot be read: {why.en}"), file=str(path)) from None
            if not raw.startswith(b"$ANSIBLE_VAULT"):
                found |= top_words(raw, str(path))
        return found

    @cache  # noqa: B019 - as long-lived as the inventory that is being read
    def _files(self, kind: str) -> dict[str, list[Path]]:
        """The files of each name, in the order in which they are read."""
        found: dict[str, list[Path]] = {}
        if self._folder is not None:
            with suppress(OSError):
                for path in sorted((self._folder / kind).iterdir()):
                    for name, file in _named(path):
                        found.setdefault(name, []).append(file)
        return found


def _named(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_dir():
        inside = (file for file in sorted(path.rglob("*"))[:MAX_FILES] if file.is_file() and file.suffix in _EXTENSIONS and not file.name.startswith("."))
        yield from ((path.name, file) for file in inside)
    elif path.suffix in _EXTENSIONS:
        yield path.stem, path
    else:
        # A host's name may end like an extension: host_vars/web1.example
        yield path.name, path
