"""What the probe prints about SSH, packet filters and knocking holds no key, no sequence, no community, in every awk."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import tutela.collect

PROBE = (Path(tutela.collect.__file__).parent / "probe.sh").read_text("utf-8")
AWKS = [one for one in (["mawk"], ["gawk"], ["busybox", "awk"]) if shutil.which(one[0])]
CANARY = "Kanarienvogel7"
BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "B" * 43


def redacted(awk: list[str], how: str, text: str) -> str:
    program = re.search(r"^AWK='\n([^']*)'$", PROBE, re.MULTILINE)
    assert program is not None
    done = subprocess.run([*awk, "-v", f"how={how}", program[1]], input=text, capture_output=True, text=True, check=True, timeout=20)
    assert done.stderr == ""
    return done.stdout.rstrip("\n")


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("how", "line", "kept"),
    [
        ("keys", f"ssh-ed25519 {BLOB} {CANARY}", "ssh-ed25519 length=68"),
        ("keys", f'from="192.0.2.0/28",command="/bin/x {CANARY}" ssh-ed25519 {BLOB}', 'from="192.0.2.0/28",command=*** ssh-ed25519 length=68'),
        (
            "keys",
            f'environment="A={CANARY}",no-pty,verify-required sk-ssh-ed25519@openssh.com {BLOB} a',
            "environment=***,no-pty,verify-required sk-ssh-ed25519@openssh.com length=68",
        ),
        ("keys", f'command="echo \\"ssh-rsa {CANARY}\\"" ecdsa-sha2-nistp256 {BLOB}', "command=*** ecdsa-sha2-nistp256 length=68"),
        ("keys", f"# old: {CANARY}", ""),
        ("keys", f"{CANARY} is no key", "unreadable line"),
        ("knock", "	sequence    = 27431:udp,41907:tcp,33218", "	sequence    = *** length=3 protocols=udp,tcp published=no monotone=no"),
        ("knock", "	sequence = 7000,8000,9000", "	sequence = *** length=3 protocols=- published=yes monotone=yes"),
        ("knock", "	# sequence = 27431,41907,33218", ""),
        ("snmp", "rocommunity public default", "rocommunity public default"),
        ("snmp", f"rwcommunity {CANARY} 192.0.2.0/28", "rwcommunity *** 192.0.2.0/28"),
        ("snmp", f"com2sec readonly default {CANARY}", "com2sec readonly default ***"),
        ("snmp", f"com2sec -Cn ctx readonly default {CANARY}", "com2sec -Cn ctx readonly default ***"),
        ("snmp", f'createUser monitor SHA "{CANARY}" AES', "createUser ***"),
        ("snmp", f"trapsink 192.0.2.1 {CANARY}", "trapsink ***"),
        ("snmp", "rouser monitor priv", "rouser monitor priv"),
        ("snmp", "includeDir /etc/snmp/snmpd.conf.d", "includeDir /etc/snmp/snmpd.conf.d"),
        (
            "filter",
            "-A INPUT -p tcp -m tcp --dport 27431 -m recent --set --name K1 --mask 255.255.255.255 --rsource -j DROP",
            "-A INPUT -p tcp -m tcp --dport 0 -m recent --set --name K1 --mask 255.255.255.255 --rsource -j DROP",
        ),
        (
            "filter",
            "-A INPUT -p tcp -m tcp --dport 22 -m recent --set --name SSH --mask 255.255.255.255 --rsource -j ACCEPT",
            "-A INPUT -p tcp -m tcp --dport 22 -m recent --set --name SSH --mask 255.255.255.255 --rsource -j ACCEPT",
        ),
        (
            "filter",
            "-A INPUT -p tcp -m tcp --dport 22 -m recent --rcheck --name K3 -j ACCEPT",
            "-A INPUT -p tcp -m tcp --dport 22 -m recent --rcheck --name K3 -j ACCEPT",
        ),
    ],
)
def test_what_stays_of_a_line(awk: list[str], how: str, line: str, kept: str) -> None:
    assert redacted(awk, how, line) == kept


def listing(*rules: list[object]) -> str:
    return json.dumps({"nftables": [{"rule": {"family": "inet", "table": "k", "chain": "input", "handle": 4, "expr": list(rule)}} for rule in rules]})


PORT = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 27431}}
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    "rule",
    [
        [PORT, {"set": {"op": "add", "elem": {"elem": {"val": {"concat": [SOURCE, 41907]}, "timeout": 60}}, "set": "@candidates"}}],
        [PORT, {"set": {"op": "update", "elem": SOURCE, "set": "@clients"}}, {"drop": None}],
        [PORT, {"xt": {"type": "match", "name": "recent"}}, {"drop": None}],
    ],
    ids=["candidate", "client", "recent"],
)
def test_steps_of_a_knock_sequence_stay_on_the_host(awk: list[str], rule: list[object]) -> None:
    said = redacted(awk, "filter", listing(rule, [{"match": PORT["match"] | {"right": 22}}, {"accept": None}]))

    assert "27431" not in said
    assert "41907" not in said
    assert '"right": 22' in said
    json.loads(said)


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
def test_a_rule_set_without_knocking_is_not_touched(awk: list[str]) -> None:
    text = listing([PORT, {"accept": None}], [{"limit": {"rate": 10, "burst": 5, "per": "second"}}, {"drop": None}])

    assert redacted(awk, "filter", text) == text
