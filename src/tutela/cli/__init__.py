"""The command line: the only room that prints, reads the environment and chooses exit codes.

One file a command, each with `configure(parser, lang)` and `run(arguments, console) -> int`; what a command needs is imported when it runs, so `--help` stays quick.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn, TextIO

from tutela.errors import TutelaError, said_by_system
from tutela.language import Lang, Text, same

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["COMMANDS", "main", "program"]

COMMANDS: dict[str, Text] = {
    "check": Text("对照协议检查服务器", "check servers against the agreement"),
    "scan": Text("从外部看：哪些端口可达，什么在应答", "from outside: which ports are reachable, and what answers"),
    "scanner": Text("常驻扫描进程：只持有 CAP_NET_RAW，替普通用户扫描", "the resident scanner: holds CAP_NET_RAW alone, and scans for ordinary users"),
    "collect": Text("只采集证据，存成证据包", "collect evidence only, into a bundle"),
    "ledger": Text("账本：只增不改，双方都能验证", "the ledger: append-only, and either side can verify it"),
    "explain": Text("解释条款、检查或目录编号", "explain a clause, a check or a catalogue id"),
    "site": Text("站点文件：写一份带注释的模板，或检验已有文件", "the site file: write a commented one, or verify yours"),
    "completion": Text("输出命令行补全脚本", "print a completion script for your shell"),
    "manual": Text("输出手册页（roff）", "print the manual page (roff)"),
}
"""A command is the module of the same name in this room."""

EXIT_KEPT, EXIT_ERROR, EXIT_BROKEN, EXIT_UNPROVEN, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


def program() -> NoReturn:
    """A whole process: run the command that was typed, and end with its status."""
    status = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # Everything ends now: to take it apart first, piece by piece, is time in which nothing happens.
    os._exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    0 all kept, 1 the tool failed, 2 something broken at or above `--fail-on`, 3 nothing broken but something unproven, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    lang = choose_language(words, os.environ)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that knows no Chinese shows escapes rather than a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = _parsed(words, lang)
        run = import_module(f"tutela.cli.{arguments.command}").run
        status = run(arguments, lang)
        sys.stdout.flush()
        return int(status)
    except TutelaError as problem:
        print(f"tutela: {said(problem, lang)}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print(Text("tutela: 已中断", "tutela: interrupted").in_(lang), file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; Python must not complain about it at exit.
        _forget_output()
        return EXIT_ERROR
    except OSError as problem:
        print(f"tutela: {said(problem, lang)}", file=sys.stderr)
        _forget_output()
        return EXIT_ERROR


def said(problem: TutelaError | OSError, lang: Lang) -> str:
    """What went wrong, in `lang`."""
    from tutela.report.inert import inert_lines

    if isinstance(problem, TutelaError):
        words = problem.in_(lang)
    else:
        # Whatever opens a file names it; what has no name is where the report goes.
        place = same(str(problem.filename)) if problem.filename else Text("标准输出", "standard output")
        why = said_by_system(problem)
        words = Text(f"{place.zh}：{why.zh}", f"{place.en}: {why.en}").in_(lang)
    # What it names may come from strangers: a host, a ledger, a file.
    return "\n".join(inert_lines(words))


def _parsed(words: list[str], lang: Lang) -> argparse.Namespace:
    """The arguments; help and wrong words end the program here."""
    from tutela.cli.parser import build

    # Options of the program may stand before the command.
    parser = build(lang, [next((word for word in words if word in COMMANDS), "")])
    if not words:
        parser.print_help(sys.stderr)
        raise SystemExit(EXIT_ERROR)
    try:
        return parser.parse_args(words)
    except SystemExit:
        # What cannot be written shows now, not after the last line of this program.
        sys.stdout.flush()
        raise


def _open_closed_streams() -> None:
    """Give closed standard streams a place again, so that no file of ours is opened under their numbers.

    Standard output that was closed (`>&-`) can be opened but not written to: a report that nobody gets is an error.
    """
    if sys.stdout is None:
        sys.stdout = _reopened(1, os.O_RDONLY)
    if sys.stderr is None:
        sys.stderr = _reopened(2, os.O_WRONLY)


def _reopened(number: int, way: int) -> TextIO:
    opened = os.open(os.devnull, way)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    return open(number, "w", encoding="utf-8")


def _forget_output() -> None:
    """What could not be written is not tried again, with a traceback, at the end of the program."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def choose_language(words: Sequence[str], environment: os._Environ[str] | dict[str, str]) -> Lang:
    """`--lang`, then TUTELA_LANG, then the locale as setlocale(3) reads it; what is no Chinese is English."""
    for index, word in enumerate(words):
        if word == "--":
            break
        value = word[7:] if word.startswith("--lang=") else words[index + 1] if word == "--lang" and index + 1 < len(words) else None
        if value in ("zh", "en"):
            return Lang(value)
    asked = environment.get("TUTELA_LANG") or environment.get("LC_ALL") or environment.get("LC_MESSAGES") or environment.get("LANG") or ""
    return Lang.ZH if asked.lower().startswith("zh") else Lang.EN
