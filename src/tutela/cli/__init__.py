"""The command line: the only room that prints, reads the environment and chooses exit codes.

One file a command, each with `configure(parser, lang)` and `run(arguments, console) -> int`; what a command needs is imported when it runs, so `--help` stays quick.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from tutela.errors import TutelaError
from tutela.language import Lang, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, Text] = {
    "check": Text("对照协议检查服务器", "check servers against the agreement"),
    "scan": Text("从外部看：哪些端口可达，什么在应答", "from outside: which ports are reachable, and what answers"),
    "collect": Text("只采集证据，存成证据包", "collect evidence only, into a bundle"),
    "explain": Text("解释条款、检查或目录编号", "explain a clause, a check or a catalogue id"),
    "site": Text("站点文件：写一份带注释的模板，或检验已有文件", "the site file: write a commented one, or verify yours"),
    "completion": Text("输出命令行补全脚本", "print a completion script for your shell"),
    "manual": Text("输出手册页（roff）", "print the manual page (roff)"),
}
"""A command is the module of the same name in this room."""

EXIT_KEPT, EXIT_ERROR, EXIT_BROKEN, EXIT_UNPROVEN, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    0 all kept, 1 the tool failed, 2 something broken at or above `--fail-on`, 3 nothing broken but something unproven, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    lang = choose_language(words, os.environ)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that knows no Chinese shows escapes rather than a traceback.
            stream.reconfigure(errors="backslashreplace")
    from tutela.cli.parser import build

    try:
        arguments = build(lang, words[:1]).parse_args(words)
        run = import_module(f"tutela.cli.{arguments.command}").run
        status = run(arguments, lang)
        sys.stdout.flush()
        return int(status)
    except TutelaError as problem:
        print(f"tutela: {problem.in_(lang)}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print(Text("tutela: 已中断", "tutela: interrupted").in_(lang), file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except OSError as problem:
        name = problem.filename or "-"
        print(f"tutela: {name}: {problem.strerror}", file=sys.stderr)
        return EXIT_ERROR


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
