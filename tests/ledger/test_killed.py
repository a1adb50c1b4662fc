"""Eight appenders at once, killed one after the other, a hundred times: nothing that any of them was told is lost, renumbered or logged twice."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ledger.standing import entries_of
from tutela.ledger.entry import Kind, Record, digest, new_record
from tutela.ledger.store.keeper import Ledger, create

ROUNDS, APPENDERS = 100, 8


def made_up(name: str) -> Record:
    return new_record(Kind.DOCUMENT, digest(name.encode()), 1_700_000_000, 1_700_000_060)


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A process is killed in the same way whatever lies behind the folder, and without a disk there are more commits to be killed in."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def appender(folder: Path, turn: int, number: int) -> tuple[int, int]:
    """Starts a process that appends until it is killed; gives its id and the pipe into which it writes what it was told."""
    told = os.pipe()
    child = os.fork()
    if child:
        os.close(told[1])
        return child, told[0]
    with suppress(BaseException):
        ledger = Ledger(folder / "log", folder / "private")
        chance = random.Random(turn * APPENDERS + number)
        own = 0
        while True:
            # Its own, and some that others hand in too.
            names = [f"{turn}-{number}-{own + i}" for i in range(chance.choice((1, 1, 5, 40)))] + [f"{turn}-all-{chance.randrange(50)}"]
            own += len(names) - 1
            indices = ledger.append([made_up(name) for name in names])
            os.write(told[1], "".join(f"{name} {index}\n" for name, index in zip(names, indices, strict=True)).encode())
    os._exit(1)


def read_all(pipe: int) -> bytes:
    found = b""
    while some := os.read(pipe, 1 << 16):
        found += some
    os.close(pipe)
    return found


def test_killed_at_any_moment_nothing_that_was_acknowledged_is_lost_renumbered_or_doubled(in_memory: Path) -> None:
    ledger = create(in_memory / "log", in_memory / "private", "ledger.example/centre")
    chance = random.Random(6962)
    acknowledged: dict[str, int] = {}
    for turn in range(ROUNDS):
        running = [appender(in_memory, turn, number) for number in range(APPENDERS)]
        time.sleep(chance.uniform(0.02, 0.08))
        for process, _ in chance.sample(running, APPENDERS):
            os.kill(process, signal.SIGKILL)
            # Those who are left meet what the others leave behind.
            time.sleep(chance.choice((0, 0, 0.003, 0.010)))
        for process, pipe in running:
            assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL, "it ended before it was killed"
            for line in read_all(pipe).decode().splitlines():
                name, index = line.split()
                assert acknowledged.setdefault(name, int(index)) == int(index), name
        if turn % 20 == 19:
            ledger.append([made_up(f"after {turn}")])
            entries = entries_of(ledger.public)
            for name, index in acknowledged.items():
                assert digest(name.encode()).encode() in entries[index], name
    assert len({entry.partition(b'"subject"')[2] for entry in entries}) == len(entries)
    assert len(acknowledged) > 10 * ROUNDS
    again = ledger.append([made_up(name) for name in acknowledged])
    assert again == list(acknowledged.values())
