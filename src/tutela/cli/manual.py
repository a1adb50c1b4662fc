"""`tutela manual`: the manual page in roff, made from the same parser as the commands; see man(7)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from tutela import __version__
from tutela.language import Lang, Text


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """No arguments."""
    _ = (parser, lang)


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Print the page: tutela manual | man -l -"""
    _ = arguments
    print("\n".join(page(lang)))
    return 0


def page(lang: Lang) -> Iterator[str]:
    """Lines of the page."""
    from tutela.cli.completion import actions, commands, options

    yield f'.TH TUTELA 1 "" "tutela {__version__}"'
    yield ".ad l"
    yield ".SH " + Text("名称", "NAME").in_(lang)
    yield "tutela \\- " + _roff(Text("让服务器安全协议自己运行", "the server-security agreement that runs").in_(lang))
    yield ".SH " + Text("用法", "SYNOPSIS").in_(lang)
    listed = [one for one in commands(lang) if not actions(one[2])]
    for name, _, command in listed:
        targets = " ".join(_positional(action) for action in command._actions if not action.option_strings)  # noqa: SLF001
        yield f".B tutela {name}"
        yield _roff(f"[{Text('选项', 'options').in_(lang)}] {targets}")
        yield ".br"
    yield ".SH " + Text("命令", "COMMANDS").in_(lang)
    for name, about, command in listed:
        yield f".SS {name}"
        yield _roff(about)
        for action in command._actions:  # noqa: SLF001
            if action.option_strings:
                continue
            yield ".TP"
            yield f".I {_roff(str(action.metavar or action.dest))}"
            yield _roff(action.help or "")
        for action in options(command):
            yield ".TP"
            value = "" if action.nargs == 0 else " " + str(action.metavar or "{" + ",".join(map(str, action.choices or ())) + "}")
            yield f".B {_roff(', '.join(action.option_strings) + value)}"
            yield _roff((action.help or "").replace("%%", "%"))
    yield ".SH " + Text("退出状态", "EXIT STATUS").in_(lang)
    for status, meaning in EXITS.items():
        yield ".TP"
        yield f".B {status}"
        yield _roff(meaning.in_(lang))
    yield ".SH " + Text("环境变量", "ENVIRONMENT").in_(lang)
    for name, meaning in ENVIRONMENT.items():
        yield ".TP"
        yield f".B {name}"
        yield _roff(meaning.in_(lang))


EXITS = {
    0: Text("全部履行", "everything is kept"),
    1: Text("程序出错", "the tool failed"),
    2: Text("有达到 --fail-on 的违约", "something at or above --fail-on is broken"),
    3: Text("没有违约，但有未证实", "nothing is broken, but something is unproven"),
    130: Text("被中断；已完成的主机照常报告", "interrupted; finished hosts are reported"),
}
ENVIRONMENT = {
    "TUTELA_LANG": Text("zh 或 en；优先于系统区域设置", "zh or en; wins over the locale"),
    "NO_COLOR": Text("设置后不用颜色", "no colour when set"),
    "TUTELA_SCANNER": Text("常驻扫描进程的套接字", "socket of the resident scanner"),
    "XDG_STATE_HOME": Text("最近一次本机证据包所在文件夹", "where the last bundle of this host is kept"),
}


def _positional(action: argparse.Action) -> str:
    """`ID`, `[BUNDLE]`, `FILE…`, `[TARGET…]`: what may be left out stands in brackets."""
    name = str(action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest))
    name += "…" if action.nargs in ("*", "+") else ""
    return f"[{name}]" if action.nargs in ("*", "?") else name


def _roff(words: str) -> str:
    """Text that roff prints as it stands."""
    words = words.replace("\\", "\\e").replace("-", "\\-")
    # Chinese has no blanks to break a line at.
    words = re.sub(r"([\u3000-\u9fff\uff00-\uffef])", r"\1\\:", words)
    return "\\&" + words if words.startswith((".", "'")) else words
