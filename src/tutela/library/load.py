"""Load all content.

YAML is for people; parsing 400 kB of it costs a second without libyaml.
So the plain data of the shipped files is kept as one JSON file beside them, and used only while names, sizes and times of all files are the same.
"""

from __future__ import annotations

import datetime
import gc
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutela.agreement import Agreement, Profile, Table, read_agreement, read_profile, read_table
from tutela.agreement.rulebook import Content
from tutela.checks import Check, read_check
from tutela.documents import Document, read_yaml
from tutela.errors import ContentError, said_by_system
from tutela.evidence import digest_of
from tutela.facts.reference import Reference
from tutela.facts.registry import MODULES
from tutela.language import Text

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

CACHE = "compiled.json"
FROZEN = "frozen"
_FOLDERS = ("agreements", "checks", "platforms", "profiles", "tables")


def load_content(extra: tuple[Path, ...] = ()) -> Content:
    """Shipped content, and the same kinds of files below each folder of `extra`.

    Raises ContentError with file:line:column. A site's file may add, never silently replace: an id that exists is an error.
    """
    documents = _shipped()
    for folder in extra:
        if not folder.is_dir():
            raise ContentError(Text("没有这个文件夹", "there is no such folder"), file=str(folder))
        for path in sorted(folder.rglob("*.yml")):
            raise ContentError(Text("文件名须以 .yaml 结尾，否则不会读取", "its name has to end in .yaml, or nobody reads it"), file=str(path))
        files = sorted(folder.rglob("*.yaml"))
        if not files:
            words = ", ".join(_FOLDERS)
            raise ContentError(Text(f"里面没有 .yaml 文件；应放在其中的 {words}", f"there is no .yaml file in it, in {words}"), file=str(folder))
        for path in files:
            name = path.relative_to(folder).as_posix()
            try:
                if path.exists() and not path.is_file():
                    raise ContentError(Text("不是普通文件", "not a regular file"), file=str(path))
                raw = path.read_bytes()
            except OSError as problem:
                why = said_by_system(problem)
                raise ContentError(Text(f"无法读取：{why.zh}", f"cannot be read: {why.en}"), file=str(path)) from None
            if name.partition("/")[0] not in _FOLDERS:
                words = ", ".join(_FOLDERS)
                raise ContentError(Text(f"应放在这些文件夹之一：{words}", f"it belongs in one of the folders {words}"), file=str(path))
            documents.append((name, read_yaml(raw, str(path)), digest_of(raw)))
    return _content(documents)


def _content(documents: list[tuple[str, Document, str]]) -> Content:
    agreements: dict[tuple[str, str], Agreement] = {}
    checks: dict[str, Check] = {}
    profiles: dict[str, Profile] = {}
    tables: dict[str, Table] = {}
    platforms: list[Any] = []
    eol: Any = {}
    known_facts = frozenset(MODULES)
    # Tens of thousands of objects are made and none dies: collecting garbage meanwhile doubles the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        for name, document, digest in documents:
            parts = name.split("/")
            if parts[0] == "checks":
                check = read_check(document, parts[1] if len(parts) > 2 else "site", known_facts)
                _once(checks, check.id, check, document)
            elif parts[0] == "agreements":
                agreement = read_agreement(document, digest)
                _once(agreements, (agreement.id, agreement.edition), agreement, document)
            elif parts[0] == "profiles":
                profile = read_profile(document)
                _once(profiles, profile.id, profile, document)
            elif parts[0] == "tables":
                table = read_table(document)
                _once(tables, table.id, table, document)
            elif parts[0] == "platforms":
                platforms.append(document.data)
            elif name == "eol.yaml":
                eol = document.data
    finally:
        if collecting:
            gc.enable()
    everything = "\n".join(f"{digest} {name}" for name, _, digest in sorted(documents, key=lambda one: one[0]))
    return Content(agreements, checks, profiles, tables, Reference.from_data(eol, platforms), digest_of(everything.encode()))


def _once(kind: dict[Any, Any], key: Any, value: Any, document: Document) -> None:
    if key in kind:
        words = key if isinstance(key, str) else " ".join(key)
        document.root.get("id").wrong(f"{words} 已存在", f"{words} exists already")
    kind[key] = value


def _shipped() -> list[tuple[str, Document, str]]:
    root = _root()
    stamp = _stamp(root)
    cache = root / CACHE
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(cache.read_bytes())
        if kept["stamp"] in (FROZEN, stamp):
            return [(name, Document(name, data, {}), digest) for name, data, digest in kept["documents"]]
    documents = _parsed(root)
    if isinstance(root, Path):
        _keep(root / CACHE, _compiled(stamp, documents))
    return documents


def _root() -> Path | Traversable:
    """The folder of the content."""
    folder = Path(__file__).parents[1] / "content"
    if folder.is_dir():
        return folder
    # Inside a single-file program; elsewhere a dozen modules that nothing else needs.
    from importlib import resources  # noqa: PLC0415

    return resources.files("tutela") / "content"


def freeze() -> None:
    """Compile the content for good, for a wheel or a single file: there the files' times are those of the installation."""
    root = _root()
    assert isinstance(root, Path)
    _keep(root / CACHE, _compiled(FROZEN, _parsed(root)))


def _parsed(root: Traversable) -> list[tuple[str, Document, str]]:
    documents = []
    for name, path in _files(root):
        raw = path.read_bytes()
        documents.append((name, read_yaml(raw, name), digest_of(raw)))
    return documents


def _compiled(stamp: Any, documents: list[tuple[str, Document, str]]) -> bytes:
    compiled = {"stamp": stamp, "documents": [(name, document.data, digest) for name, document, digest in documents]}
    return json.dumps(compiled, ensure_ascii=False, default=_plain).encode()


def _keep(path: Path, content: bytes) -> None:
    """Write the cache in one step; where the folder is not ours to write, do without."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()


def _plain(value: Any) -> str:
    if isinstance(value, datetime.date):
        return value.isoformat()
    raise TypeError(type(value))


def _files(root: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for item in sorted(root.iterdir(), key=lambda one: one.name):
        if item.is_dir():
            yield from _files(item, f"{prefix}{item.name}/")
        elif item.name.endswith(".yaml"):
            yield prefix + item.name, item


def _stamp(root: Traversable) -> list[list[Any]] | None:
    """Name, size and time of every file; None inside an archive, where nothing changes."""
    if not isinstance(root, Path):
        return None
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            if name.endswith(".yaml"):
                path = f"{folder}/{name}"
                status = os.stat(path)  # noqa: PTH116 - called 150 times at every start
                found.append([path[len(str(root)) :], status.st_size, status.st_mtime_ns])
    return sorted(found)
