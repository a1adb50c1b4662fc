"""The power fails at every moment of an append: only what was forced out by then is sure to be there, and the log stands and goes on.

A process that is killed loses nothing that it has written: the system still holds it. So what fsync is called on, and when, no kill -9 shows. Here a model of the disk
follows the calls of an append, and after each one makes what may be left of the folders: names and content, each as they were forced out, or already as they are.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.ledger.standing import entries_of
from tests.ledger.test_faults import Scene, cut_off_before_it_was_published, filling_a_tile, grown, in_memory, made_up, new, ordinary  # noqa: F401 - a fixture
from tutela.ledger.entry import Record
from tutela.ledger.refused import MisuseError
from tutela.ledger.store.durable import _sync_names
from tutela.ledger.store.keeper import CHECKPOINT, create
from tutela.ledger.store.salts import Salts


@dataclass
class File:
    now: bytes
    forced: bytes = b""


@dataclass
class Folder:
    now: dict[str, File | Folder] = field(default_factory=dict)
    forced: dict[str, File | Folder] = field(default_factory=dict)


def loaded(path: Path) -> Folder:
    """A folder as it is, all of it on the disk."""
    held: dict[str, File | Folder] = {one.name: loaded(one) if one.is_dir() else File(one.read_bytes(), one.read_bytes()) for one in path.iterdir()}
    return Folder(held, dict(held))


def left(of: Folder, path: Path, *, names_forced: bool, content_forced: bool) -> None:
    """Makes the folder as a crash may leave it."""
    path.mkdir()
    for name, one in (of.forced if names_forced else of.now).items():
        if isinstance(one, Folder):
            left(one, path / name, names_forced=names_forced, content_forced=content_forced)
        else:
            (path / name).write_bytes(one.forced if content_forced else one.now)
            (path / name).chmod(0o600)


class Disk:
    """Follows the calls that change what lies below `root`, and calls `moment` after each."""

    def __init__(self, root: Path, moment: Callable[[], None]) -> None:
        self._root, self._moment = root, moment
        self.held = loaded(root)
        self._opened: dict[int, File | Folder] = {}
        self._lock = threading.RLock()

    @contextmanager
    def followed(self) -> Iterator[None]:
        effects = {
            "open": self._open, "write": self._write, "fsync": self._fsync, "close": self._close,
            "rename": self._rename, "mkdir": self._mkdir, "unlink": self._remove, "rmdir": self._remove,
        }  # fmt: skip
        with ExitStack() as patches:
            for name, effect in effects.items():
                patches.enter_context(patch.object(os, name, self._following(getattr(os, name), effect)))
            yield

    def _following(self, real: Callable[..., Any], effect: Callable[..., None]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            ours = arguments[0] in self._opened if isinstance(arguments[0], int) else Path(arguments[0]).is_relative_to(self._root)
            if not ours:
                result = real(*arguments, **named)
                if effect == self._open:
                    # A number that Python has closed by itself.
                    self._opened.pop(result, None)
                return result
            with self._lock:
                result = real(*arguments, **named)
                effect(result, *arguments)
                return result

        return call

    def _at(self, path: Any) -> File | Folder | None:
        found: File | Folder | None = self.held
        for name in Path(path).relative_to(self._root).parts:
            found = found.now.get(name) if isinstance(found, Folder) else None
        return found

    def _above(self, path: Any) -> Folder:
        found = self._at(Path(path).parent)
        assert isinstance(found, Folder)
        return found

    def _open(self, file: int, path: Any, flags: int, *_: Any) -> None:
        one = self._at(path)
        if one is None:
            one = self._above(path).now[Path(path).name] = File(b"")
        self._opened[file] = one
        if flags & os.O_TRUNC:
            assert isinstance(one, File)
            one.now = b""
            self._moment()

    def _close(self, _: None, file: int) -> None:
        del self._opened[file]

    def _write(self, written: int, file: int, content: Any) -> None:
        one = self._opened[file]
        assert isinstance(one, File)
        one.now += bytes(content[:written])
        self._moment()

    def _fsync(self, _: None, file: int) -> None:
        one = self._opened[file]
        if isinstance(one, Folder):
            one.forced = dict(one.now)
        else:
            one.forced = one.now
        self._moment()

    def _rename(self, _: None, old: Any, to: Any) -> None:
        self._above(to).now[Path(to).name] = self._above(old).now.pop(Path(old).name)
        self._moment()

    def _mkdir(self, _: None, path: Any, *__: Any) -> None:
        self._above(path).now[Path(path).name] = Folder()
        self._moment()

    def _remove(self, _: None, path: Any, *__: Any) -> None:
        del self._above(path).now[Path(path).name]
        self._moment()

    def images(self, beside: Path) -> Iterator[Path]:
        """The folder as a crash may leave it now, in each way; removed once it was looked at."""
        for names_forced, content_forced in product((True, False), repeat=2):
            image = beside / f"names {'forced' if names_forced else 'now'}, content {'forced' if content_forced else 'now'}"
            left(self.held, image, names_forced=names_forced, content_forced=content_forced)
            yield image
            shutil.rmtree(image)


def stands(scene: Scene, wanted: list[Record], told: list[int] | None, shown: int = 0) -> None:
    """What was acknowledged stands where it was said to, and what was shown to others still holds; nothing is there twice, and the log goes on."""
    sample = list(range(scene.logged))[-20:]
    ledger = scene.ledger
    assert ledger.head().checkpoint.size >= shown
    acknowledged = [*zip(map(made_up, sample), sample, strict=True), *zip(wanted, told or (), strict=False)]
    entries = entries_of(ledger.public)
    assert all(record.subject.encode() in entries[index] for record, index in acknowledged)
    records = [*map(made_up, sample), *wanted, made_up("afterwards")]
    indices = ledger.append(records)
    assert indices[: len(sample)] == sample
    if told is not None:
        assert indices[len(sample) : -1] == told
    entries = entries_of(ledger.public)
    assert len(entries) == len({entry.partition(b'"subject"')[2] for entry in entries}) == scene.logged + len(wanted) + 1
    for record, index in zip(records, indices, strict=True):
        assert record.subject.encode() in entries[index]


@pytest.mark.parametrize(
    ("made", "count"),
    [(new, 2), (ordinary, 2), (filling_a_tile, 1), (cut_off_before_it_was_published, 2), (ordinary, 1100)],
    ids=["new", "ordinary", "filling a tile", "cut off before it was published", "so many that files are written side by side"],
)
def test_whenever_the_power_fails_what_was_acknowledged_is_there(made: Callable[[Path], Scene], count: int, in_memory: Path) -> None:  # noqa: F811 - the fixture
    scene = made(in_memory / "scene")
    # Another process knows nothing of what this one has forced out.
    _sync_names.cache_clear()
    ledger = scene.ledger
    wanted = [made_up(f"wanted {i}") for i in range(count)]
    moments = 0

    def fails(told: list[int] | None = None) -> None:
        nonlocal moments
        moments += 1
        for image in disk.images(in_memory):
            try:
                stands(Scene(image, scene.logged), wanted, told, shown_by(scene))
            except BaseException as error:
                error.add_note(f"moment {moments}, {image.name}")
                raise

    disk = Disk(scene.folder, fails)
    with disk.followed():
        told = ledger.append(wanted)
        fails(told)
    assert moments > 20


def shown_by(scene: Scene) -> int:
    """How many entries the checkpoint has that anybody can see now."""
    return int((scene.folder / "log" / CHECKPOINT).read_text().split("\n")[1])


class Killed(BaseException):
    pass


def killed_and_gone_on(scene: Scene, fatal: int, beside: Path) -> bool:
    """One is killed at its moment number `fatal`, if it comes so far; the power fails at every moment of the next one. Whether it came so far."""
    wanted = [made_up("wanted")]
    moments = 0

    def looked_at(told: list[int] | None) -> None:
        # Before others are shown the new checkpoint nothing can be lost.
        if (shown := shown_by(scene)) > scene.logged:
            for image in disk.images(beside):
                try:
                    stands(Scene(image, scene.logged), wanted, told, shown)
                except BaseException as error:
                    error.add_note(f"killed at moment {fatal}, power failed at {moments}, {image.name}")
                    raise

    def moment() -> None:
        nonlocal moments
        moments += 1
        if moments == fatal:
            raise Killed
        if moments > fatal:
            looked_at(None)

    disk = Disk(scene.folder, moment)
    # Another process knows nothing of what this one has forced out.
    _sync_names.cache_clear()
    with disk.followed():
        with suppress(Killed):
            scene.ledger.append(wanted)
        killed = moments == fatal
        _sync_names.cache_clear()
        looked_at(scene.ledger.append(wanted))
    return killed


@pytest.mark.parametrize("made", [ordinary, filling_a_tile], ids=lambda one: one.__name__)
def test_who_goes_on_where_another_was_killed_forces_out_what_that_one_had_not(made: Callable[[Path], Scene], in_memory: Path) -> None:  # noqa: F811 - the fixture
    before = made(in_memory / "before")
    fatal = 1
    while killed_and_gone_on(before.copy(in_memory / f"scene {fatal}"), fatal, in_memory):
        fatal += 1
    assert fatal > 20


def test_whenever_the_power_fails_a_new_ledger_is_there_or_is_none(in_memory: Path) -> None:  # noqa: F811 - the fixture
    (in_memory / "scene").mkdir()
    outcomes: list[bool] = []

    def fails() -> None:
        for image in disk.images(in_memory):
            try:
                stands(Scene(image, 0), [made_up("wanted")], None)
            except MisuseError as problem:
                assert "there is no ledger here" in str(problem)
                outcomes.append(False)
            else:
                outcomes.append(True)

    disk = Disk(in_memory / "scene", fails)
    with disk.followed():
        create(in_memory / "scene" / "log", in_memory / "scene" / "private", "ledger.example/centre", sm2=True)
        fails()
    assert False in outcomes
    assert outcomes[-4:] == [True] * 4


def test_a_salt_is_there_before_anything_is_salted_with_it(in_memory: Path) -> None:  # noqa: F811 - the fixture
    (in_memory / "scene").mkdir()
    disk = Disk(in_memory / "scene", lambda: None)
    with disk.followed():
        salt = Salts(in_memory / "scene").of(b"letter")
    for image in disk.images(in_memory):
        assert Salts(image).known(b"letter") == salt
