"""`tutela ledger append`: log the digests of files."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tutela.cli.clock import now
from tutela.cli.ledger import folders
from tutela.cli.ledger.subject import read_subject, seconds
from tutela.cli.options import FILE, Arguments
from tutela.errors import UsageError, said_by_system
from tutela.language import Lang, Text
from tutela.ledger.entry import Kind, Record, digest, new_record, salted_digest
from tutela.ledger.refused import MisuseError

if TYPE_CHECKING:
    from tutela.ledger.store.keeper import Ledger

TIME = Text("时间", "TIME")
_CHUNK = 20_000
"""Records of an import that are logged at a time."""
_MAX_LINE = 4096
_EXAMPLE = '{"kind":"bundle","subject":"sha256:…","effective":"2026-11-22T08:00:00Z","received":"2026-11-22T08:00:01Z"}'


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the action."""
    options = Arguments(parser, lang)
    folders.configure(parser, lang)

    options.add("files", zh="要记入的文件", en="files to log", nargs="*", type=Path, metavar=FILE)
    options.add(
        "--kind",
        zh=f"文件是什么：{'、'.join(Kind)}（默认认出证据包和评估，其余为 document）",
        en=f"what the files are: {', '.join(Kind)} (default: bundles and assessments are recognised, others are documents)",
        choices=tuple(one.value for one in Kind),
        metavar=Text("类型", "KIND"),
    )
    options.add(
        "--effective",
        zh="生效时间（默认采集时间或文件修改时间）",
        en="when it took effect (default: when it was collected, or the file was changed)",
        metavar=TIME,
    )
    options.add("--received", zh="收到的时间（默认现在）", en="when it was received (default now)", metavar=TIME)
    options.add(
        "--salted",
        zh="摘要加盐，用于内容可被猜出的文件（信函、事件、表决总是加盐）",
        en="salt the digests, for what could be guessed (letters, incidents and votes always are)",
        action="store_true",
    )
    options.add(
        "--import",
        zh="从 JSON 行记入大量记录（kind、subject、effective、received），- 为标准输入",
        en="log many records from JSON lines (kind, subject, effective, received); - is standard input",
        dest="records",
        metavar=FILE,
    )


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Log each file, and say under which index."""
    from tutela.ledger.store.keeper import SALTS, Ledger
    from tutela.ledger.store.salts import Salts
    from tutela.report.inert import inert

    if bool(arguments.files) == bool(arguments.records):
        raise UsageError(Text("请给出要记入的文件，或用 --import；二者取一", "name files to log, or --import; one of the two"))
    private = folders.private(arguments)
    ledger = Ledger(arguments.ledger, private)
    if arguments.records:
        return _import(ledger, arguments.records, lang)
    received = seconds(arguments.received) if arguments.received else int(now().timestamp())
    effective = seconds(arguments.effective) if arguments.effective else None
    salts = Salts(private / SALTS)
    records = []
    for path in arguments.files:
        read = read_subject(path)
        kind = Kind(arguments.kind) if arguments.kind else read.kind
        salted = arguments.salted or kind.personal
        subject = salted_digest(read.content, salts.of(read.content)) if salted else digest(read.content)
        records.append(new_record(kind, subject, read.effective if effective is None else effective, received))
    for path, record, index in zip(arguments.files, records, ledger.append(records), strict=True):
        print(f"{index}\t{record.subject}\t{inert(str(path))}")
    return 0


def _import(ledger: Ledger, name: str, lang: Lang) -> int:
    """Log the records of a file of JSON lines; an index a line, in the file's order."""
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as file:
            records = _records(file, Text("标准输入", "standard input").in_(lang) if name == "-" else name)
            while chunk := list(itertools.islice(records, _CHUNK)):
                sys.stdout.write("".join(f"{index}\n" for index in ledger.append(chunk)))
    except OSError as problem:
        if problem.filename != name:
            raise
        why = said_by_system(problem)
        raise UsageError(Text(f"无法读取 {name}：{why.zh}", f"cannot read {name}: {why.en}")) from None
    return 0


def _records(file: IO[bytes], place: str) -> Iterator[Record]:
    """The records in JSON lines; times are POSIX seconds or ISO 8601."""
    for number in itertools.count(1):
        line = file.readline(_MAX_LINE + 1)
        if not line:
            return
        try:
            if len(line) > _MAX_LINE:
                raise ValueError
            said = json.loads(line)
            kind, subject, effective, received = Kind(said["kind"]), said["subject"], _time(said["effective"]), _time(said["received"])
            yield new_record(kind, subject, effective, received)
        except (MisuseError, UsageError) as problem:
            raise UsageError(Text(f"{place} 第 {number} 行：{problem.message.zh}", f"line {number} of {place}: {problem.message.en}")) from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(
                Text(
                    f"{place} 第 {number} 行不是记录，应类似 {_EXAMPLE}（类型：{'、'.join(Kind)}；至多 {_MAX_LINE} 字节）",
                    f"line {number} of {place} is no record like {_EXAMPLE} (kinds: {', '.join(Kind)}; {_MAX_LINE} bytes at most)",
                )
            ) from None


def _time(value: object) -> int:
    # True is an int to Python, and would not be the record that is read back: it was logged again each time.
    return value if isinstance(value, int) and not isinstance(value, bool) else seconds(str(value))
