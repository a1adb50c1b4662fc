"""Appends to a log, each in a process of its own that somebody may watch or kill.

They are forked from a small process, `python -m tests.ledger.appending`: of one with the memory of a whole test run, some thousand copies take a minute.
It reads a line for each append, [folder, names of the records, whether to try again], answers with the process's id,
and, once the append was let go by SIGUSR1 and has ended, with what it told.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tutela.ledger.entry import Kind, Record, digest, new_record
from tutela.ledger.store.keeper import Ledger, create

_PR_SET_PTRACER, _ANYBODY = 0x59616D61, ctypes.c_ulong(-1)


@cache
def made_up(name: int | str) -> Record:
    return new_record(Kind.DOCUMENT, digest(str(name).encode()), 1_700_000_000, 1_700_000_060)


def open_log(folder: Path) -> Ledger:
    return Ledger(folder / "log", folder / "private")


def append(folder: Path, records: list[Record], told: int, *, again: bool) -> None:
    """Opens the log and appends; tells the indices, or what was wrong, and if `again` tries once more."""
    ledger: Ledger | None = None
    for _ in range(1 + again):
        try:
            ledger = ledger or open_log(folder)
            os.write(told, f"{ledger.append(records)}\n".encode())
            return
        except OSError as error:
            os.write(told, f"{error.strerror}\n".encode())


def _serve() -> None:
    with TemporaryDirectory() as folder:
        # What is imported at the first append is there before the copies are made.
        create(Path(folder, "log"), Path(folder, "private"), "ledger.example/centre").append([made_up(0)])
    for line in sys.stdin:
        folder, names, again = json.loads(line)
        records = [made_up(name) for name in names]
        told = os.pipe()
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                gc.disable()
                ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY, 0, 0, 0)
                # Waits by a call that is not counted.
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
                os.write(told[1], b" ")
                signal.sigwait([signal.SIGUSR1])
                append(Path(folder), records, told[1], again=again)
            os._exit(0)
        os.close(told[1])
        os.read(told[0], 1)
        print(child, flush=True)
        with open(told[0], encoding="utf-8") as heard:
            found = heard.read()
        os.waitpid(child, 0)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    _serve()
