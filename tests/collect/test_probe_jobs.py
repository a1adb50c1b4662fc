"""What the probe prints about jobs, units, disks and web servers holds no secret: canaries through its own awk."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import tutela.collect
from tests.collect import probe
from tests.collect.probe import Stage

PROBE = (Path(tutela.collect.__file__).parent / "probe.sh").read_text("utf-8")
CANARY = "Kanarienvogel7"
AWKS = [one for one in (["mawk"], ["gawk"], ["busybox", "awk"]) if shutil.which(one[0])]


def program(name: str) -> str:
    found = re.search(rf"^{name}='\n([^']*)'$", PROBE, re.MULTILINE)
    assert found is not None
    return found[1]


def run(awk: list[str], name: str, text: str, *arguments: str) -> str:
    done = subprocess.run([*awk, *arguments, program(name)], input=text, capture_output=True, text=True, check=True, timeout=20)
    assert done.stderr == ""
    return done.stdout


def masked(awk: list[str], how: str, text: str) -> str:
    return run(awk, "AWK", text, "-v", f"how={how}").rstrip("\n")


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("line", "kept"),
    [
        # What recognition needs stays.
        ("restic backup --quiet /etc /home", "restic backup --quiet /etc /home"),
        ("rsync -a --delete /srv/ backup@192.0.2.9:/backup/", "rsync -a --delete /srv/ backup@192.0.2.9:/backup/"),
        ("rsync -a /srv/ nas::web1/ && touch /var/lib/ok", "rsync -a /srv/ nas::*** && touch /var/lib/ok"),
        ("duplicity remove-older-than 6M --force sftp://nas/srv", "duplicity remove-older-than *** --force sftp://nas/srv"),
        ("wal-g backup-push /var/lib/postgresql/15/main", "wal-g backup-push /var/lib/postgresql/15/main"),
        ("tar czf /backup/x.tgz /srv", "tar czf /backup/x.tgz /srv"),
        ("RESTIC_REPOSITORY=sftp:backup@192.0.2.9:/srv/repo", "RESTIC_REPOSITORY=sftp:backup@192.0.2.9:/srv/repo"),
        ("RESTIC_PASSWORD_FILE=/root/.restic-password", "RESTIC_PASSWORD_FILE=/root/.restic-password"),
        ("zfs send -R tank/data@2026 | ssh root@nas zfs recv pool/data", "zfs send -R tank/data@*** | ssh root@nas zfs recv pool/data"),
        ("restic backup \\", "restic backup \\"),
        ("#!/bin/sh -e", "#!/bin/sh -e"),
        # Secrets go, quoted or not, known option or not.
        (f"BORG_PASSPHRASE='{CANARY} and more' borg create nas:repo::x /srv", "BORG_PASSPHRASE=*** borg create nas:repo::*** /srv"),
        (f'export RESTIC_PASSWORD="{CANARY}"; restic backup /srv', "export RESTIC_PASSWORD=*** ; restic backup /srv"),
        (f"mysqldump -u root -p{CANARY} --all-databases | gzip >/b/x.gz", "mysqldump -u *** -p*** --all-databases | gzip >/b/x.gz"),
        (f"mysqldump --password={CANARY} shop", "mysqldump --password=*** ***"),
        (f"mysqldump --password {CANARY} shop", "mysqldump --password *** ***"),
        (f"sshpass -p {CANARY} scp /srv/x u@host:/data", "sshpass -p *** scp /srv/x u@host:/data"),
        (f"echo {CANARY} | sudo -S tar cf /b/x.tar /srv", "echo *** | sudo -S tar cf /b/x.tar /srv"),
        (f"echo '{CANARY}' > /etc/rsync.secret", "echo *** > /etc/rsync.secret"),
        (f"curl -fsS https://hc-ping.com/{CANARY}", "curl -fsS https://hc-ping.com/***"),
        (f"curl -u admin:{CANARY} https://x.example/", "curl -u admin:*** https://x.example/"),
        (f'curl -H "Authorization: Bearer {CANARY}" https://u:{CANARY}@x.example/a?token={CANARY}', "curl -H Authorization: *** *** https://***@x.example/***"),
        (f"restic -r s3:https://s3.example/bucket/{CANARY} backup /srv", "restic -r s3:https://s3.example/*** backup /srv"),
        (f"rclone sync /srv remote:{CANARY}", "rclone sync /srv remote:***"),
        (f"lftp -u user,{CANARY} sftp://host", "*** -u *** *** sftp://host"),
        (f"openssl enc -k {CANARY} -in /x", "openssl *** -k *** -in /x"),
        (f"encryption_passphrase: {CANARY} x", "encryption_passphrase: *** ***"),
        (f"{CANARY}", "***"),
        (f"# {CANARY}", "#"),
        ("knock 192.0.2.1 7000 8000 9000", "*** *** *** *** ***"),
        (f"subprocess.run(['restic', 'backup', '/srv', '{CANARY}'])", "*** restic backup /srv ***"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "***private key***"),
    ],
)
def test_a_job_keeps_the_words_of_an_allow_list_only(awk: list[str], line: str, kept: str) -> None:
    said = masked(awk, "job", line)

    assert kept == said
    assert CANARY not in said


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("how", "line", "kept"),
    [
        ("cron", "10 2 * * 1-5 root restic backup /srv", "10 2 * * 1-5 root restic backup /srv"),
        ("cron", f"@daily root PGPASSWORD={CANARY} pg_dumpall >/b/x.sql", "@daily root PGPASSWORD=*** pg_dumpall >/b/x.sql"),
        ("cron", f"MAILTO={CANARY}@example.org", "MAILTO=***"),
        ("cron", f"* * * * * root mail -s x%{CANARY}%{CANARY}", "* * * * * root mail -s ***"),
        ("crontab", f"*/5 * * * * curl https://x.example/{CANARY}", "*/5 * * * * curl https://x.example/***"),
        ("crontab", f"{CANARY}! is no schedule", "***unreadable line***"),
        ("anacron", f"7 10 weekly nice run-parts /etc/cron.weekly {CANARY}", "7 10 weekly nice run-parts /etc/cron.weekly ***"),
        (
            "units",
            f"ExecStart={{ path=/usr/bin/app ; argv[]=/usr/bin/app --token {CANARY} ; ignore_errors=no ; pid=0 }}",
            "ExecStart={ path=/usr/bin/app ; argv[]=/usr/bin/app --token *** ; ignore_errors=no ; pid=0 }",
        ),
        ("units", f"ExecStart={{ path=/usr/bin/app ; argv[]=/usr/bin/app {CANARY} ; odd", "***unreadable line***"),
        ("units", f"Environment=API_KEY={CANARY} PATH=/usr/bin", "Environment=API_KEY=*** PATH=/usr/bin"),
        ("units", "ActiveState=active", "ActiveState=active"),
        ("rclone", f"pass = {CANARY}", ""),
        ("rclone", "type = s3", "type = s3"),
        ("rclone", "[offsite]", "[offsite]"),
        ("grub", f"password_pbkdf2 admin grub.pbkdf2.sha512.10000.{CANARY}", "password ***"),
        ("grub", f"GRUB2_PASSWORD=grub.pbkdf2.sha512.{CANARY}", "GRUB2_PASSWORD=***"),
        ("grub", f"linux /vmlinuz {CANARY}", ""),
        ("luks", "\tSalt:       aa 11 22 33 44 55 66 77 88 99 00 aa bb cc dd ee ", ""),
        ("luks", "\tPBKDF:      argon2id", "\tPBKDF:      argon2id"),
        ("luks", "\t            aa 11 22 33 44 55 66 77 88 99 00 aa bb cc dd ee ", ""),
        ("web", f"proxy_set_header Authorization 'Basic {CANARY}';", ""),
        ("web", f"return 301 https://x.example/?key={CANARY};", "return 301;"),
        ("web", f"server_tokens off; # {CANARY}", "server_tokens off;"),
        ("web", f"set $secret {CANARY};", ""),
        ("web", "server_tokens off;", "server_tokens off;"),
        ("web", 'if ($arg_k = "x") {', "{"),
    ],
)
def test_each_kind_of_text_keeps_only_what_a_fact_reads(awk: list[str], how: str, line: str, kept: str) -> None:
    said = masked(awk, how, line)

    assert kept.strip() == said.strip()
    assert CANARY not in said


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
def test_a_file_that_is_no_script_is_left_out(awk: list[str], tmp_path: Path) -> None:
    (tmp_path / "data").write_text(f"{CANARY}\n")
    (tmp_path / "script").write_text(f"#!/bin/sh\nrestic backup /srv\nPASSWORD={CANARY}\n")

    said = run(awk, "AWK", f"script\t (job)\t{tmp_path}/data\nscript\t (job)\t{tmp_path}/script\n", "-v", "frames=1", "-v", "max=1000")

    assert "data" not in said
    assert f"{tmp_path}/script (job)\n#!/bin/sh\nrestic backup /srv\nPASSWORD=***\n" in said
    assert CANARY not in said


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("text", "last"),
    [
        (f"{CANARY}\nsent 10 bytes  received 20 bytes\ntotal size is 5,000  speedup is 1.00\n", "success"),
        ("total size is 5  speedup is 1.00\nrsync error: some files could not be transferred (code 23)\n", "failure"),
        ("snapshot 40dc1520 saved\n", "success"),
        ("Fatal: unable to open repository\n", "failure"),
        ("rc=0\n", "success"),
        ("rc=1\nrc=0\n", "success"),
        ("exit code: 12\n", "failure"),
        (f"{CANARY}\n", "none"),
        ("", "none"),
    ],
)
def test_of_a_log_only_counts_leave_the_host(awk: list[str], text: str, last: str) -> None:
    said = run(awk, "ENDINGS", text)

    assert re.fullmatch(rf"success=\d+ failure=\d+ last={last}", said)


@pytest.mark.root
@pytest.mark.parametrize("awk", probe.AWKS)
def test_what_jobs_name_is_read_and_what_their_scripts_name(tmp_path: Path, awk: str) -> None:
    stage = Stage(tmp_path).awk(awk)
    stage.plant("/etc/cron.d/nightly", "15 2 * * * root /opt/nightly.sh\n0 3 * * * root rsync -a /etc/ /srv/backup/\n", "644")
    stage.plant("/opt/nightly.sh", "#!/bin/sh\n. /etc/nightly.conf\ntouch /var/lib/nightly.stamp\n", "755")
    stage.plant("/etc/nightly.conf", f"TARGET=/srv/mirror\nRESTIC_PASSWORD={CANARY}\n")
    stage.plant("/etc/motd.sh", "#!/bin/sh\nno job names it\n", "755")
    stage.do("mkdir -p /srv/backup /srv/mirror", "touch /var/lib/nightly.stamp", "chmod 755 /srv/backup", "touch /srv/backup/shop.sql")

    found = stage.frames(["sh"], "--quick")

    assert found["/opt/nightly.sh (job)"].content == b"#!/bin/sh\n. /etc/nightly.conf\ntouch /var/lib/nightly.stamp"
    assert found["/etc/nightly.conf (job)"].content == b"TARGET=/srv/mirror\nRESTIC_PASSWORD=***"
    assert "/etc/motd.sh (job)" not in found
    left = found["stat -L -c '%a %u %g %s %Y %F %n' (paths that jobs name)"].content.decode()
    assert all(f" {path}\n" in left + "\n" for path in ("/srv/backup", "/var/lib/nightly.stamp"))
    assert found["find (backup directories) -type f -perm -004"].content == b"/srv/backup/shop.sql"


@pytest.mark.root
@pytest.mark.parametrize("awk", probe.AWKS)
def test_the_scripts_of_a_folder_that_a_job_runs_are_read(tmp_path: Path, awk: str) -> None:
    stage = Stage(tmp_path).awk(awk)
    stage.plant(
        "/etc/cron.d/nightly", "15 2 * * * root cd / && /usr/bin/run-parts --report /etc/nightly.d/\n16 2 * * * root rsync -a /srv/folder /mnt\n", "644"
    )
    stage.plant("/etc/nightly.d/10-files", f"#!/bin/sh\n. /etc/nightly.conf\nRESTIC_PASSWORD={CANARY} restic backup /srv\n", "755")
    stage.plant("/etc/nightly.d/20-off", "#!/bin/sh\nborg create /srv/repo::now /srv\n", "644")
    stage.plant("/etc/nightly.conf", "TARGET=/srv/mirror\n", "644")
    stage.plant("/srv/folder/10-files", "#!/bin/sh\nno job runs it\n", "755")

    found = stage.frames(["sh"], "--quick")

    assert found["/etc/nightly.d/"].content == b"10-files\n20-off"
    assert found["/etc/nightly.d/10-files (job)"].content == b"#!/bin/sh\n. /etc/nightly.conf\nRESTIC_PASSWORD=*** restic backup /srv"
    assert found["/etc/nightly.conf (job)"].content == b"TARGET=/srv/mirror"
    assert not [name for name in found if name.startswith("/srv/folder")]
    left = found["stat -L -c '%a %u %g %s %Y %F %n' (paths that jobs name)"].content.decode().split("\n")
    assert {(row.split()[0], row.rpartition(" ")[2]) for row in left} >= {("755", "/etc/nightly.d/10-files"), ("644", "/etc/nightly.d/20-off")}


@pytest.mark.root
@pytest.mark.parametrize("awk", probe.AWKS)
def test_every_name_in_a_listing_has_a_source_so_that_one_without_was_not_seen(tmp_path: Path, awk: str) -> None:
    stage = Stage(tmp_path).awk(awk)
    stage.do("mkdir -p /etc/sysctl.d/sub.conf /etc/cron.daily", "rm -f /etc/sysctl.d/*.conf || true")
    stage.plant("/etc/sysctl.d/10-plain.conf", "kernel.sysrq = 0\n", "644")
    stage.do("ln -s /dev/null /etc/sysctl.d/20-masked.conf", "ln -s /nowhere /etc/sysctl.d/30-nowhere.conf")
    stage.plant("/etc/cron.daily/program", f"\177ELF {CANARY}\n", "755")

    found = stage.frames(["sh"], "--quick")

    listed = found["/etc/sysctl.d/"].content.decode().split("\n")
    assert {"10-plain.conf", "20-masked.conf", "30-nowhere.conf", "sub.conf"} <= set(listed)
    states = {name: found[f"/etc/sysctl.d/{name}"].status for name in listed if name.endswith(".conf")}
    assert states == {"10-plain.conf": "ok", "20-masked.conf": "absent", "30-nowhere.conf": "absent", "sub.conf": "absent"}
    assert (found["/etc/cron.daily/program"].status, found["/etc/cron.daily/program"].content) == ("failed", b"not a script")
    assert "/etc/modprobe.d/*.conf" not in found
    for directory, file in (("/proc/sys/net/ipv4/conf", "rp_filter"), ("/sys/class/scsi_host", "proc_name")):
        names = found[f"{directory}/"].content.decode().split()
        assert {f"{directory}/{name}/{file}" for name in names} == {name for name in found if re.fullmatch(f"{directory}/[^/]+/{file}", name)}
    assert found["pro status --format json"].status in ("ok", "absent")
