"""An SSH server in short: weak algorithms, penalties, whether what runs is what its files say."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tutela.evidence import Reason, Unobserved
from tutela.facts import ssh_servers
from tutela.facts.ssh_servers import Server
from tutela.facts.sshd.model import SshServer
from tutela.facts.sshd.origins import network
from tutela.language import Text

WEAK = (
    ("ciphers", re.compile(r"3des|arcfour|-cbc|blowfish|cast128|des-|none$")),
    ("macs", re.compile(r"md5|-96|ripemd|none$")),
    ("kexalgorithms", re.compile(r"group1-sha1|group14-sha1|group-exchange-sha1|gss-.*-sha1")),
    ("hostkeyalgorithms", re.compile(r"^ssh-dss|^ssh-rsa($|-cert)")),
    ("pubkeyacceptedalgorithms", re.compile(r"^ssh-dss|^ssh-rsa($|-cert)")),
)
SEVERAL = re.compile(r"hmac-sha1(-etm@openssh\.com)?$")


def summary(server: Server) -> SshServer:
    """What a report says of a server."""
    base = server.base
    weak: tuple[str, ...] | Unobserved
    sha1: bool | Unobserved
    penalties: bool | Unobserved
    if isinstance(base, Unobserved):
        weak = sha1 = penalties = base
    elif server.kind == "dropbear":
        weak, sha1, penalties = (), False, False
    else:
        weak, sha1 = _algorithms(server, base)
        words = base.get("persourcepenalties", "").split()
        if server.each:
            penalties = False  # they are what a listener remembers of those that it started
        elif not words and server.derived is True:
            penalties = Unobserved(Reason.PRIVILEGE, "sshd -T", Text("只有 sshd 自己知道默认值", "only sshd itself knows its default"))
        else:
            penalties = bool(words) and words[0] != "no" and not _spared(words, base.get("persourcepenaltyexemptlist", "none"))
    return SshServer(
        name=server.name,
        kind=server.kind,
        ports=server.ports,
        running=server.running,
        by_socket=server.by_socket,
        each=server.each,
        stale=server.stale,
        newest=server.newest,
        valid=server.valid,
        complaint=server.complaint,
        derived=server.derived,
        weak_algorithms=weak,
        sha1_macs=sha1,
        penalties=penalties,
    )


def _spared(penalties: list[str], exempt: str) -> bool:
    """Whether failed logins cost nothing, or whole networks are excused."""
    if any(re.fullmatch(r"authfail:0+(\.0*)?[smhdw]?", word) for word in penalties):
        return True
    networks = [(word, network(word)) for word in re.split(r"[\s,]+", exempt) if word and word != "none"]
    return any(
        re.search(r"[*?]", word) is not None if one is None else not one.is_loopback and one.prefixlen < (24 if one.version == 4 else 48)
        for word, one in networks
    )


def _algorithms(server: Server, base: Mapping[str, str]) -> tuple[tuple[str, ...] | Unobserved, bool | Unobserved]:
    weak: list[str] = []
    sha1 = False
    for keyword, pattern in WEAK:
        value = base.get(keyword)
        if value is None:
            if not server.derived:
                continue  # an old sshd that does not know the keyword
            # Without `sshd -T` the built-in list is not known; OpenSSH since 7.6 offers none of these.
            why = Text("没有 sshd -T，不知道默认算法", "without sshd -T the default algorithms are not known")
            doubt = Unobserved(Reason.PRIVILEGE, ssh_servers.EFFECTIVE, why)
            return (tuple(weak) if weak else doubt), doubt
        if value[:1] == "-":
            continue
        names = value.removeprefix("+").removeprefix("^").split(",")
        weak += [f"{keyword}: {name}" for name in names if pattern.search(name)]
        sha1 = sha1 or any(SEVERAL.match(name) for name in names)
    return tuple(weak), sha1
