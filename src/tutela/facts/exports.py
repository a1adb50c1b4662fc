"""What NFS exports to whom, read as exportfs reads it.

Sources: /etc/exports and /etc/exports.d/*.exports (exports(5)), and /var/lib/nfs/etab, which holds what is exported now, `exportfs -o` included.
A blank before the bracket makes two clients: `/srv 192.0.2.0/24 (rw)` is that network with default options, and the whole world with rw.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import bound
from tutela.facts.bound import Endpoint, Service
from tutela.facts.listing import entries
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record, replace

SERVICE = Service(processes=("ganesha.nfsd",), ports=(111, 2049), packages=("nfs-kernel-server", "nfs-ganesha*"))
MAIN = "/etc/exports"
DIRECTORY = "/etc/exports.d"
ETAB = "/var/lib/nfs/etab"
GANESHA = "/etc/ganesha/ganesha.conf"
THREADS = "/proc/fs/nfsd/threads"
NEEDS = (*bound.NEEDS, MAIN, f"{DIRECTORY}/", ETAB, THREADS)
MAX_EXPORTS = 5000
V6_OFFSET = 40
"""A /64 of IPv6 is one network as a /24 is, so its prefix counts 40 bits less."""


@record
class Export:
    """Export(path='/srv', client='192.0.2.0/24', kind='network', world=False, prefix=24, inside=True, rw=True, squash=True, …)"""

    path: str
    client: str
    """As written; `*` for an empty one."""
    kind: str
    """world | network | host | name | pattern | netgroup"""
    world: bool
    """Everyone: `*`, nothing, 0.0.0.0/0, ::/0."""
    blank: bool
    """It stands alone in brackets, behind the blank that exports(5) forbids."""
    prefix: int | None
    """Length of the prefix as of IPv4 (a /64 of IPv6 counts 24, an address 32); None for names."""
    inside: bool | Unobserved
    """Inside the site's campus, admin or client networks; True for names, which no prefix tells about."""
    rw: bool
    squash: bool
    """root_squash or all_squash, to an account that is not root (anonuid)."""
    insecure: bool
    sys: bool
    """sec=sys or none is among its flavours: the client says who the user is."""
    file: str
    line: int


@record
class Exports:
    """Exports(present=True, serving=True, exports=(Export(…),), endpoints=(Endpoint(…),))"""

    present: bool | Unobserved
    """Something is exported or an NFS server runs."""
    serving: bool | Unobserved
    """An NFS server runs now."""
    exports: tuple[Export | Unobserved, ...]
    """A file that could not be read is a hole in the list."""
    endpoints: tuple[Endpoint, ...] | Unobserved
    """Ports 2049 and 111."""


def parse(look: Look) -> Exports | Unobserved:
    """The fact; Unobserved when neither exports nor sockets were seen."""
    found = bound.endpoints(look, SERVICE)
    exports: list[Export | Unobserved] = []
    seen: set[Export] = set()
    names = entries(look, DIRECTORY)
    files = [
        MAIN,
        *(() if isinstance(names, Unobserved) else (f"{DIRECTORY}/{one}" for one in names if one.endswith(".exports") and not one.startswith("."))),
        ETAB,
    ]
    if isinstance(names, Unobserved):
        exports.append(names)
    for name in files:
        text = look.text_or_none(name)
        if isinstance(text, Unobserved):
            exports.append(text)
        elif text is not None:
            for one in _read(look, text, name):
                # What is exported now may be what the files said yesterday: only one that says the same is left out.
                said = one if isinstance(one, Unobserved) else replace(one, blank=False, file="", line=0)
                if isinstance(said, Unobserved) or name != ETAB or said not in seen:
                    exports.append(one)
                if not isinstance(said, Unobserved):
                    seen.add(said)
    if isinstance(found, Unobserved) and look.source(MAIN).status is Status.MISSING:
        return found
    serving = _serving(look, bound.listening(look, SERVICE))
    if serving is True and not exports:
        exports.append(Unobserved(Reason.FORMAT, MAIN, Text("有 NFS 服务在运行，却看不到它导出什么", "an NFS server runs, and what it exports is not seen")))
    if _ganesha(look, found):
        why = Text("NFS-Ganesha 的导出写在它自己的配置里，尚不读取", "the exports of NFS-Ganesha are in a configuration of its own, which is not read")
        exports.append(Unobserved(Reason.FORMAT, GANESHA, why))
    if isinstance(serving, Unobserved) and not exports:
        exports.append(serving)
    present: bool | Unobserved = True
    if not any(isinstance(one, Export) for one in exports) and serving is not True:
        present = next((one for one in exports if isinstance(one, Unobserved)), serving)
    return Exports(present=present, serving=serving, exports=tuple(exports), endpoints=found)


def _ganesha(look: Look, found: tuple[Endpoint, ...] | Unobserved) -> bool:
    """Whether a server runs that reads no /etc/exports."""
    running = bound.running(look, SERVICE)
    seen = {one.process for one in found if isinstance(one.process, str)} if not isinstance(found, Unobserved) else set()
    return bool(seen & set(SERVICE.processes)) if isinstance(running, Unobserved) else bool(running)


