"""`tutela ledger witness`: the owner's side watches a log, and cosigns what continues what it saw before."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tutela.cli import EXIT_BROKEN, EXIT_KEPT
from tutela.cli.ledger.files import read_file
from tutela.cli.ledger.trust import keys_of, shown_by
from tutela.cli.ledger.verify import source_of
from tutela.cli.options import FILE, FOLDER, Arguments
from tutela.errors import UsageError, said_by_system
from tutela.language import Lang, Text
from tutela.ledger.checkpoint import SignedCheckpoint, parse_signed
from tutela.ledger.fork import TwoHistoriesError
from tutela.ledger.log import Source, read_checkpoint
from tutela.ledger.note import Signature
from tutela.ledger.refused import ConflictError, MisuseError, OriginError
from tutela.ledger.store.seen import Seen, create
from tutela.ledger.witness import MAX_REQUEST_BYTES, Request, authentic, parse_request
from tutela.report.inert import inert

Tell = Callable[[Text], None]
"""Where sentences for people go: standard output is for what was asked for."""


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the action."""
    options = Arguments(parser, lang)
    options.add("witness", zh="见证人自己的文件夹：密钥和见过的检查点", en="the witness's own folder: its key, and what it has seen", type=Path, metavar=FOLDER)
    options.add(
        "log",
        zh="要见证的账本：文件夹、网址，或 tutela ledger checkpoint --from 写出的文件",
        en="the ledger to look at: a folder, a URL, or a file written by tutela ledger checkpoint --from",
        nargs="?",
        metavar=Text("账本", "LOG"),
    )
    options.add(
        "--init", zh="新建见证人；名称最好是不带 https:// 的网址", en="make a new witness; best named like a URL without https://", metavar=Text("名称", "NAME")
    )
    options.add(
        "--key",
        zh="从此认识这本账：对方交来的验证密钥，或存有它的文件；可重复",
        en="know this ledger from now on: its verifier key, or a file that holds it; may be repeated",
        action="append",
        default=[],
        metavar=Text("密钥", "VKEY"),
    )
    options.add(
        "--trust-on-first-use",
        zh="第一次见到这本账时相信它自己给出的密钥，显示并记住（请与对方核对）",
        en="the first time, believe the key that the ledger itself shows; it is printed and pinned (compare it with the other side)",
        action="store_true",
    )
    options.add("--output", zh="见证签名写入文件（默认标准输出）", en="write the cosignature to this file (default standard output)", type=Path, metavar=FILE)
    options.add(
        "--serve", zh="作为 tlog-witness 服务运行，直到 SIGTERM", en="serve tlog-witness over HTTP until SIGTERM", metavar=Text("主机:端口", "HOST:PORT")
    )


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """0 cosigned; 2 a second history was found, and the proof of it is kept; 1 it could not be looked at, or there is nothing to cosign."""

    def tell(line: Text) -> None:
        print(inert(line.in_(lang)), file=sys.stderr, flush=True)

    if str(arguments.witness).startswith(("http:/", "https:/")):
        raise UsageError(
            Text(
                "先写见证人自己的文件夹，再写要见证的账本：tutela ledger witness 文件夹 网址",
                "the witness's own folder comes first, then the ledger to look at: tutela ledger witness FOLDER URL",
            )
        )
    keys = keys_of(arguments.key)
    if arguments.init:
        made = create(arguments.witness, arguments.init)
        tell(Text("已建见证人。验证密钥（请交给对方，写进策略）：", "made the witness. Its verifier key, for the other side's policy:"))
        print(made.cosigner.key.vkey)
    seen = Seen(arguments.witness)
    for key in keys:
        seen.pin(key)
        tell(Text(f"已记住账本 {key.vkey}", f"pinned the ledger {key.vkey}"))
    if arguments.serve:
        return _serve(seen, arguments.serve, tell)
    if not arguments.log:
        if arguments.init or keys:
            return EXIT_KEPT
        raise UsageError(Text("要见证哪本账？给出文件夹、网址或文件，或用 --serve", "which ledger? Name a folder, a URL or a file, or --serve"))
    try:
        head, signature = _looked(seen, arguments, tell)
    except OriginError as problem:
        raise OriginError(
            Text(
                f"{problem.message.zh}：用 --key 给出对方交来的验证密钥；对文件夹或网址也可以 --trust-on-first-use",
                f"{problem.message.en}: give the verifier key that was handed to you with --key; for a folder or URL also --trust-on-first-use",
            )
        ) from None
    except TwoHistoriesError as found:
        tell(found.message)
        tell(Text(f"没有见证。证据：{seen.proof_of(found.fork)}", f"not cosigned. The proof is kept: {seen.proof_of(found.fork)}"))
        return EXIT_BROKEN
    if arguments.output:
        from tutela.collect.archive import write_whole

        write_whole(arguments.output, signature.line.encode())
    else:
        print(signature.line, end="")
    tell(Text(f"已见证 {head.checkpoint.origin}：{head.checkpoint.size} 条", f"cosigned {head.checkpoint.origin}: {head.checkpoint.size} entries"))
    return EXIT_KEPT


