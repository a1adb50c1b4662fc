"""What the probe prints about accounts holds no secret: canaries planted in every file of the subject, run through the probe's own awk."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import tutela.collect
from tests.collect.probe import AWKS as STAGED_AWKS
from tests.collect.probe import PROBE as PROBE_PATH
from tests.collect.probe import Stage, frames, instead_of_lanes
from tutela.evidence import Status

PROBE = (Path(tutela.collect.__file__).parent / "probe.sh").read_text("utf-8")
CANARY = "Kanarienvogel7"
HASH = f"$6$salz${CANARY}abcdefghijklmnop"
AWKS = [one for one in (["mawk"], ["gawk"], ["busybox", "awk"]) if shutil.which(one[0])]


def program(name: str) -> str:
    found = re.search(rf"^{name}='\n([^']*)'$", PROBE, re.MULTILINE)
    assert found is not None
    return found[1]


def redacted(awk: list[str], how: str, text: str) -> str:
    done = subprocess.run([*awk, "-v", f"how={how}", program("AWK")], input=text, capture_output=True, text=True, check=True, timeout=20)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("how", "line", "kept"),
    [
        ("shadow", f"ops:{HASH}:20700:0:90:7:::", "ops:$6$:20700:0:90:7:::"),
        ("shadow", f"ops:!{HASH}:20700:0:90:7:::", "ops:locked:$6$:20700:0:90:7:::"),
        ("shadow", f"ops:{CANARY}:20700::::::", "ops:other:20700::::::"),
        ("shadow", f"{HASH}", "***malformed line***"),
        ("passwd", f"ops:{HASH}:1000:1000:{CANARY},room 4:/home/ops:/bin/bash", "ops:$6$:1000:1000::/home/ops:/bin/bash"),
        ("passwd", f"ops:x:1000:1000:{CANARY}:/home/ops:/bin/bash", "ops:x:1000:1000::/home/ops:/bin/bash"),
        ("passwd", f"ops:{HASH}:0:0", "ops:$6$:0:0"),
        ("passwd", f"ops:x:0:0:{CANARY}", "ops:x:0:0:***"),
        ("passwd", HASH, "***malformed line***"),
        ("passwd", "+::::::", "+:empty:::::"),
        ("pam", f"auth required pam_mysql.so user=pam passwd={CANARY} db=x", "auth required pam_mysql.so user=pam passwd=*** db=x"),
        ("pam", f"auth required pam_exec.so expose_authtok /opt/mfa --token {CANARY}", "auth required pam_exec.so expose_authtok /opt/mfa --token ***"),
        ("pam", f"auth required pam_ldap.so uri=ldap://cn:{CANARY}@ldap.example/", "auth required pam_ldap.so uri=ldap://***@ldap.example/"),
        ("pam", "password requisite pam_pwquality.so retry=3 minlen=12", "password requisite pam_pwquality.so retry=3 minlen=12"),
        (
            "pam",
            "auth required pam_google_authenticator.so secret=/var/otp/${USER} nullok",
            "auth required pam_google_authenticator.so secret=/var/otp/${USER} nullok",
        ),
        ("sudoers", f"ops ALL=(ALL) NOPASSWD: /usr/bin/mysql -p{CANARY}", "ops ALL=(ALL) NOPASSWD: /usr/bin/mysql -p***"),
        ("sudoers", f"ops ALL = /usr/bin/curl --token={CANARY} https://u:{CANARY}@x.example/", "ops ALL = /usr/bin/curl --token=*** https://***@x.example/"),
        ("sudoers", "User_Alias WEB01_ADMINISTRATORS_2026 = ops, %web", "User_Alias WEB01_ADMINISTRATORS_2026 = ops, %web"),
        ("sudoers", "%sudo\tALL=(ALL:ALL) NOPASSWD: ALL", "%sudo ALL=(ALL:ALL) NOPASSWD: ALL"),
        ("last", "ops      pts/0        192.0.2.77       2026-11-20T01:12:44+00:00 - 2026-11-20T02:00:00+00:00  (00:48)", "ops 2026-11-20T01:12:44+00:00"),
        ("last", "ops              pts/0    192.0.2.77       Fri Nov 20 09:12:44 +0800 2026", "ops Fri Nov 20 09:12:44 +0800 2026"),
        ("last", "sshd                                       **Never logged in**", "sshd never"),
    ],
)
def test_a_line_loses_its_secret_and_keeps_its_meaning(awk: list[str], how: str, line: str, kept: str) -> None:
    assert redacted(awk, how, line + "\n") == kept + "\n"


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
def test_of_logins_the_newest_of_an_account_is_kept_and_no_address(awk: list[str]) -> None:
    table = (
        "ops      pts/0        192.0.2.77       2026-11-20T01:12:44+00:00   still logged in\n"
        "ops      pts/0        192.0.2.78       2026-11-02T01:12:44+00:00 - 2026-11-02T02:00:00+00:00  (00:48)\n"
        "\n"
        "wtmp begins 2025-05-20T00:00:00+00:00\n"
    )

    assert redacted(awk, "last", table) == "ops 2026-11-20T01:12:44+00:00\nbegins 2025-05-20T00:00:00+00:00\n"


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("server.pem", f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n", "private-key"),
        ("fullchain.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n", None),
        (".pgpass", f"db.example:5432:*:app:{CANARY}\n", "password"),
        (".my.cnf", f"[client]\npassword = {CANARY}\n", "password"),
        ("my.cnf", "[mysqld]\nbind-address = 127.0.0.1\n", None),
        (".env", f"# settings\nDB_PASSWORD={CANARY}\n", "password"),
        (".env", "DB_PASSWORD=\nDEBUG=0\n", None),
        (".netrc", f"machine x.example login ops password {CANARY}\n", "password"),
        (".git-credentials", f"https://ops:{CANARY}@git.example\n", "password"),
        (".npmrc", f"//registry.example/:_authToken={CANARY}\n", "token"),
        ("credentials", f"[default]\naws_secret_access_key = {CANARY}\n", "cloud-credentials"),
        ("account-credentials.json", f'{{"private_key": "{CANARY}"}}\n', "private-key"),
    ],
)
def test_a_secret_file_is_told_by_its_content_which_stays_where_it_is(awk: list[str], tmp_path: Path, name: str, text: str, kind: str | None) -> None:
    file = tmp_path / name
    file.write_text(text)
    done = subprocess.run([*awk, program("SECRET_KIND")], input=f"K\t644\t0\t0\tf\t{file}\n", capture_output=True, text=True, check=True, timeout=20)

    assert done.stdout == (f"{kind}\t644\t0\t0\t{file}\n" if kind else "")


LOGINS = r"""
1795403400.1 host su[9]: pam_unix(su-l:session): session opened for user root(uid=0) by (uid=1000)
1795403300.9 host sshd-session[8]: pam_unix(sshd:session): session opened for user ops(uid=1000) by ops(uid=0)
1795403200.9 host sshd[7]: Accepted publickey for backup from 203.0.113.9 port 4711 ssh2: ED25519 SHA256:x
1795403100.9 host dropbear[6]: Pubkey auth succeeded for 'sync' with ssh-ed25519 key SHA256:x from 203.0.113.9:4711
1795403000.9 host sshd[5]: pam_unix(sshd:session): session opened for user ops by (uid=0)
"""
ACCOUNTS = ["root 1795403400", "ops 1795403300", "backup 1795403200", "sync 1795403100"]


@pytest.mark.parametrize(
    ("said", "code", "status", "kept"),
    [
        (LOGINS, 0, Status.OK, [*ACCOUNTS, "begins 1780272000"]),
        ("", 1, Status.OK, ["begins 1780272000"]),  # nobody logged in
        (LOGINS, 124, Status.OK, [*ACCOUNTS, "begins 1795403000"]),  # what lies before was not looked at
        ("", 124, Status.TIMEOUT, []),
        ("journalctl: invalid option -- 'g'\n", 1, Status.FAILED, []),
        ("Compiled without pattern matching support\n", 1, Status.FAILED, []),
    ],
)
def test_the_journal_tells_who_logged_in_and_since_when_it_would(tmp_path: Path, said: str, code: int, status: Status, kept: list[str]) -> None:
    answer = tmp_path / "answer"
    answer.write_text(said.lstrip("\n"), "utf-8")
    instead = f"""
        have() {{ true; }}
        limit() {{ case "$*" in *' -g '*) cat {answer}; return {code} ;; *) echo '1780272000.5 host kernel: Linux version 6.12' ;; esac; }}
        ME=0
        lane journal_logins
        """
    script = tmp_path / "probe.sh"
    script.write_text(instead_of_lanes(PROBE, instead), "utf-8")

    found = frames(subprocess.run(["sh", str(script)], capture_output=True, stdin=subprocess.DEVNULL, check=True, timeout=20).stdout)

    journal = found["journalctl -q -r -o short-unix SYSLOG_FACILITY=10 (sessions opened)"]
    assert (journal.status, journal.content.decode().split("\n") if kept else []) == (status, kept)


THIS_YEAR = r"""Dec 31 23:59:00 HOST sshd[3]: pam_unix(sshd:session): session opened for user night(uid=1003) by (uid=0)
Jan  1 00:01:00 HOST CRON[4]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)
Jan  2 08:00:00 HOST sshd[5]: Accepted publickey for ops from 203.0.113.9 port 4711 ssh2: ED25519 SHA256:x
Jan  2 09:00:00 elsewhere sshd[6]: Accepted publickey for root from 203.0.113.9 port 4711 ssh2: ED25519 SHA256:x
Jan  2 10:00:00 HOST sshd[7]: Invalid user ]: Accepted publickey for ghost from 203.0.113.9 port 4711
Jan  2 11:00:00 HOST su[8]: pam_unix(su-l:session): session opened for user root(uid=0) by ops(uid=1000)
Jan  2 12:00:00 HOST su[9]: pam_unix(su-l:session): session opened for user postgres(uid=70) by (uid=0)
"""
BEFORE = r"""2025-11-01T01:02:03.123456+01:00 HOST sshd-session[1]: pam_unix(sshd:session): session opened for user ops(uid=1000) by ops(uid=0)
2025-11-02T01:02:03.123456+01:00 HOST sshd-session[2]: pam_unix(sshd:session): session opened for user sync(uid=1002) by sync(uid=0)
"""


@pytest.mark.root
@pytest.mark.parametrize("awk", STAGED_AWKS)
def test_the_files_of_syslog_tell_who_logged_in_here_and_from_when_on(tmp_path: Path, awk: str) -> None:
    host = os.uname().nodename
    script, folder = tmp_path / "probe.sh", tmp_path / "stage"
    script.write_text(instead_of_lanes(PROBE, "lane text_logins"), "utf-8")
    folder.mkdir()
    stage = Stage(folder).do("rm -f /var/log/auth.log* /var/log/secure*").awk(awk)
    stage.plant("/var/log/secure", THIS_YEAR.replace("HOST", host.partition(".")[0])).do("touch -d @1767355200 /var/log/secure")
    stage.plant("/var/log/secure-20251103", BEFORE.replace("HOST", host)).do("touch -d @1762100000 /var/log/secure-20251103", "gzip /var/log/secure-20251103")

    argv = [str(script) if word == str(PROBE_PATH) else word for word in stage.argv()]
    found = frames(subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=True, timeout=60).stdout)[
        "zcat -f /var/log/auth.log* /var/log/secure* (sessions opened)"
    ]

    assert found.status is Status.OK
    assert [line for line in found.content.decode().split("\n") if line.startswith("file")] == [
        "file 1767355200 1 Dec 31 23:59:00",
        "file 1762100000 0 2025-11-01T01:02:03.123456+01:00",
    ]
    assert sorted(line for line in found.content.decode().split("\n") if line.startswith("user")) == [
        "user night 1767355200 1 Dec 31 23:59:00",
        "user ops 1767355200 0 Jan 2 08:00:00",
        "user root 1767355200 0 Jan 2 11:00:00",
        "user sync 1762100000 0 2025-11-02T01:02:03.123456+01:00",
    ]
