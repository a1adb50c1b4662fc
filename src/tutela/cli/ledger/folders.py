"""The options that say which ledger is meant."""

from __future__ import annotations

import argparse
from pathlib import Path

from tutela.cli.options import FOLDER, Arguments
from tutela.language import Lang


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """The ledger's folder, and where its key is."""
    options = Arguments(parser, lang)
    options.add("ledger", zh="账本的公开文件夹", en="the ledger's public folder", type=Path, metavar=FOLDER)
    options.add(
        "--private",
        zh="密钥所在的私有文件夹（默认在公开文件夹旁，名称加 .private）",
        en="the private folder with its key (default: beside the public one, named DIR.private)",
        type=Path,
        metavar=FOLDER,
    )


def private(arguments: argparse.Namespace) -> Path:
    """The private folder that was named, or the one beside the public folder."""
    from tutela.ledger.store.keeper import private_beside

    return arguments.private or private_beside(arguments.ledger)
