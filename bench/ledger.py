"""The ledger at ten million entries: appending, importing, building and verifying receipts; memory and disk.

Beside it, in the same run, SQLite: the same records in a table with the same promise (nothing twice, an index for each, durable before the call returns),
and nothing that anybody else could verify. One transaction a call, write-ahead log, synchronous=FULL.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench.measure import ENVIRONMENT, PYTHON, ROOT, goal
from tutela.ledger.entry import Kind, Record, digest, new_record
from tutela.ledger.log import Log, read_checkpoint
from tutela.ledger.receipt import Receipt, parse_receipt
from tutela.ledger.signing import verified_by
from tutela.ledger.store.folder import Folder
from tutela.ledger.store.keeper import Ledger, create

ORIGIN = "bench.example/ledger"
APPENDERS, SECONDS, TURNS = 8, 3.0, 3
CALLS = (1, 16, 64, 256)
CHUNK = 16_384
FEW, MANY = 1_000_000, int(os.environ.get("MANY", "10000000"))
START = 1_700_000_000
Append = Callable[[list[Record]], object]


def main(part: str = "") -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        if part in ("", "append"):
            _appenders(Path(folder))
        if part in ("", "large"):
            _large(Path(folder))


# ---------------------------------------------------------------------- what the other processes do


def recorded(first: int, count: int, of: str = "") -> list[Record]:
    return [new_record(Kind.BUNDLE, digest(f"{of}{i}".encode()), START + i // 100, START + i // 100 + 60) for i in range(first, first + count)]


def appending(which: str, folder: Path) -> Append:
    return Ledger(folder / "log", folder / "log.private").append if which == "tutela" else _sqlite(folder / "entries.sqlite")


def _sqlite(path: Path) -> Append:
    database = sqlite3.connect(path, isolation_level=None, timeout=60)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE IF NOT EXISTS entries (place INTEGER PRIMARY KEY, identity BLOB UNIQUE, entry BLOB)")

    def append(records: list[Record]) -> list[int]:
        logged = int(time.time())
        rows = [(one.identity, one.entry(logged)) for one in records]
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT OR IGNORE INTO entries (identity, entry) VALUES (?, ?)", rows)
        places = [database.execute("SELECT place FROM entries WHERE identity = ?", row[:1]).fetchone()[0] for row in rows]
        database.execute("COMMIT")
        return places

    return append


def appender(which: str, folder: str, size: str, name: str) -> None:
    """One of several processes: appends for some seconds once it is told to begin; prints how many records, and how long a call took."""
    append = appending(which, Path(folder))
    some = recorded(0, int(size), name)
    append(some)
    print("ready", flush=True)
    sys.stdin.readline()
    calls, done = [], 0
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < SECONDS:
        done += len(some)
        some = recorded(done, int(size), name)
        append(some)
        calls.append(time.perf_counter() - now)
    print(json.dumps([done / (time.perf_counter() - began), statistics.median(calls), max(calls)]))


def importer(which: str, folder: str, until: str) -> None:
    """Imports records up to a count; prints a line a million: records, seconds spent in appending, CPU seconds, peak anonymous memory in MB."""
    append = appending(which, Path(folder))
    spent = peak = 0.0
    cpu = 0.0
    for first in range(0, int(until), CHUNK):
        some = recorded(first, min(CHUNK, int(until) - first))
        began, used = time.perf_counter(), time.process_time()
        append(some)
        spent += time.perf_counter() - began
        cpu += time.process_time() - used
        peak = max(peak, _anonymous_mb())
        done = first + len(some)
        if done // FEW > first // FEW:
            print(json.dumps([done, spent, cpu, peak]), flush=True)


def _anonymous_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def _start(function: str, *words: str) -> subprocess.Popen[str]:
    call = f"import sys; from bench.ledger import {function}; {function}(*sys.argv[1:])"
    return subprocess.Popen([PYTHON, "-c", call, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=ENVIRONMENT)


# ---------------------------------------------------------------------- the measurements


def _appenders(folder: Path) -> None:
    names = ("tutela", "sqlite")
    taken: dict[tuple[str, int], list[tuple[float, float, float]]] = {(which, size): [] for which in names for size in CALLS}
    for turn in range(TURNS):
        for which, size in taken:
            print(f"\r\x1b[K  {which}, {size} a call, {turn + 1}/{TURNS}", end="", file=sys.stderr, flush=True)
            place = folder / f"{which}-{size}"
            if turn == 0:
                place.mkdir()
                create(place / "log", place / "log.private", ORIGIN)
                appending(which, place)
            taken[which, size].append(_turn(which, place, size, turn))
    print("\r\x1b[K", end="", file=sys.stderr)
    print(f"\nDurable appends, {APPENDERS} processes at once, medians of {TURNS} turns of {SECONDS:.0f} s, taken in turn")
    print(f"{'records a call':>16}{'tutela':>12}{'a call':>10}{'longest':>10}{'sqlite':>14}{'a call':>10}{'longest':>10}{'ratio':>9}")
    for size in CALLS:
        ours, theirs = ([statistics.median(row[column] for row in taken[which, size]) for column in range(3)] for which in names)
        for figures in (ours, theirs):
            figures[1:] = [1000 * one for one in figures[1:]]
        print(
            f"{size:>16}{ours[0]:>10.0f}/s{ours[1]:>7.1f} ms{ours[2]:>7.0f} ms"
            f"{theirs[0]:>12.0f}/s{theirs[1]:>7.1f} ms{theirs[2]:>7.0f} ms{ours[0] / theirs[0]:>8.2f}×"
        )
    rates = {size: statistics.median(row[0] for row in taken["tutela", size]) for size in CALLS}
    enough = [size for size in CALLS if rates[size] >= 10_000]
    goal(f"10,000 durable appends a second: {max(rates.values()):.0f}, and from {enough[0] if enough else 'no'} records a call on", met=bool(enough))


def _turn(which: str, place: Path, size: int, turn: int) -> tuple[float, float, float]:
    running = [_start("appender", which, str(place), str(size), f"{turn}-{number}-") for number in range(APPENDERS)]
    for one in running:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    rows = [json.loads(one.communicate()[0]) for one in running]
    return sum(row[0] for row in rows), statistics.median(row[1] for row in rows), max(row[2] for row in rows)


def _large(folder: Path) -> None:
    public, private = folder / "log", folder / "log.private"
    create(public, private, ORIGIN)
    theirs = _imported("sqlite", folder, FEW)[-1]
    lines = _imported("tutela", folder, MANY)
    few, many = lines[0], lines[-1]
    print("\nBatch import, records made beforehand, one process")
    for name, (count, spent, cpu, peak) in (("sqlite", theirs), ("tutela", few), ("tutela", many)):
        print(f"  {name:<8}{count:>10.0f}{count / spent:>10.0f}/s{1e6 * cpu / count:>8.2f} µs CPU each{peak:>8.0f} MB anonymous memory at most")
    last = (many[0] - lines[-2][0]) / (many[1] - lines[-2][1])
    goal(f"100,000 records a second: {many[0] / many[1]:.0f}, the last million {last:.0f}", met=many[0] / many[1] >= 100_000)
    goal(f"memory flat from 1 to 10 million entries: {many[3] / few[3]:.2f} times as much", met=many[3] < 1.25 * few[3])
    _receipts(public, private)
    _disk(public, private)


def _imported(which: str, folder: Path, until: int) -> list[list[float]]:
    lines = []
    with _start("importer", which, str(folder), str(until)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(json.loads(line))
            print(f"\r\x1b[K  {which} {lines[-1][0] / 1e6:.0f} million", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr)
    return lines


class _Evicted(Folder):
    """A folder whose files leave the page cache before they are read."""

    def read(self, path: str, limit: int) -> bytes:
        with suppress(FileNotFoundError), (self.path / path).open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return super().read(path, limit)


def _receipts(public: Path, private: Path) -> None:
    chance = random.Random(6962)
    keys = Ledger(public, private).keys

    def build(log: Log) -> bytes:
        index = chance.randrange(log.size)
        return Receipt(log.entry(index), index, tuple(log.proof(index)), log.head).content

    def build_anew(source: Folder) -> bytes:
        return build(Log(source, read_checkpoint(source)))

    log = Log(Folder(public), read_checkpoint(Folder(public)))
    ways: dict[str, Callable[[], bytes]] = {
        "from the disk, nothing in memory": lambda: build_anew(_Evicted(public)),
        "files in the page cache": lambda: build_anew(Folder(public)),
        "one log, one receipt after the other": lambda: build(log),
    }
    print(f"\nReceipts of random entries among {log.size}")
    worst = 0.0
    content = b""
    for name, way in ways.items():
        taken = []
        for _ in range(500):
            began = time.perf_counter()
            content = way()
            taken.append(1000 * (time.perf_counter() - began))
        taken.sort()
        worst = max(worst, taken[250])
        print(f"  built, {name:<40}{taken[250]:>7.2f} ms  {taken[494]:>7.2f} ms in 99 of 100")
    began = time.process_time()
    for _ in range(2000):
        receipt = parse_receipt(content)
        receipt.check()
        verified_by(receipt.head.note, keys)
    verified = 1000 * (time.process_time() - began) / 2000
    print(f"  verified, {len(content)} bytes{'':<31}{verified:>7.2f} ms CPU")
    goal(f"built within 5 ms: {worst:.2f} ms", met=worst < 5)
    goal(f"verified within 1 ms of CPU: {verified:.2f} ms", met=verified < 1)


def _disk(public: Path, private: Path) -> None:
    log = Log(Folder(public), read_checkpoint(Folder(public)))
    entry = len(log.entry(log.size // 2))
    least = entry + 2 + 32 * 256 / 255
    files = [path.stat() for path in public.rglob("*") if path.is_file()]
    written, held = sum(of.st_size for of in files) / log.size, sum(of.st_blocks * 512 for of in files) / log.size
    table = (private / "known").stat().st_blocks * 512 / log.size
    print(f"\nDisk, bytes for each of {log.size} entries ({entry} bytes each)")
    print(f"  least possible {least:.2f} (entry, its length, its hashes in full tiles)")
    print(f"  public files   {written:.2f} ({written / least:.3f}×), in blocks of the disk {held:.2f} ({held / least:.3f}×), {len(files)} files")
    print(f"  table of known records, private {table:.2f}")
