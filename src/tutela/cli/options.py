"""Options that several commands share."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutela.errors import ContentError, UsageError, said_by_system
from tutela.language import Lang, Text

if TYPE_CHECKING:
    from tutela.agreement.rulebook import Content, Rulebook
    from tutela.collect.run import Look
    from tutela.collect.target import Target
    from tutela.evidence import Bundle
    from tutela.site import Site


def positive(words: str) -> int:
    """A whole number from 1 on."""
    value = int(words)
    if value < 1:
        raise ValueError
    return value


STANDARD = Path("-")
"""Standard output for --output, standard input for an inventory, as with most programs."""
MAX_NAMES = 3
"""Files that a notice lists."""
FILE, FOLDER = Text("文件", "FILE"), Text("文件夹", "DIR")


class Arguments:
    """Arguments of a command, explained in the reader's language."""

    def __init__(self, parser: argparse._ActionsContainer, lang: Lang) -> None:
        self._parser, self._lang = parser, lang

    def add(self, *names: str, zh: str, en: str, metavar: Text | str | None = None, **more: Any) -> None:
        """One argument; what is not said here is as for argparse's add_argument."""
        if metavar is not None:
            more["metavar"] = metavar.in_(self._lang) if isinstance(metavar, Text) else metavar
        self._parser.add_argument(*names, help=Text(zh, en).in_(self._lang), **more)


class Group(Arguments):
    """Options under one heading."""

    def __init__(self, parser: argparse.ArgumentParser, lang: Lang, zh: str, en: str) -> None:
        super().__init__(parser.add_argument_group(Text(zh, en).in_(lang)), lang)


