"""`tutela ledger forget`: delete the salt of a subject, so that nobody can tell any more what its entry spoke of."""

from __future__ import annotations

import argparse
from pathlib import Path

from tutela.cli.ledger import folders
from tutela.cli.ledger.subject import read_subject
from tutela.cli.options import Arguments
from tutela.language import Lang, Text
from tutela.ledger.entry import salted_digest
from tutela.ledger.refused import MisuseError


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the action."""
    options = Arguments(parser, lang)
    folders.configure(parser, lang)
    options.add(
        "subject",
        zh="加盐的摘要（hmac-sha256:…），或已记入的文件",
        en="a salted digest (hmac-sha256:…), or a file that was logged",
        metavar=Text("主体", "SUBJECT"),
    )


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Delete the salt; the entry stays, as it must."""
    from tutela.ledger.store.keeper import SALTS
    from tutela.ledger.store.salts import Salts

    salts = Salts(folders.private(arguments) / SALTS)
    subject: str = arguments.subject
    if not subject.startswith("hmac-sha256:"):
        content = read_subject(Path(subject)).content
        salt = salts.known(content)
        subject = salted_digest(content, salt) if salt else subject
    if not salts.forget(subject):
        raise MisuseError(Text(f"没有 {subject} 的盐：没有加盐，或已经删除", f"there is no salt for {subject}: it was not salted, or is deleted already"))
    print(
        Text(
            f"已删除 {subject} 的盐。记录仍在、仍可验证，但已无法得知它说的是谁；已发出的收据里若有盐，请一并收回。",
            f"deleted the salt of {subject}. The entry stays and verifies, but nobody can tell what it speaks of; receipts already given out may still hold the salt.",
        ).in_(lang)
    )
    return 0
