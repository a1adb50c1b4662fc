"""What else answers guessing with a ban: sshguard, crowdsec, OpenSSH's own penalties.

Source: sshguard.conf(5), cscli(8) `-o json`, sshd_config(5) PerSourcePenalties.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import guards, interfaces, ssh
from tutela.facts.fail2ban import RULES, WIDE
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

SETTINGS = ("/etc/sshguard/sshguard.conf", "/etc/sshguard.conf")
WHITELIST = "/etc/sshguard/whitelist"
BOUNCERS = "cscli bouncers list -o json"
COLLECTIONS = "cscli collections list -o json"
NEEDS = (*SETTINGS, WHITELIST, BOUNCERS, COLLECTIONS, *RULES, *guards.NEEDS, *interfaces.NEEDS)
HEARTBEAT = timedelta(minutes=5)


@record
class Equivalent:
    """Equivalent(name='sshguard', running=True, acts=True, ignores=())"""

    name: str
    running: bool | Unobserved
    acts: bool | Unobserved
    """sshguard: a backend is set and the packet filter has its chain or set; crowdsec: a bouncer for the packet filter of this host asked within five minutes, and it knows of SSH."""
    ignores: tuple[str, ...] | Unobserved
    """Prefixes it never blocks that hold more than an administrator's desk."""


@record
class Bans:
    """Bans(installed=(Equivalent(…),), penalties=False)"""

    installed: tuple[Equivalent, ...]
    penalties: bool | Unobserved
    """Every OpenSSH server slows down who fails (PerSourcePenalties)."""


def parse(look: Look) -> Bans | Unobserved:
    """The fact; Unobserved where neither units nor processes could be seen."""
    found = look.fact(guards.parse)
    if isinstance(found, Unobserved):
        return found
    if isinstance(found.units, Unobserved) and isinstance(found.processes, Unobserved):
        return found.units
    installed = [one for one in (_sshguard(look, found), _crowdsec(look, found)) if one is not None]
    return Bans(tuple(installed), _penalties(look))


def _running(found: guards.Guards, unit: str, process: str) -> bool | Unobserved:
    state = found.unit(unit)
    if isinstance(state, guards.UnitState):
        return state.running
    return found.running(process)


def _sshguard(look: Look, found: guards.Guards) -> Equivalent | None:
    settings = next((name for name in SETTINGS if look.source(name).status not in (Status.ABSENT, Status.MISSING)), None)
    running = _running(found, "sshguard.service", "sshguard")
    if settings is None and running is not True and not isinstance(found.unit("sshguard.service"), guards.UnitState):
        missing = next((text for name in SETTINGS if isinstance(text := look.text_or_none(name), Unobserved)), None)
        return None if missing is None else Equivalent("sshguard", missing, missing, missing)
    text = look.text(settings or SETTINGS[0])
    listed = look.text_or_none(WHITELIST)
    ignores = listed if isinstance(listed, Unobserved) else _wide((listed or "").split("\n"))
    return Equivalent("sshguard", running, text if isinstance(text, Unobserved) else _bans(look, text), ignores)


def _bans(look: Look, settings: str) -> bool | Unobserved:
    """Whether what sshguard calls to ban exists, and bans: sshg-fw-null does nothing, and a chain or set without a rule that names it neither."""
    backends = re.findall(r"^[ \t]*BACKEND=[\"']?(/[^\s\"']*)", settings, re.MULTILINE)
    if not backends or backends[-1].endswith("-null"):
        return False
    if backends[-1].endswith("-hosts"):
        return True  # it writes /etc/hosts.allow
    doubt = unseen(look, RULES[0])
    for name in RULES:
        for source in look.names(name):
            text = look.text_or_none(source)
            if isinstance(text, Unobserved):
                doubt = doubt or text
            elif text is not None and "sshguard" in text:
                return True
    return doubt if doubt is not None else False


def _wide(lines: list[str]) -> tuple[str, ...]:
    wide = []
    for line in lines:
        try:
            network = ip_network(line.strip(), strict=False)
        except ValueError:
            continue
        if not network.is_loopback and network.prefixlen < WIDE[network.version]:
            wide.append(line.strip())
    return tuple(wide)


def _crowdsec(look: Look, found: guards.Guards) -> Equivalent | None:
    client = look.source(BOUNCERS)
    running = _running(found, "crowdsec.service", "crowdsec")
    # Where there is no such command, it is not asked either.
    gone = client.status is Status.ABSENT or (client.status is Status.MISSING and not isinstance(found.unit("crowdsec.service"), guards.UnitState))
    if gone and running is not True:
        return None
    text = look.text(BOUNCERS)
    return Equivalent("crowdsec", running, text if isinstance(text, Unobserved) else _heartbeat(look, text), ())


def _heartbeat(look: Look, text: str) -> bool | Unobserved:
    unknown = Unobserved(Reason.FORMAT, BOUNCERS, Text("看不懂的回答", "an answer that is not understood"))
    try:
        bouncers: Any = json.loads(text or "[]")
        known = [(_time(one["last_pull"]), str(one.get("type") or ""), str(one.get("ip_address") or "")) for one in bouncers or () if not one.get("revoked")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return unknown
    # One for a web server keeps nobody from SSH, and one of another host nobody from this.
    awake = [where for pull, kind, where in known if pull is not None and look.now - pull <= HEARTBEAT and (not kind or "firewall" in kind.lower())]
    if not awake:
        return False
    here = _here(look)
    if isinstance(here, Unobserved):
        return here
    return _of_ssh(look) if any(where in here for where in awake) else False


def _here(look: Look) -> frozenset[str] | Unobserved:
    """Addresses that a bouncer of this host asks from."""
    links = look.fact(interfaces.parse)
    addresses = links if isinstance(links, Unobserved) else links.addresses
    if isinstance(addresses, Unobserved):
        return addresses
    return frozenset({"", "127.0.0.1", "::1", *(str(one.address.ip) for one in addresses)})


def _of_ssh(look: Look) -> bool | Unobserved:
    """Whether something of it looks at SSH, as far as it tells its collections."""
    text = look.text(COLLECTIONS)
    if isinstance(text, Unobserved):
        return text
    if re.search(r'"[a-z0-9_-]+/(sshd[a-z0-9_-]*|linux)"', text):
        return True
    return Unobserved(Reason.NO_DATA, COLLECTIONS, Text("没有针对 SSH 的规则集", "it has no collection for SSH"))


def _time(words: Any) -> datetime | None:
    if not isinstance(words, str) or not words:
        return None
    made = datetime.fromisoformat(words[:19])
    return made.replace(tzinfo=UTC)


def _penalties(look: Look) -> bool | Unobserved:
    found = look.fact(ssh.parse)
    if isinstance(found, Unobserved):
        return found
    doubt: Unobserved | None = None
    for server in found.servers:
        if isinstance(server.penalties, Unobserved):
            doubt = server.penalties
        elif not server.penalties:
            return False
    return doubt if doubt is not None else bool(found.servers)