def _looked(seen: Seen, arguments: argparse.Namespace, tell: Tell) -> tuple[SignedCheckpoint, Signature]:
    if "://" in arguments.log or Path(arguments.log).is_dir():
        source = source_of(arguments.log)
        if arguments.trust_on_first_use:
            _pin_first(seen, source, tell)
        return seen.look(source)
    if arguments.trust_on_first_use:
        raise UsageError(
            Text("文件里没有账本的密钥：用 --key 给出", "a file does not show the ledger's key: give it with --key"),
        )
    request = _brought(seen, Path(arguments.log))
    try:
        return request.head, seen.add(request)
    except ConflictError as conflict:
        raise MisuseError(
            Text(
                f"见证人见过 {conflict.size} 条，文件是从 {request.old} 条起证明的：请对方用 tutela ledger checkpoint 文件夹 --from {conflict.size} 再做一份",
                f"the witness has seen {conflict.size} entries, and the file proves from {request.old} on: have another one made by "
                f"tutela ledger checkpoint DIR --from {conflict.size}",
            )
        ) from None


def _pin_first(seen: Seen, source: Source, tell: Tell) -> None:
    """Believes the key that a log shows, if no key of that log is known yet and it signed what the log shows."""
    head = read_checkpoint(source)
    origin = head.checkpoint.origin
    if any(key.name == origin for key in seen.keys):
        return
    keys = shown_by(source, origin)
    authentic(head, keys)
    for key in keys:
        seen.pin(key)
        tell(
            Text(
                f"初次信任，已记住这把密钥，请与账本的主人核对：\n  {key.vkey}",
                f"trusted on first use and pinned; compare this key with the ledger's keeper: {key.vkey}",
            )
        )


def _brought(seen: Seen, path: Path) -> Request:
    """What was brought by hand: a request, or a bare checkpoint, for which no proof is needed the first time."""
    content = read_file(path, MAX_REQUEST_BYTES)
    if content.startswith(b"old "):
        return parse_request(content)
    head = parse_signed(content)
    last = seen.last(head.checkpoint.origin)
    same = last is not None and last.checkpoint.size == head.checkpoint.size
    return Request(head.checkpoint.size if same else 0, (), head)


def _serve(seen: Seen, where: str, tell: Tell) -> int:
    from tutela.ledger.serving import WitnessServer

    host, parted, port = where.rpartition(":")
    if not parted or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise UsageError(Text(f"--serve 应为 主机:端口，而不是 {where!r}", f"--serve takes HOST:PORT, not {where!r}"))
    host = host.strip("[]")
    try:
        server = WitnessServer((host, int(port)), seen, tell)
    except OSError as problem:
        why = said_by_system(problem)
        raise UsageError(Text(f"无法监听 {where}：{why.zh}", f"cannot listen on {where}: {why.en}")) from None
    # shutdown() waits for the loop to end, which this thread runs.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    with server:
        at, chosen = server.server_address[:2]
        url = f"http://[{at!s}]:{chosen}" if ":" in str(at) else f"http://{at!s}:{chosen}"
        tell(Text(f"见证人 {seen.cosigner.name}：{url}", f"the witness {seen.cosigner.name} serves at {url}"))
        server.serve_forever()
    return EXIT_KEPT
