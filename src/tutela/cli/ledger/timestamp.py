"""`tutela ledger timestamp`: have a time-stamping authority witness the newest checkpoint, and keep its answer beside the log."""

from __future__ import annotations

import argparse
from pathlib import Path

from tutela.cli.ledger import trust
from tutela.cli.ledger.files import read_file
from tutela.cli.options import FILE, FOLDER, Arguments
from tutela.errors import UsageError
from tutela.language import Lang, Text
from tutela.ledger.log import read_checkpoint
from tutela.ledger.store import stamps
from tutela.ledger.store.folder import Folder


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the action."""
    options = Arguments(parser, lang)
    options.add("ledger", zh="账本的公开文件夹", en="the ledger's public folder", type=Path, metavar=FOLDER)

    options.add("--tsa", zh="时间戳机构的网址（RFC 3161）", en="the authority's URL (RFC 3161)", metavar=Text("网址", "URL"))
    options.add(
        "--query",
        zh="不联网：把请求写入此文件，带去机构",
        en="without a network: write the query to this file, to be carried to the authority",
        type=Path,
        metavar=FILE,
    )
    options.add("--reply", zh="不联网：存入机构对该请求的回答", en="without a network: keep the authority's answer to that query", type=Path, metavar=FILE)
    trust.configure_roots(parser, lang)


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Ask and keep, or one of both."""
    from tutela.collect.archive import write_whole
    from tutela.ledger.timestamp import MAX_REPLY_BYTES, check_about, question, verify
    from tutela.ledger.web import time_stamp

    if sum(map(bool, (arguments.tsa, arguments.query, arguments.reply))) != 1:
        raise UsageError(Text("请给出 --tsa、--query、--reply 三者之一", "name one of --tsa, --query, --reply"))
    head = read_checkpoint(Folder(arguments.ledger))
    content = head.note.text.encode()
    if arguments.query:
        write_whole(arguments.query, question(content).content)
        print(
            Text(
                f"已写入 {arguments.query}：检查点 {head.checkpoint.size} 条。账本增长之前请把回答用 --reply 存入",
                f"wrote {arguments.query}: checkpoint of {head.checkpoint.size} entries. Keep the answer with --reply before the ledger grows",
            ).in_(lang)
        )
        return 0
    asked = question(content) if arguments.tsa else None
    reply = time_stamp(arguments.tsa, asked.content) if asked else read_file(arguments.reply, MAX_REPLY_BYTES)
    roots = trust.roots_of(arguments)
    stamped = verify(content, reply, roots) if roots else None
    check_about(content, reply, asked)
    path = stamps.keep(arguments.ledger, head, reply)
    said = Text(f"已存 {path}：检查点 {head.checkpoint.size} 条", f"kept {path}: checkpoint of {head.checkpoint.size} entries")
    if stamped:
        at = f"{stamped.time:%Y-%m-%dT%H:%M:%SZ}"
        print(Text(f"{said.zh}，{at}（{stamped.verified_by} 已验证）", f"{said.en}, {at} (verified by {stamped.verified_by})").in_(lang))
    else:
        print(Text(f"{said.zh}；未验证（验证请加 --tsa-root）", f"{said.en}; not verified (for that, add --tsa-root)").in_(lang))
    return 0
