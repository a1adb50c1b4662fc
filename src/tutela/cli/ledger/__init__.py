"""`tutela ledger`: the append-only log that both sides can verify; one file an action."""

from __future__ import annotations

import argparse
from importlib import import_module

from tutela.errors import UsageError
from tutela.language import Lang, Text

ACTIONS: dict[str, Text] = {
    "init": Text("新建账本：文件夹和签名密钥", "make a new ledger: folders and a signing key"),
    "append": Text("把文件的摘要记入账本", "log the digests of files"),
    "prove": Text("为一条记录开出可离线验证的收据", "write a receipt for an entry, which verifies offline"),
    "verify": Text("验证收据，或验证账本的检查点", "verify a receipt, or a ledger's checkpoint"),
    "fsck": Text("由记录重算整本账，指出每个损坏的文件", "recompute a whole ledger from its entries, and name each damaged file"),
    "checkpoint": Text("输出最新检查点，请见证人见证", "print the newest checkpoint, and have it cosigned"),
    "timestamp": Text("请时间戳机构为最新检查点盖时间戳", "have an authority time-stamp the newest checkpoint"),
    "witness": Text("作为见证人查看账本，只见证由见过的增长而来的", "as a witness, look at a ledger and cosign what continues what was seen"),
    "export": Text("复制整本账，或把记录输出为 JSON 行", "copy a whole ledger, or print its entries as JSON lines"),
    "forget": Text("删除盐：此后无法得知某条记录说的是谁", "delete a salt: nobody can tell any more what an entry spoke of"),
}
"""An action is the module of the same name in this room."""


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of each action."""
    from tutela.cli.parser import add_language

    actions = parser.add_subparsers(dest="action", metavar=Text("动作", "ACTION").in_(lang), required=True, parser_class=type(parser))
    for name, about in ACTIONS.items():
        action = actions.add_parser(name, help=about.in_(lang), description=about.in_(lang), formatter_class=parser.formatter_class)
        add_language(action, lang)
        import_module(f"tutela.cli.ledger.{name}").configure(action, lang)


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Do what was asked."""
    try:
        return int(import_module(f"tutela.cli.ledger.{arguments.action}").run(arguments, lang))
    except ModuleNotFoundError as problem:
        if (problem.name or "").startswith("tutela"):
            raise
        raise UsageError(
            Text(
                f"账本需要 {problem.name}：pip install cryptography rfc3161-client segno",
                f"the ledger needs {problem.name}: pip install cryptography rfc3161-client segno",
            )
        ) from None
