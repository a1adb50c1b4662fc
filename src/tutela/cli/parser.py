"""The argument parser, in both languages; the manual page and the completions come from it too."""

from __future__ import annotations

import argparse
from collections.abc import Container
from importlib import import_module
from typing import Any, NoReturn

from tutela import __version__
from tutela.cli import COMMANDS, EXIT_ERROR
from tutela.cli.terminal import columns
from tutela.language import Lang, Text

_ARGPARSE_ZH = {
    "usage: ": "用法：",
    "positional arguments": "参数",
    "options": "选项",
    "show this help message and exit": "显示本帮助",
    "the following arguments are required: %s": "缺少参数：%s",
    "unrecognized arguments: %s": "不认识的参数：%s",
    "expected one argument": "后面要有一个值",
    "expected at least one argument": "后面至少要有一个值",
    "ignored explicit argument %r": "后面不能有值：%r",
    "one of the arguments %s is required": "至少要有其中一个：%s",
    "invalid choice: %(value)r (choose from %(choices)s)": "%(value)r 不在可选值中：%(choices)s",
    "invalid %(type)s value: %(value)r": "%(value)r 不是从 1 起的整数",
    "argument %(argument_name)s: %(message)s": "参数 %(argument_name)s：%(message)s",
    "ambiguous option: %(option)s could match %(matches)s": "选项 %(option)s 有歧义，可能是 %(matches)s",
    "not allowed with argument %s": "不能与 %s 同用",
}
_ARGPARSE_EN = {"invalid %(type)s value: %(value)r": "%(value)r is no whole number from 1 on"}
"""The only values with a type of their own are such numbers."""


class Parser(argparse.ArgumentParser):
    """argparse with our exit status: 2 means "broken" here, so a wrong word exits with 1."""

    lang = Lang.EN
    _intermixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `argparse.ArgumentParser.parse_known_args`. Options may stand anywhere, as in `append LEDGER --kind letter FILE`.

        argparse (before Python 3.13) takes it that words which may be left out were left out, once it has come to an option behind the first word.
        """
        if self._intermixed or any(action.nargs == argparse.PARSER for action in self._get_positional_actions()):
            return super().parse_known_args(args, namespace)
        self._intermixed = True
        if self.usage is None:
            # Else argparse cuts off as many characters as the English word has.
            self.usage = self.format_usage().removeprefix(argparse._("usage: ")).rstrip()  # type: ignore[attr-defined]
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixed = False

    def error(self, message: str) -> NoReturn:
        """What is wrong in one line, and where to read on."""
        more = Text(f"用法见：{self.prog} --help", f"how to use it: {self.prog} --help").in_(self.lang)
        self.exit(EXIT_ERROR, f"{self.prog}: {message}\n{more}\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """See `argparse.ArgumentParser.exit`."""
        super().exit(EXIT_ERROR if status else 0, message)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help in columns, where a Chinese character takes two."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=max(columns(100), 60))

    def _split_lines(self, text: str, width: int) -> list[str]:
        from tutela.report.columns import wrapped

        return list(wrapped(text, width))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        from tutela.report.columns import wrapped

        return "\n".join(wrapped(text, width, first=indent, rest=indent))

    def _format_usage(self, *arguments: Any) -> str:
        said = super()._format_usage(*arguments)
        if said.isascii():
            return said
        # argparse breaks the usage by counting characters: it gets less room until all columns fit.
        from tutela.report.columns import width

        whole = self._width
        while self._width > 40 and any(width(line) > whole for line in said.split("\n")):
            self._width -= 1
            said = super()._format_usage(*arguments)
        self._width = whole
        return said

    def add_argument(self, action: argparse.Action) -> None:
        """See `argparse.HelpFormatter.add_argument`: the column of explanations begins behind the widest word."""
        from tutela.report.columns import width

        super().add_argument(action)
        if action.help is not argparse.SUPPRESS:
            self._action_max_length = max(self._action_max_length, width(self._format_action_invocation(action)) + self._current_indent)

    def _format_action(self, action: argparse.Action) -> str:
        from tutela.report.columns import width

        said = super()._format_action(action)
        invocation = self._format_action_invocation(action)
        wider = width(invocation) - len(invocation)
        if not wider or not action.help:
            return said
        if invocation + "  " + " " * wider in said:
            return said.replace(invocation + " " * wider, invocation, 1)
        # Too wide for its column: the explanation stands below, as argparse does it with words too long.
        below = " " * min(self._action_max_length + 2, self._max_help_position)
        first, _, rest = said.partition(invocation)
        return f"{first}{invocation}\n{below}{rest.lstrip()}" if rest and rest[0] == " " else said


def build(lang: Lang, commands_with_arguments: Container[str] = frozenset(COMMANDS)) -> Parser:
    """The parser; only the commands named get their arguments built, since that is what costs time."""
    # argparse looks its few words up by this name; a catalogue in gettext's binary form would do no more.
    argparse._ = (lambda words: _ARGPARSE_ZH.get(words, words)) if lang is Lang.ZH else (lambda words: _ARGPARSE_EN.get(words, words))  # type: ignore[attr-defined]
    Parser.lang = lang
    parser = Parser(
        prog="tutela",
        formatter_class=_Help,
        description=Text("守责：让服务器安全协议自己运行起来。", "Tutela: the server-security agreement that runs.").in_(lang),
        epilog=Text(
            "退出状态：0 全部履行；1 程序出错；2 有达到 --fail-on 的违约；3 没有违约但有未证实；130 被中断。",
            "exit status: 0 all kept; 1 the tool failed; 2 broken at or above --fail-on; 3 nothing broken, something unproven; 130 interrupted.",
        ).in_(lang),
    )
    shown = Text("显示版本号", "show the version and exit").in_(lang)
    add_language(parser, lang)
    parser.add_argument("--version", action="version", version=f"tutela {__version__}", help=shown)
    commands = parser.add_subparsers(dest="command", metavar=Text("命令", "COMMAND").in_(lang), required=True, parser_class=Parser)
    for name, about in COMMANDS.items():
        command = commands.add_parser(name, help=about.in_(lang), description=about.in_(lang), formatter_class=_Help)
        if name in commands_with_arguments:
            add_language(command, lang)
            import_module(f"tutela.cli.{name}").configure(command, lang)
    return parser


def add_language(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """`--lang`, on every command."""
    parser.add_argument(
        "--lang", choices=tuple(one.value for one in Lang), help=Text("输出语言（默认随系统）", "language of the output (default: the locale's)").in_(lang)
    )
