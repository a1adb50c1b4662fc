"""Long texts on which a fact once took minutes: the time a text takes grows with its length, not with the square of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests import scenes
from tutela.facts.registry import parser

HERE = Path(__file__).parent
CHECKS = HERE.parent / "checks"
BLANK_LINES = " \n" * 75_000
FOUND = [
    ("bans", "/etc/sshguard/sshguard.conf", BLANK_LINES),
    ("confinement", "/etc/selinux/config", BLANK_LINES),
    ("firewall_saved", "/etc/ufw/ufw.conf", BLANK_LINES),
    ("firewall_saved", "/etc/default/ufw", BLANK_LINES),
    ("firewall_saved", "/etc/nftables.conf", '"' + '\\"' * 75_000),
    ("fail2ban", "/etc/hosts.deny", ":" * 150_000),
    ("bans", "/etc/hosts.deny", "k:v," * 37_500),
    ("log_forwarding", "/etc/rsyslog.conf", "*" * 150_000),
    ("log_forwarding", "/etc/syslog-ng/syslog-ng.conf", '"' + '\\"' * 75_000),
    ("postgresql", "/etc/postgresql/15/main/pg_hba.conf", "\n".join(f"hostssl a{n} all 192.0.2.{n % 250}/32 trust" for n in range(2500))),
    ("other_services", "/etc/samba/smb.conf", "include = a" + " " * 150_000 + "b"),
    ("postgresql", "/var/lib/pgsql/data/pg_hba.conf", "#" * 150_000),
    ("sudo", "/etc/doas.conf", "{" * 150_000),
]


@pytest.mark.parametrize(("fact", "source", "text"), FOUND, ids=[f"{fact} {source} {text[:4]!r}" for fact, source, text in FOUND])
def test_a_long_text_takes_no_long_time(fact: str, source: str, text: str) -> None:
    paths = (*sorted((HERE / fact).glob("*.yaml")), *sorted(CHECKS.glob("[a-z]*/*.yaml")))
    scene = next(one for one in map(scenes.load, paths) if source in one["sources"] and source in scenes.look(one).sources_of(parser(fact)))
    scene["sources"][source] = text
    look = scenes.look(scene)
    begun = time.process_time()

    look.fact(parser(fact))

    assert time.process_time() - begun < 3
