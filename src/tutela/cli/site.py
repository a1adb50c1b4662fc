"""`tutela site`: write a commented site file, or verify one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import date
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from tutela.cli.clock import now
from tutela.cli.options import declared, read_rulebook, read_site_file
from tutela.errors import UsageError, said_by_system
from tutela.language import Lang, Text

if TYPE_CHECKING:
    from tutela.agreement.rulebook import Content
    from tutela.site import Site


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "action", choices=("init", "verify"), help=Text("init 写模板；verify 检验", "init writes a commented file; verify reads yours").in_(lang)
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=Path("site.yaml"),
        metavar=Text("文件", "FILE").in_(lang),
        help=Text("默认 site.yaml", "default site.yaml").in_(lang),
    )


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Write or verify a site file; an existing file is never overwritten."""
    path: Path = arguments.file
    if arguments.action == "init":
        text = (resources.files("tutela") / "content" / "templates" / f"site.{lang}.yaml").read_bytes()
        try:
            with path.open("xb") as file:
                try:
                    file.write(text)
                    file.flush()
                except OSError:
                    # Half a file would stand in the way of the next try.
                    path.unlink()
                    raise
        except FileExistsError:
            raise UsageError(Text(f"{path} 已存在，没有改动；请换一个文件名", f"{path} exists and was left as it is; name another file")) from None
        except OSError as problem:
            why = said_by_system(problem)
            raise UsageError(Text(f"无法写入 {path}：{why.zh}", f"cannot write {path}: {why.en}")) from None
        print(Text(f"已写入 {path}。填好后：tutela check --site {path}", f"wrote {path}. Fill it in, then: tutela check --site {path}").in_(lang))
        return 0
    from tutela.library import load_content

    site = declared(read_site_file(path))
    content = load_content()
    rulebook = read_rulebook(None, site, content)
    profile = ", ".join(one.id for one in rulebook.profiles)
    words = Text(
        "{path} 无误：配置档案 {profile}，{waivers} 项豁免，{ports} 个批准端口",
        "{path} is well-formed: profile {profile}, {waivers} waivers, {ports} approved ports",
    )
    print(words.with_values(path=path, profile=profile, waivers=len(site.waivers), ports=len(site.approved_ports or ())).in_(lang))
    for warning in _useless(site, content, now().date()):
        print(f"{path}: {warning.in_(lang)}")
    return 0


def _useless(site: Site, content: Content, today: date) -> Iterator[Text]:
    """Waivers and attestations that will count for nothing: a check would say so too, but only on the day when it is too late."""
    clauses = {clause.id for agreement in content.agreements.values() for clause in agreement.clauses}
    known = {*content.checks, *content.by_catalogue(), *clauses}
    for number, waiver in enumerate(site.waivers):
        where = f"waivers.{number}"
        if waiver.target not in known:
            yield Text(
                f"{where}.target：没有检查或条款叫 {waiver.target}（自己用 --content 加的除外），这项豁免不起作用",
                f"{where}.target: no check and no clause is called {waiver.target} (your own in --content apart); this waiver excuses nothing",
            )
        elif waiver.expires < today:
            yield _expired(where, waiver.expires)
    for number, attestation in enumerate(site.attestations):
        where = f"attestations.{number}"
        if attestation.clause not in clauses:
            yield Text(
                f"{where}.clause：没有条款叫 {attestation.clause}（自己用 --content 加的除外），这项证据不起作用",
                f"{where}.clause: no clause is called {attestation.clause} (your own in --content apart); this evidence shows nothing",
            )
        elif attestation.expires < today:
            yield _expired(where, attestation.expires)


def _expired(where: str, day: date) -> Text:
    return Text(f"{where}.expires：{day} 已到期，不再起作用", f"{where}.expires: expired on {day}; it counts for nothing")