def _serving(look: Look, found: tuple[Endpoint, ...] | Unobserved) -> bool | Unobserved:
    threads = look.text_or_none(THREADS)
    if isinstance(threads, str) and threads.strip().isdigit() and int(threads.strip()[:6]) > 0:
        return True
    if isinstance(found, Unobserved):
        return found
    if any(one.port == 2049 for one in found):
        return True
    hidden = look.fact(bound.unseen_forwarding)
    return threads if isinstance(threads, Unobserved) else hidden if hidden is not None else False


# --- exports(5) ------------------------------------------------------------------------------------------------------


def _read(look: Look, text: str, name: str) -> list[Export | Unobserved]:
    found: list[Export | Unobserved] = []
    number = 0
    lines = text.split("\n")
    while number < len(lines):
        start = number + 1
        line = lines[number]
        while line.endswith("\\") and number + 1 < len(lines) and len(line) < 100_000:
            number += 1
            line = line[:-1] + " " + lines[number]
        number += 1
        words = _words(line)
        if words is None:
            found.append(_strange(name, line))
            continue
        if not words:
            continue
        path, defaults = words[0], ""
        clients: list[tuple[str, str, bool]] = []
        before = len(found)
        for word in words[1:]:
            if word.startswith("-"):
                defaults += "," + word[1:]
                continue
            client, bracket, options = word.partition("(")
            if bracket and (not options.endswith(")") or "(" in options):
                found.append(_strange(name, line))
                continue
            clients.append((client, f"{defaults},{options[:-1]}" if bracket else defaults, not client))
        if not clients and len(found) == before:
            clients.append(("", defaults, False))
        found += [_export(look, path, client, options, blank, name, start) for client, options, blank in clients]
        if len(found) > MAX_EXPORTS:
            return [*found[:MAX_EXPORTS], _strange(name, "…")]
    return found


_WORD = re.compile(r'\s*(?:(#.*)|((?:"[^"]*"|[^\s"#])(?:"[^"]*"|[^\s"])*))')


def _words(line: str) -> list[str] | None:
    """Words of a line; quotes hold blanks together, `\\040` is a blank; None for a quote without its end."""
    words = []
    at, end = 0, len(line.rstrip())
    while at < end:
        found = _WORD.match(line, at)
        if found is None:
            return None
        at = found.end()
        if found[1] is not None:
            break
        words.append(re.sub(r"\\([0-3][0-7]{2})", lambda octal: chr(int(octal[1], 8)), found[2].replace('"', "")))
    return words


def _strange(name: str, line: str) -> Unobserved:
    quoted = line.strip()[:120]
    return Unobserved(Reason.FORMAT, name, Text(f"无法理解的一行：{quoted!r}", f"a line that is not understood: {quoted!r}"))


def _export(look: Look, path: str, client: str, options: str, blank: bool, name: str, line: int) -> Export:
    rw, root, every, insecure, nobody = False, True, False, False, True
    flavours: set[str] = set()
    for option in options.split(","):
        key, _, value = option.strip().partition("=")
        if key in ("rw", "ro"):
            rw = rw or key == "rw" if flavours else key == "rw"  # behind sec=, rw holds for those flavours
        elif key in ("root_squash", "no_root_squash"):
            root = key == "root_squash"
        elif key in ("all_squash", "no_all_squash"):
            every = key == "all_squash"
        elif key == "anonuid":
            nobody = value.strip().strip("+-0") != ""  # squashed to root is not squashed
        elif key in ("secure", "insecure"):
            insecure = key == "insecure"
        elif key == "sec":
            flavours |= set(value.split(":"))
    network = _network(client)
    if not client.strip("*?.") or client.startswith("gss/"):
        kind = "world"
    elif network is not None:
        kind = "world" if network.prefixlen == 0 else "host" if network.prefixlen == network.max_prefixlen else "network"
    elif client.startswith("@"):
        kind = "netgroup"
    elif any(sign in client for sign in "*?["):
        kind = "pattern"
    else:
        kind = "name"
    return Export(
        path=path,
        client=client or "*",
        kind=kind,
        world=kind == "world",
        blank=blank,
        prefix=_prefix(network, kind),
        inside=_inside(look, network, kind),
        rw=rw,
        squash=(root or every) and nobody,
        insecure=insecure,
        sys=client.startswith("gss/") is False and (not flavours or bool(flavours & {"sys", "none"})),
        file=name,
        line=line,
    )


def _network(client: str) -> IPv4Network | IPv6Network | None:
    """A prefix, an address, or an address with a netmask."""
    try:
        return ip_network(client.strip("[]").replace("]/", "/"), strict=False)
    except ValueError:
        return None


def _prefix(network: IPv4Network | IPv6Network | None, kind: str) -> int | None:
    if kind == "world":
        return 0
    if network is None:
        return None
    if network.version == 4:
        return network.prefixlen
    return 32 if kind == "host" else max(0, network.prefixlen - V6_OFFSET)


def _inside(look: Look, network: IPv4Network | IPv6Network | None, kind: str) -> bool | Unobserved:
    if kind == "world":
        return False
    if network is None:
        return True
    declared = look.site.networks
    known = (*(declared.campus or ()), *(declared.admin or ()), *declared.clients)
    if any(one.version == network.version and network.subnet_of(one) for one in known):  # type: ignore[arg-type]
        return True
    if declared.campus is None:
        return Unobserved(Reason.NO_ANSWER, "site.networks.campus", Text("站点文件没有登记校园网段", "the site file declares no campus networks"))
    return False
