"""The writer against a dictionary: whatever is appended, broken off, lost and restored, in whatever order, an index once given stands for its record."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.ledger.standing import entries_of
from tutela.ledger.entry import Kind, Record, digest, new_record
from tutela.ledger.refused import RollbackError
from tutela.ledger.store.keeper import CHECKPOINT, KNOWN, STATE, Ledger, create

# What is handed in together: single records, some again, and runs that fill tiles.
together = st.one_of(
    st.lists(st.integers(0, 40), min_size=1, max_size=5),
    st.builds(lambda first, count: list(range(first, first + count)), st.integers(0, 900), st.sampled_from([100, 255, 256, 257, 400])),
)


def made_up(number: int) -> Record:
    return new_record(Kind.DOCUMENT, digest(str(number).encode()), 1_700_000_000, 1_700_000_060)


@contextmanager
def broken(which: int, *, happened: bool) -> Iterator[None]:
    """One call on files fails, `which` of them; `happened`: it does what it should all the same."""
    count = 0

    def breaking(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count != which:
                return real(*arguments, **named)
            if happened:
                real(*arguments, **named)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        return call

    with ExitStack() as patches:
        for where, name in ((os, "fsync"), (os, "write"), (os, "posix_fallocate"), (Path, "rename"), (Path, "mkdir"), (Path, "unlink")):
            patches.enter_context(patch.object(where, name, breaking(getattr(where, name))))
        yield


class AgainstADictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
        self.ledger = create(self.folder / "log", self.folder / "private", "ledger.example/centre")
        self.other = Ledger(self.ledger.public, self.ledger.private)
        self.indices: dict[int, int] = {}
        self.saved = 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def holder(self, which: str) -> Ledger:
        return {"the same": self.ledger, "another": self.other}.get(which) or Ledger(self.ledger.public, self.ledger.private)

    @rule(numbers=together, which=st.sampled_from(["the same", "another", "a new one"]))
    def append(self, numbers: list[int], which: str) -> None:
        given = self.holder(which).append([made_up(number) for number in numbers])
        for number, index in zip(numbers, given, strict=True):
            assert self.indices.setdefault(number, index) == index

    @rule(numbers=together, which=st.sampled_from(["the same", "a new one"]), call=st.integers(1, 25), happened=st.booleans())
    def append_broken_off(self, numbers: list[int], which: str, call: int, happened: bool) -> None:
        try:
            with broken(call, happened=happened):
                given = self.holder(which).append([made_up(number) for number in numbers])
        except OSError:
            return
        for number, index in zip(numbers, given, strict=True):
            assert self.indices.setdefault(number, index) == index

    @rule()
    def lose_the_table(self) -> None:
        (self.ledger.private / KNOWN).unlink(missing_ok=True)

    @rule(synced=st.integers(0, 3))
    def start_the_machine_anew(self, synced: int) -> None:
        """The table was not brought to the disk: what was entered since is gone."""
        table = self.ledger.private / KNOWN
        if table.exists() and synced:
            content = table.read_bytes()
            table.unlink()
            table.write_bytes(content[:40] + b"0" * 36 + content[76 : 4096 + len(content) // 4] + bytes(len(content) - 4096 - len(content) // 4))

    @rule()
    def lose_the_published_checkpoint(self) -> None:
        (self.ledger.public / CHECKPOINT).unlink(missing_ok=True)
        self.ledger.head()

    @rule()
    def save(self) -> None:
        self.ledger.head()
        for name in ("log", "private"):
            shutil.rmtree(self.folder / f"saved.{name}", ignore_errors=True)
            shutil.copytree(self.folder / name, self.folder / f"saved.{name}")
        self.saved = 1

    @precondition(lambda self: self.saved)
    @rule()
    def restore_the_state(self) -> None:
        shutil.copy2(self.folder / "saved.private" / STATE, self.ledger.private / STATE)
        self.ledger.head()

    @precondition(lambda self: self.saved)
    @rule()
    def restore_the_published_folder(self) -> None:
        signed = self.ledger.head().checkpoint.size
        was = Ledger(self.folder / "saved.log", self.folder / "saved.private").head().checkpoint.size
        self.ledger.public.rename(self.folder / "today")
        shutil.copytree(self.folder / "saved.log", self.ledger.public)
        if was < signed:
            for which in ("the same", "a new one"):
                try:
                    self.holder(which).append([made_up(1_000_000)])
                except RollbackError:
                    continue
                raise AssertionError("went on from yesterday's folder")
            shutil.rmtree(self.ledger.public)
            (self.folder / "today").rename(self.ledger.public)
        else:
            shutil.rmtree(self.folder / "today")

    @invariant()
    def every_index_stands_for_its_record(self) -> None:
        self.ledger.head()
        entries = entries_of(self.ledger.public)
        assert len({entry.partition(b'"subject"')[2] for entry in entries}) == len(entries)
        for number, index in self.indices.items():
            assert made_up(number).subject.encode() in entries[index]


TestAgainstADictionary = AgainstADictionary.TestCase
TestAgainstADictionary.settings = settings(max_examples=40, stateful_step_count=25)
