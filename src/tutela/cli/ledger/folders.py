"""The options that say which ledger is meant."""

from __future__ import annotations

import argparse
from pathlib import Path

from tutela.language import Lang, Text


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """The ledger's folder, and where its key is."""
    folder = Text("文件夹", "DIR").in_(lang)
    parser.add_argument("ledger", type=Path, metavar=folder, help=Text("账本的公开文件夹", "the ledger's public folder").in_(lang))
    parser.add_argument(
        "--private",
        type=Path,
        metavar=folder,
        help=Text(
            "密钥所在的私有文件夹（默认在公开文件夹旁，名称加 .private）", "the private folder with its key (default: beside the public one, named DIR.private)"
        ).in_(lang),
    )


def private(arguments: argparse.Namespace) -> Path:
    """The private folder that was named, or the one beside the public folder."""
    from tutela.ledger.store.keeper import private_beside

    return arguments.private or private_beside(arguments.ledger)
