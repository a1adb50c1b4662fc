"""`tutela ledger init`: a new ledger."""

from __future__ import annotations

import argparse

from tutela.cli.ledger import folders
from tutela.language import Lang, Text


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the action."""
    folders.configure(parser, lang)
    parser.add_argument(
        "--origin",
        required=True,
        metavar=Text("名称", "NAME").in_(lang),
        help=Text(
            "账本的唯一名称，最好是不带 https:// 的网址，如 ledger.example.edu.cn/2026",
            "the ledger's unique name, best a URL without https://, like ledger.example.edu/2026",
        ).in_(lang),
    )


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Make the folders and the key, and say what to do with them."""
    from tutela.ledger.store.keeper import create

    private = folders.private(arguments)
    made = create(arguments.ledger, private, arguments.origin)
    key = made.keys[0].vkey
    print(
        Text(
            f"已建账本 {made.origin}\n"
            f"公开：{arguments.ledger}（可由任何静态网站发布）\n"
            f"私有：{private}（签名密钥和状态；不要发布，不要从备份恢复）\n"
            f"验证密钥（请当面或另行交给对方，由对方保存）：\n  {key}",
            f"made the ledger {made.origin}\n"
            f"public: {arguments.ledger} (any static web server can publish it)\n"
            f"private: {private} (signing key and state; never publish it, nor restore it from a backup)\n"
            f"verifier key (hand it to the other side in person or by another way, for them to keep):\n  {key}",
        ).in_(lang)
    )
    return 0
