"""`tutela ledger init`: a new ledger."""

from __future__ import annotations

import argparse

from tutela.cli.ledger import folders
from tutela.cli.options import Arguments
from tutela.language import Lang, Text


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the action."""
    options = Arguments(parser, lang)
    folders.configure(parser, lang)
    options.add(
        "--origin",
        zh="账本的唯一名称，最好是不带 https:// 的网址，如 ledger.example.edu.cn/2026",
        en="the ledger's unique name, best a URL without https://, like ledger.example.edu/2026",
        required=True,
        metavar=Text("名称", "NAME"),
    )
    options.add(
        "--sm2",
        zh="另用国密 SM2/SM3 签名（第二把密钥，由系统的 OpenSSL 3 计算）",
        en="sign by SM2 with SM3 too, a second key (computed by the system's OpenSSL 3)",
        action="store_true",
    )


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Make the folders and the key, and say what to do with them."""
    from tutela.ledger.store.keeper import create

    private = folders.private(arguments)
    made = create(arguments.ledger, private, arguments.origin, sm2=arguments.sm2)
    keys = "\n".join(f"  {key.vkey}" for key in made.keys)
    print(
        Text(
            f"已建账本 {made.origin}\n"
            f"公开：{arguments.ledger}（可由任何静态网站发布）\n"
            f"私有：{private}（签名密钥和状态；不要发布，不要从备份恢复）\n"
            f"验证密钥（请当面或另行交给对方，由对方保存）：\n{keys}",
            f"made the ledger {made.origin}\n"
            f"public: {arguments.ledger} (any static web server can publish it)\n"
            f"private: {private} (signing key and state; never publish it, nor restore it from a backup)\n"
            f"verifier key (hand it to the other side in person or by another way, for them to keep):\n{keys}",
        ).in_(lang)
    )
    return 0
