"""Passwords in URLs: people write slashes, at signs and quotes into them, and no awk and no kind of redaction may let a part of one through."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.collect.probe import PROBE

AWKS = [one for one in (["mawk"], ["gawk"], ["busybox", "awk"]) if shutil.which(one[0])]
SCRIPT = PROBE.read_text()
_AWK = re.search(r"^AWK='\n([^']*)'$", SCRIPT, re.MULTILINE)
assert _AWK is not None
PROGRAM = _AWK[1]
# Tables whose fields are no URLs keep theirs as they are.
TABLES = {"daemon", "servers", "keys", "passwd", "shadow", "filter", "snmp"}
KINDS = sorted((set(re.findall(r'how == "([a-z]+)"', PROGRAM)) | {"plain", "secrets", "command"}) - TABLES)

SECRETS = ("Ka9/na9Ri", "Ka9@na9Ri", "Ka9'na9Ri", 'Ka9"na9Ri', "Ka9/@'\"na9Ri", "Ka9,na9Ri", "Ka9;na9Ri", "Ka9<na9Ri", "Ka9://na9Ri", "Ka9#na9?Ri", "12/Ka9")
URLS = ("https://u:{}@h.example/x", "http://{}@h.example:80", "https://first.last:{}@h.example/", "amqp+ssl://:{}@h", "HTTPS://u:{}@h.example/?a=b@c")
LINES = (
    "deb {} stable main",
    "deb [signed-by=/x] {} stable main",
    "proxy={}",
    'proxy = "{}"',
    "proxy: '{}'",
    '{{"http-proxy": "{}", "mail": "a@b.example"}}',
    "a http://127.0.0.1:1,{} b",
    "<address>{}</address>",
    "ExecStart={{ path=/bin/x ; argv[]=/bin/x {} ; ignore_errors=no ; }}",
    "1 2 * * * root /usr/bin/restic -r rest:{} backup /srv",
    "set $x {}; proxy_pass {};",
    'action(type="omhttp" server="{}")',
    "auth required pam_x.so url={}",
    "ops ALL=(root) NOPASSWD: /usr/bin/curl {}",
)


def masked(awk: list[str], how: str, text: str) -> str:
    return subprocess.run([*awk, "-v", f"how={how}", PROGRAM], input=text, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize("how", KINDS)
def test_no_part_of_a_password_in_a_url_passes(awk: list[str], how: str) -> None:
    lines = [line.replace("{}", url.replace("{}", secret)).replace("{{", "{").replace("}}", "}") for line in LINES for url in URLS for secret in SECRETS]
    out = masked(awk, how, "\n".join(lines) + "\n")
    assert [line for line in out.split("\n") if re.search(r"Ka9|na9|Ri", line)][:3] == []


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
def test_what_cannot_be_a_password_stays(awk: list[str]) -> None:
    kept = {
        "deb https://deb.example.org/debian stable main": None,
        "deb https://deb.example.org/a@b stable main # me@example.org": None,
        "x http://192.0.2.1/a@b": None,
        "x file:///a@b": None,
        "x unix:///run/user@1000.sock": None,
        "# see http://h:80/ or write to me@example.org": None,
        '{"a":"http://h:1","b":"c@d"}': None,
        "a http://127.0.0.1:2379,https://u:p@198.51.100.7:2379": "a http://127.0.0.1:2379,https://***@198.51.100.7:2379",
        "a https://u:p@h/x?r=https://v:w@i/ b@c": "a https://***@i/ b@c",
        "<a>http://u:p@h/</a><b>m@n</b>": "<a>http://***@h/</a><b>m@n</b>",
        '"http://u:p w@h/" b@c': '"http://***@h/" b@c',
    }
    out = masked(awk, "plain", "\n".join(kept) + "\n")
    assert out.split("\n")[:-1] == [line if want is None else want for line, want in kept.items()]


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    "line", ["a://" * 4000 + "@ x", "a" * 16000 + "://b@", "a://b," * 2600, "http://u:p@h " * 1200], ids=["schemes", "long", "list", "many"]
)
def test_no_line_takes_long(awk: list[str], line: str) -> None:
    masked(["timeout", "5", *awk], "plain", line + "\n")
