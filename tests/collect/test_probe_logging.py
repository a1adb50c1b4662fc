"""What the probe prints about logs holds no secret and no message: canaries through its own awk, counts instead of lines."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import tutela.collect
from tutela.evidence.bundle import read_frames
from tutela.facts import audit, journal, log_files, log_forwarding, log_samples, logrotate, time_sync
from tutela.facts.syslog import agents, rsyslog, syslog_ng

PROBE = (Path(tutela.collect.__file__).parent / "probe.sh").read_text("utf-8")
CANARY = "Kanarienvogel7"
AWKS = [one for one in (["mawk"], ["gawk"], ["busybox", "awk"]) if shutil.which(one[0])]

# Made up for these tests: right length, right form, valid check digit (GB 11643), nobody's.
ID_CARD = "11010519491231002X"
BANK_CARD = "4111111111111111"  # the well-known test number


def program(name: str) -> str:
    found = re.search(rf"^{name}='\n([^']*)'$", PROBE, re.MULTILINE)
    assert found is not None
    return found[1]


def run(awk: list[str], *arguments: str, text: str) -> str:
    done = subprocess.run([*awk, *arguments], input=text, capture_output=True, text=True, check=True, timeout=20)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("*.*@192.0.2.45", "*.*@192.0.2.45"),
        ("*.* @@(o,z9)[2001:db8::45]:6514;RSYSLOG_SyslogProtocol23Format", "*.* @@(o,z9)[2001:db8::45]:6514;RSYSLOG_SyslogProtocol23Format"),
        ("if $syslogseverity <= 6 then @@192.0.2.45:10514", "if $syslogseverity <= 6 then @@192.0.2.45:10514"),
        ("if $msg contains 'x' and $syslogseverity > '4' then stop", "if $msg contains 'x' and $syslogseverity > '4' then stop"),
        (f'action(type="ommysql" server="db" uid="log" pwd="{CANARY}")', 'action(type="ommysql" server="db" uid="log" pwd="***")'),
        (f"*.* :ommysql:db.example,Syslog,log,{CANARY}", "*.* :ommysql:***"),
        (f"*.* >db.example,Syslog,log,{CANARY}", "*.* >***"),
        (
            f'action(type="omhttp" server="log.example" httpheaders=["Authorization: Bearer {CANARY}"])',
            'action(type="omhttp" server="log.example" httpheaders= ***',
        ),
        (f'restpath="services/collector?token={CANARY}&x=1"', 'restpath="services/collector?token=***'),
        (f'url("https://log:{CANARY}@log.example:9200/_bulk")', 'url("https://***@log.example:9200/_bulk")'),
        (
            f'http(url("https://log.example/") user("log") password("{CANARY}") workers(2))',
            'http(url("https://log.example/") user(***) password(***) workers(2))',
        ),
        (f'    headers("Authorization: Splunk {CANARY}")', "    headers( ***"),
        (f"# old password = {CANARY}", ""),
        (
            'action(type="omfwd" target="192.0.2.45" StreamDriver="gtls" StreamDriverMode="1")',
            'action(type="omfwd" target="192.0.2.45" StreamDriver="gtls" StreamDriverMode="1")',
        ),
        ("$DefaultNetstreamDriverKeyFile /etc/ssl/private/log.key", "$DefaultNetstreamDriverKeyFile /etc/ssl/private/log.key"),
    ],
)
def test_a_line_of_a_shipper_loses_its_secret_and_keeps_where_it_sends(awk: list[str], line: str, kept: str) -> None:
    assert run(awk, "-v", "how=syslog", program("AWK"), text=line + "\n") == kept + "\n"


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
def test_scripts_of_logrotate_stay_on_the_host(awk: list[str]) -> None:
    text = f"/var/log/app.log {{\n  rotate 27\n  postrotate\n    curl -u ops:{CANARY} https://x.example/\n  endscript\n  weekly\n}}\n"

    assert run(awk, "-v", "how=logrotate", program("AWK"), text=text) == "/var/log/app.log {\n  rotate 27\n  postrotate\n\n  endscript\n  weekly\n}\n"


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"login password={CANARY}", "password"),
        (f"'passwd': '{CANARY}'", "password"),
        ("[Note] A temporary password is generated for root@localhost: xK2", "password"),
        ("GET /api?token=abcdef0123456789 HTTP/1.1", "token"),
        ("-----BEGIN RSA PRIVATE KEY-----", "key"),
        (f"user {ID_CARD} registered", "id"),
        (f"paid with {BANK_CARD}.", "card"),
        ("Failed password for ops from 192.0.2.7 port 50122 ssh2", None),
        ("sudo: ops : TTY=pts/0 ; PWD=/home/ops ; USER=root ; COMMAND=/usr/bin/id", None),
        ("2026-11-22 03:48:25 upgrade passwd:amd64 1:4.13+dfsg1-1", "password"),  # dpkg.log is not read; see the probe
        ("password=********", None),
        ("chpasswd[4242]: pam_unix(chpasswd:chauthtok): password changed for ops", None),
        ("password: <hidden>", None),
        ("user 110105194912310021 registered", None),  # wrong check digit
        ("order 4111111111111112", None),
        ("uuid 0a4111111111111111ff", None),
        ("id=4111111111111111_7", None),
    ],
)
def test_a_line_counts_once_for_what_it_holds(awk: list[str], line: str, kind: str | None) -> None:
    said = run(awk, program("SENSITIVE"), text=line + "\n")

    assert CANARY not in said
    counts = dict(word.split("=") for word in said.split())
    assert {name for name in ("password", "token", "key", "id", "card") if counts[name] != "0"} == ({kind} if kind else set())
    assert counts["lines"] == "1"


def test_the_probe_prints_every_source_of_logs_and_time_under_the_name_the_facts_ask_for() -> None:
    done = subprocess.run(["sh", "-s", "--", "--quick"], input=PROBE.encode(), capture_output=True, check=True, timeout=60)
    sources = read_frames(done.stdout)

    wanted = [
        rsyslog.MAIN,
        rsyslog.MAIN[:-5] + ".d/",
        syslog_ng.MAIN,
        agents.JOURNAL_UPLOAD,
        agents.JOURNAL_UPLOAD + ".d/",
        *agents.FLUENT_BIT,
        *agents.VECTOR,
        agents.FILEBEAT,
    ]
    wanted += [log_forwarding.STATES, log_forwarding.MODIFIED, log_forwarding.COMPLAINTS, log_files.STAT, log_files.HIDDEN]
    wanted += [journal.CONF, journal.VENDOR, journal.SPACE, *(f"{one}/" for one in journal.DROPINS), *logrotate.NEEDS]
    wanted += [audit.STATE, audit.RULES, log_samples.COUNTS, time_sync.SYNCHRONIZED, time_sync.FINISHED]
    assert [name for name in wanted if name not in sources] == []