def add_looking(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """How to reach and look at targets."""
    group = Group(parser, lang, "采集", "looking")
    group.add(
        "--quick", zh="跳过可能需要数秒的来源（如待装的安全更新）", en="leave out what may take seconds (such as pending security updates)", action="store_true"
    )
    group.add("--become", zh="在目标上使用 sudo", en="use sudo on the target", action="store_true")
    group.add(
        "--passwords",
        zh="在主机上测试弱口令（哈希与口令都不离开内存）",
        en="test for weak passwords on the host (no hash, no password leaves its memory)",
        action="store_true",
    )
    group.add("--jobs", "-j", zh="同时检查的主机数（默认 16）", en="hosts looked at side by side (default 16)", type=positive, default=16, metavar="N")
    group.add("--timeout", zh="每台主机的时限（默认 180）", en="time limit for a host (default 180)", type=positive, default=180, metavar=Text("秒", "SECONDS"))
    group.add("--ssh-config", zh="ssh 配置文件（同 ssh -F）", en="configuration file for ssh (its -F)", type=Path, metavar=FILE)


def add_scanning(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Whether to look from elsewhere too."""
    group = Group(parser, lang, "从外部探测", "looking from elsewhere")
    group.add(
        "--scan",
        zh="同时从这里探测目标的全部 TCP 端口，与主机的说法对照",
        en="scan all TCP ports of the targets from here too, and hold them against the host's word",
        action="store_true",
    )
    group.add(
        "--scan-from",
        zh="也从另一台主机探测（需要 python3，不安装任何东西）；可多次给出",
        en="look from another host too (it needs python3; nothing is installed); may be given again",
        action="append",
        default=[],
        metavar="ssh://…",
    )
    add_udp(group)
    add_scanner(group)


def add_udp(group: Group) -> None:
    """Whether a scan asks over UDP too."""
    group.add(
        "--udp",
        zh="随后询问约 40 个 UDP 服务端口（约 3 秒；不需要特权）",
        en="then ask the services on some 40 UDP ports too (about 3 s; needs no privilege)",
        action="store_true",
    )


def add_scanner(group: Group) -> None:
    """Who sends the packets of a scan."""
    group.add(
        "--scanner",
        zh="常驻扫描进程的套接字（默认 $TUTELA_SCANNER 或 /run/tutela/scanner.sock，存在时使用）",
        en="socket of a resident scanner (default $TUTELA_SCANNER, or /run/tutela/scanner.sock where it exists)",
        type=Path,
        metavar=Text("套接字", "SOCKET"),
    )


def add_judging(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """What to judge by."""
    group = Group(parser, lang, "判定", "judging")
    group.add("--profile", zh="配置档案，可多次给出（默认 campus-L1）", en="profile; may be given again (default campus-L1)", action="append", metavar="ID")
    group.add("--site", zh="站点文件（tutela site init 可生成）", en="site file (tutela site init writes one)", type=Path, metavar=FILE)
    group.add("--content", zh="追加自己的检查与协议", en="add your own checks and agreements", type=Path, action="append", default=[], metavar=FOLDER)


def read_targets(words: list[str], lang: Lang) -> list[Target]:
    """Targets of the command line; inventories unfolded; this host when none is named.

    What an inventory says in vain is told on standard error. Raises UsageError or ContentError.
    """
    from tutela.collect.target import BundleTarget, LocalTarget, read_target

    if not words:
        return [LocalTarget()]
    targets: list[Target] = []
    for word in words:
        if word.startswith("@"):
            targets += _read_inventory(word[1:], lang)
            continue
        target = read_target(word)
        if isinstance(target, BundleTarget) and target.path.is_dir():
            targets += [BundleTarget(path) for path in _bundles_in(target.path, lang)]
        else:
            targets.append(target)
    return _each_once(targets)


def _bundles_in(folder: Path, lang: Lang) -> list[Path]:
    """The bundles of a folder, by their suffix; what lies beside them is told, since it may be a host that somebody expects in the report."""
    files = sorted(path for path in folder.rglob("*") if not path.name.startswith("."))
    found = [path for path in files if path.suffix == ".bundle"]
    if not found:
        raise UsageError(Text(f"{folder} 里没有 .bundle 文件", f"there is no .bundle file in {folder}"))
    others = [path.relative_to(folder).as_posix() for path in files if path.suffix != ".bundle" and path.is_file()]
    if others:
        named = ", ".join(others[:MAX_NAMES]) + (" …" if len(others) > MAX_NAMES else "")
        _tell(
            Text(
                f"{folder}：没有查看 {len(others)} 个不以 .bundle 结尾的文件：{named}",
                f"{folder}: {len(others)} {'file that does' if len(others) == 1 else 'files that do'} not end in .bundle left out: {named}",
            ),
            lang,
        )
    return found


def _tell(words: Text, lang: Lang) -> None:
    """Something that is no error, on standard error."""
    from tutela.report.inert import inert

    print(f"tutela: {inert(words.in_(lang))}", file=sys.stderr)


def _read_inventory(name: str, lang: Lang) -> Sequence[Target]:
    from tutela.collect.inventory import read_inventory
    from tutela.collect.inventory_variables import Beside

    if not name:
        raise UsageError(Text("@ 后面要写清单文件：@hosts.ini", "behind @ stands the inventory file: @hosts.ini"))
    path = Path(name)
    try:
        raw = sys.stdin.buffer.read() if path == STANDARD else path.read_bytes()
    except OSError as problem:
        why = said_by_system(problem)
        if path.is_dir():
            why = Text("请写出清单文件，而不是文件夹", "name the inventory file, not a folder")
        raise UsageError(Text(f"无法读取清单 {name}：{why.zh}", f"cannot read the inventory {name}: {why.en}")) from None
    found = read_inventory(raw, name, Beside(path.parent))
    if found.unused:
        zh = "、".join(f"{key}（{count} 台）" for key, count in found.unused.items())
        en = ", ".join(f"{key} ({count} host{'s' if count > 1 else ''})" for key, count in found.unused.items())
        said = Text(
            f"{name}：没有采用 {zh}；跳板机、密钥等请写进 ssh_config（ProxyJump、IdentityFile），可用 --ssh-config 指定",
            f"{name}: not used: {en}; jump hosts, keys and the like belong into ssh_config (ProxyJump, IdentityFile), which --ssh-config can name",
        )
        _tell(said, lang)
    return found.targets


def _each_once(targets: list[Target]) -> list[Target]:
    """The targets without repetitions: a bundle is kept under its host's name, so a name stands for one host."""
    from tutela.collect.target import SshTarget

    named: dict[str, SshTarget] = {}
    for target in targets:
        if isinstance(target, SshTarget) and named.setdefault(target.name, target) != target:
            raise UsageError(
                Text(
                    f"名称 {target.name!r} 指两台不同的主机；请在清单里给它们不同的名称",
                    f"the name {target.name!r} stands for two different hosts; give each its own in an inventory",
                )
            )
    return list(dict.fromkeys(targets))


def refuse_bundles(arguments: argparse.Namespace, targets: list[Target]) -> None:
    """What only a host can be asked, no recorded bundle answers. Raises UsageError."""
    from tutela.collect.target import BundleTarget

    asked = next((option for option, given in (("--passwords", arguments.passwords), ("--become", arguments.become)) if given), None)
    bundle = next((target for target in targets if isinstance(target, BundleTarget)), None)
    if asked is not None and bundle is not None:
        raise UsageError(
            Text(
                f"{asked} 对证据包 {bundle.path} 不起作用：包里有什么在采集时已定；请在采集时使用（tutela collect {asked}）",
                f"{asked} does nothing to the bundle {bundle.path}: what it holds was settled when it was collected; give it to tutela collect",
            )
        )


def refuse_output(path: Path) -> None:
    """A file that could not be written is named now, not after an hour of looking. Raises UsageError."""
    try:
        if path.exists():
            wrong = errno.EISDIR if path.is_dir() else 0
        else:
            wrong = 0 if os.access(path.parent, os.W_OK) else errno.EACCES if path.parent.is_dir() else errno.ENOENT
    except OSError as problem:
        wrong = problem.errno or errno.EIO
    if wrong:
        why = said_by_system(OSError(wrong, os.strerror(wrong)))
        raise UsageError(Text(f"无法写入 {path}：{why.zh}", f"cannot write {path}: {why.en}"))


def make_folder(path: Path) -> None:
    """A folder to write into. Raises UsageError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        why = said_by_system(problem)
        raise UsageError(Text(f"无法写入文件夹 {path}：{why.zh}", f"cannot write the folder {path}: {why.en}")) from None


def place_of(folder: Path, bundle: Bundle, taken: set[Path]) -> Path:
    """The file of a bundle, under its host's name; of two hosts of one name the later gets some of its digest too."""
    path = folder / bundle_name(bundle.subject)
    if path in taken:
        path = folder / bundle_name(f"{bundle.subject}.{bundle.digest.removeprefix('sha256:')[:8]}")
    taken.add(path)
    return path


def bundle_name(subject: str) -> str:
    """A file name for a subject: what is no letter or digit, or has no place in this system's names, becomes its code."""
    return "".join(char if char in "-_." or _may_be_named(char) else f"%{ord(char):x}" for char in subject).lstrip(".") + ".bundle"


def _may_be_named(char: str) -> bool:
    try:
        return char.isalnum() and bool(os.fsencode(char))
    except UnicodeEncodeError:
        return False


def read_site_file(path: Path | None) -> Site | None:
    """The site file; None when none was named."""
    if path is None:
        return None
    from tutela.site import read_site

    try:
        raw = path.read_bytes()
    except OSError as problem:
        why = said_by_system(problem)
        message = Text(f"无法读取：{why.zh}；tutela site init 可写一份模板", f"cannot be read: {why.en}; tutela site init writes one to fill in")
        raise ContentError(message, file=str(path)) from None
    return read_site(raw, str(path))


def declared(site: Site | None) -> Site:
    """The site, or one that declares nothing."""
    from tutela.site import Site

    return Site() if site is None else site


def read_rulebook(profiles: list[str] | None, site: Site, content: Content) -> Rulebook:
    """What binds: the profiles asked for, else the site's, else the default.

    Raises UsageError for an unknown profile.
    """
    from tutela.agreement.rulebook import resolve

    names = profiles or ([site.profile] if site.profile else [content.default_profile.id])
    for name in names:
        if name not in content.profiles:
            listed = ", ".join(content.profiles)
            raise UsageError(Text(f"没有配置档案 {name!r}；可用：{listed}", f"there is no profile {name!r}; known are: {listed}"))
    return resolve(content, tuple(content.profiles[name] for name in dict.fromkeys(names)), site.parameters)


def look_of(arguments: argparse.Namespace, site: Site | None) -> Look:
    """How to look, from the options and the site's networks."""
    from tutela.collect.run import Look

    return Look(
        quick=arguments.quick,
        addresses=grid_addresses(site),
        become=arguments.become,
        timeout_s=arguments.timeout,
        passwords=declared(site) if arguments.passwords else None,
    )


def grid_addresses(site: Site | None) -> tuple[str, ...]:
    """One address of each declared network, and two that nobody owns (RFC 5737, RFC 3849), for the grid of H.0.3."""
    made = ["203.0.113.77", "2001:db8:ffff::77"]
    for networks in () if site is None else (site.networks.admin, site.networks.campus):
        for network in (networks or ())[:4]:
            first = next(iter(network.hosts()), network.network_address)
            made.append(str(first))
    return tuple(dict.fromkeys(made))


def ssh_options(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Options for ssh that the user asked for.

    Raises UsageError for a file that is not there: else every single host would say so.
    """
    path: Path | None = arguments.ssh_config
    if path is None:
        return ()
    # ssh takes the word none for no file at all.
    if str(path) != "none" and not path.exists():
        raise UsageError(Text(f"没有 ssh 配置文件 {path}", f"there is no ssh configuration file {path}"))
    return ("-F", str(path))
