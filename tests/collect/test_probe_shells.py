"""The probe under every shell and awk, without root, on bare and on hostile hosts."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.collect.probe import ALONE, AWKS, PROBE, SHELLS, Stage, frames
from tutela.errors import BundleError
from tutela.evidence import Evidence, Status
from tutela.facts.security_updates import APT

pytestmark = pytest.mark.root

SCRIPT = PROBE.read_bytes()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    folder = tmp_path / "stage"
    folder.mkdir()
    return Stage(folder)


def seen(found: dict[str, Evidence]) -> dict[str, tuple[str, int, bytes]]:
    return {name: (one.status.value, one.rc, one.content) for name, one in found.items()}


def test_every_shell_with_every_awk_sees_the_same(tmp_path: Path) -> None:
    """Sources that two runs of the same pair see differently are those that change by themselves."""
    pairs = [("dash", "mawk"), *((shell, awk) for shell in SHELLS for awk in AWKS), ("dash", "mawk")]
    runs = []
    for at, (shell, awk) in enumerate(pairs):
        folder = tmp_path / str(at)
        folder.mkdir()
        stage = Stage(folder).awk(awk)
        stage.unshare = (*ALONE, "-n")
        runs.append(seen(stage.frames(SHELLS[shell], "--quick")))
    first, last = runs[0], runs[-1]
    moving = {name for name in first if first[name] != last.get(name)} | {"meta", "finished", "/proc/uptime", "stat -f -c %S %b %f %a /var/log"}
    moving |= {name for name in first if name.startswith(("ss ", "/proc/net", "walk", "readlink", "/proc/"))}

    for (shell, awk), found in zip(pairs, runs, strict=True):
        differing = {name for name in first.keys() | found.keys() if name not in moving and first.get(name) != found.get(name)}
        assert differing == set(), (shell, awk, [(first.get(name), found.get(name)) for name in sorted(differing)[:2]])
    assert len(first) - len(moving & first.keys()) > 100


NO_READING = "ln -s /proc/self/mem"  # opens like any file, and every read of it fails; mawk ends at that


@pytest.mark.parametrize("awk", AWKS)
def test_a_file_whose_reading_fails_costs_no_other_source(tmp_path: Path, awk: str) -> None:
    whole = Stage(tmp_path).awk(awk).frames(SHELLS["dash"], "--quick")

    found = Stage(tmp_path).awk(awk).do(f"{NO_READING} /etc/rsyslog.d/00.conf", "mkdir /etc/rsyslog.d/01.conf").frames(SHELLS["dash"], "--quick")

    assert found["/etc/rsyslog.d/00.conf"].status is Status.FAILED
    assert [name for name in whole if name not in found and not name.startswith("/proc/")] == []


SEEING_PROCESSES = ("-m",)


def called(name: bytes) -> subprocess.Popen[bytes]:
    """A process that bears this name already, until a line comes."""
    script = "import sys; open('/proc/self/comm', 'wb').write(bytes.fromhex(sys.argv[1])); print(flush=True); input()"
    process = subprocess.Popen(["/usr/bin/python3", "-c", script, name.hex()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_process_that_ends_while_it_is_read_hides_no_other(tmp_path: Path) -> None:
    """Opened while it lived and read when it was gone, it fails as this mount does."""
    daemon = called(b"knockd")
    try:
        unread = f"mount --bind /proc/{daemon.pid}/mem"
        stage = Stage(tmp_path).awk("mawk").do(f"{unread} /proc/1/stat", f"{unread} /proc/1/status")
        stage.unshare = SEEING_PROCESSES
        found = stage.frames(None, "--quick")
    finally:
        daemon.communicate(b"\n")

    assert re.search(
        rb"^pid=%d name=knockd parent=%d start=[1-9]" % (daemon.pid, os.getpid()), found["/proc/[0-9]*/stat (servers that guard)"].content, re.MULTILINE
    )
    assert found["/root/.ssh/authorized_keys"].status in (Status.OK, Status.ABSENT)


def test_the_name_of_a_process_makes_no_other_process(tmp_path: Path) -> None:
    names = [b"a\n1 (sshd", b"a) S 1\n1 (sshd", b"x) S 0 0 0 0 1", b"(((", b"\n\n\n)\n(\n) S"]
    strange, guard = [called(name) for name in names], called(b"knockd")
    try:
        stages = [Stage(tmp_path).awk(awk) for awk in AWKS]
        for stage in stages:
            stage.unshare = SEEING_PROCESSES
        runs = [stage.frames(None, "--quick") for stage in stages]
    finally:
        for one in (*strange, guard):
            one.communicate(b"\n")

    for found in runs:
        servers = found["/proc/[0-9]*/stat (servers that guard)"].content
        assert b"pid=%d name=knockd " % guard.pid in servers
        assert b"pid=1 " not in servers


@pytest.mark.parametrize("place", ["frames=1", "/etc/passwd"], ids=["of a lane", "of what all lanes need"])
def test_without_a_working_awk_nothing_passes_for_a_look(tmp_path: Path, place: str) -> None:
    broken = f'#!/bin/sh\ncase $* in *{place}*) exit 2 ;; esac\nexec gawk "$@"\n'
    stage = Stage(tmp_path).plant("/etc/awk", broken, "755").do(f"mount --bind /etc/awk {os.path.realpath('/usr/bin/awk')}")

    done = stage.run(None, "--quick")

    with pytest.raises(BundleError):
        frames(done.stdout)


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_what_is_quick_is_said_while_the_slow_is_still_looked_at(tmp_path: Path, stage: Stage, shell: list[str]) -> None:
    slow = f"#!/bin/sh\nuntil [ -e {tmp_path}/go ]; do sleep 0.1; done\nprintf 'kanarie:\\n     2 500\\n *** 1 100\\n'\n"
    stage.plant("/etc/apt-cache", slow, "755").do("mount --bind /etc/apt-cache /usr/bin/apt-cache")

    with subprocess.Popen(stage.argv(shell), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as probe:
        assert probe.stdout is not None
        said = b""
        while b"hostname\n" not in said:
            said += (more := os.read(probe.stdout.fileno(), 65536))
            assert more, "it ended without the rest"
        (tmp_path / "go").touch()
        said += probe.stdout.read()

    found = frames(said)
    assert found["hostname"].status is Status.OK
    assert found[APT].content == b"kanarie:\n     2 500\ninstalled 1"


def test_arguments_that_are_wrong_are_said() -> None:
    for arguments in (["--nonsense"], ["--quick", "x"]):
        done = subprocess.run(["sh", str(PROBE), *arguments], capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_a_script_that_was_cut_runs_nothing(tmp_path: Path, shell: list[str]) -> None:
    """Every cut at the end of a line, and many within: no output, and nothing but the shell itself."""
    lines = SCRIPT.split(b"\n")
    ends = [len(b"\n".join(lines[:count])) + 1 for count in range(1, len(lines) - 2)]
    # Cuts near the end and at every fiftieth line; each is one more start of a shell.
    cuts = sorted({*ends[:20], *ends[::50], *ends[-60:], *range(len(SCRIPT) - 40, len(SCRIPT.rstrip(b"\n")) - len(b'"$@"') - 1)})
    assert lines[-2] == b'tutela_probe "$@"'
    cut = tmp_path / "cut.sh"
    for at in cuts:
        cut.write_bytes(SCRIPT[:at])
        # With an empty PATH only builtins could run; a function that is called would print.
        done = subprocess.run(
            [shutil.which(shell[0]) or shell[0], *shell[1:], str(cut), "--quick"], capture_output=True, env={"PATH": "/nonexistent"}, timeout=20, check=False
        )
        assert done.stdout == b"", (at, SCRIPT[at - 60 : at])


def test_a_cut_script_starts_no_process(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    lines = SCRIPT.split(b"\n")
    for count in (40, 200, len(lines) // 2, len(lines) - 4, len(lines) - 3):
        piped = b"\n".join(lines[:count]) + b"\n"
        subprocess.run(
            ["strace", "-f", "-qq", "-e", "trace=execve,fork,vfork,clone,clone3", "-o", str(trace), "sh", "-s"], input=piped, capture_output=True, check=False
        )
        assert len(re.findall("execve|fork|clone", trace.read_text())) == 1, count


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_without_root_what_may_not_be_read_is_denied(shell: list[str]) -> None:
    # Outside of folders that nobody may enter: the script comes by standard input, as over SSH.
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *shell, "-s", "--", "--quick"],
        input=SCRIPT,
        capture_output=True,
        timeout=60,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    found = frames(done.stdout)

    assert found["/etc/shadow"].status is Status.DENIED
    assert found["/etc/passwd"].status is Status.OK
    assert b"uid=65534" in found["meta"].content
    assert not [name for name, one in found.items() if one.status is Status.TIMEOUT]
    for one in found.values():
        assert one.status is not Status.DENIED or one.content == b"", one


BARE = (
    "sh",
    "cat",
    "id",
    "date",
    "awk",
    "printf",
    "uname",
    "hostname",
    "stat",
    "sort",
    "tr",
    "head",
    "tail",
    "sed",
    "grep",
    "find",
    "readlink",
    "ls",
    "cut",
    "wc",
)


@pytest.mark.parametrize("tools", [BARE, (*BARE, "timeout")], ids=["without timeout", "with timeout"])
def test_a_host_with_busybox_only(tmp_path: Path, tools: tuple[str, ...]) -> None:
    """No systemd, ss, nft, perl, package manager; without even timeout nothing is run unbounded."""
    house = tmp_path / "house"
    for place in ("bin", "etc/ssh", "proc", "dev", "tmp", "root", "var/log", "lib", "lib64", "usr/lib"):
        (house / place).mkdir(parents=True)
    shutil.copy("/usr/bin/busybox" if Path("/usr/bin/busybox").exists() else "/bin/busybox", house / "bin" / "busybox")
    for tool in tools:
        (house / "bin" / tool).symlink_to("busybox")
    (house / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (house / "etc" / "shadow").write_text("root:$6$salt$Wq8hashed:1::::::\n")
    (house / "etc" / "os-release").write_text('ID=alpine\nVERSION_ID="3.20"\n')
    script = f"mount -t proc proc {house}/proc; mount --bind /dev {house}/dev; for d in /lib /lib64 /usr/lib; do [ ! -d $d ] || mount --bind $d {house}$d; done; exec chroot {house} /bin/sh -s -- --quick"

    done = subprocess.run(["unshare", "-m", "sh", "-c", script], input=SCRIPT, capture_output=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    found = frames(done.stdout)
    assert found["/etc/passwd"].content == b"root:x:0:0::/root:/bin/sh"
    assert found["/etc/shadow"].content == b"root:$6$:1::::::"
    assert b"Wq8hashed" not in done.stdout
    assert b"ID=alpine" in found["/etc/os-release"].content
    for command in ("ss -H -lntupeO", "nft -j list ruleset"):
        assert found[command].status is Status.ABSENT, found[command]
    assert found["uname -srm"].status is (Status.OK if "timeout" in tools else Status.TIMEOUT)


def test_closed_and_busy_descriptors_do_not_matter() -> None:
    closed = subprocess.run(["sh", "-c", f'exec sh "{PROBE}" --quick <&- 2>&-'], capture_output=True, timeout=60, check=False)
    assert closed.returncode == 0
    assert b"/etc/passwd" in closed.stdout
    frames(closed.stdout)


def test_a_reader_that_goes_away_ends_it() -> None:
    process = subprocess.Popen(
        ["sh", str(PROBE), "--quick"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdout
    process.stdout.close()
    try:
        assert process.wait(60) is not None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


HOSTILE_ENVIRONMENT = {
    "PATH": "/nonexistent",
    "IFS": "abcdefgh/",
    "ENV": "/etc/passwd",
    "BASH_ENV": "/etc/passwd",
    "CDPATH": "/:/etc",
    "POSIXLY_CORRECT": "1",
    "LC_ALL": "zh_CN.UTF-8",
    "GREP_OPTIONS": "--invert-match",
    "AWKPATH": "/tmp",
    "SHELLOPTS": "noexec",
    "PS4": "$(id)",
    "LS_COLORS": "x",
    "TIME_STYLE": "x",
    "BLOCK_SIZE": "human",
    "DPKG_ADMINDIR": "/nonexistent",
    "SYSTEMD_COLORS": "1",
    "COLUMNS": "5",
}


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_the_environment_cannot_steer_it(shell: list[str]) -> None:
    environment = {name: value for name, value in HOSTILE_ENVIRONMENT.items() if shell[0] != "bash" or name != "SHELLOPTS"}
    alone = [shutil.which("unshare") or "unshare", *ALONE]
    done = subprocess.run(
        [*alone, shutil.which(shell[0]) or shell[0], *shell[1:], str(PROBE), "--quick"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 0
    found = frames(done.stdout)
    plain = frames(subprocess.run([*alone, *shell, str(PROBE), "--quick"], capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=True).stdout)
    assert {name: one.status for name, one in found.items()} == {name: one.status for name, one in plain.items()}
    for name in ("/etc/passwd", "/etc/login.defs", "hostname"):
        assert found[name] == plain[name]


FORGED = "ok 0 11 4\n/etc/forged\nevil\nend\n"


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@pytest.mark.parametrize("awk", AWKS)
def test_hostile_files(stage: Stage, shell: list[str], awk: str) -> None:
    """Forged frames, NUL bytes, invalid UTF-8, a line of ten megabytes, names with newlines, pipes and devices in place of files."""
    stage.awk(awk)
    stage.plant("/etc/login.defs", FORGED)
    stage.do(
        "printf 'PermitRootLogin no\\000X\\377\\376\\nend\\n' >/etc/ssh/sshd_config",
        "rm -f /etc/os-release; head -c 10000000 /dev/zero | tr '\\000' A >/etc/os-release",
        "rm -f /etc/hostname; mkfifo /etc/hostname",
        "rm -rf /etc/shells; mkdir /etc/shells",
        "rm -f /etc/machine-id; mknod /etc/machine-id c 1 5",
        "rm -f /etc/security/faillock.conf; ln -s /dev/zero /etc/security/faillock.conf",
        "rm -f /etc/nsswitch.conf; ln -s /etc/nsswitch.conf /etc/nsswitch.conf",
        "mkdir -p /etc/sudoers.d /etc/ssh/sshd_config.d /etc/pam.d /etc/cron.d",
        f'name=$(printf \'a\\nend\\n{FORGED[:10]}\'); echo x >"/etc/sudoers.d/$name"; echo x >"/etc/ssh/sshd_config.d/$name.conf"; echo x >"/etc/cron.d/$name"',
        "echo y >'/etc/sudoers.d/a b  c'; echo y >'/etc/sudoers.d/-v x=1'; echo y >'/etc/sudoers.d/*'; echo y >'/etc/sudoers.d/$(id)'; echo y >/etc/sudoers.d/'a=b'",
        "mkfifo /etc/cron.d/pipe /etc/pam.d/pipe /etc/ssh/sshd_config.d/pipe.conf",
        "mkdir /etc/cron.d/folder",
        "ln -s /dev/zero /etc/cron.d/zero",
        "i=0; while [ $i -lt 500 ]; do : >/etc/sudoers.d/many$i; i=$((i + 1)); done",
    )
    done = stage.run(shell, "--quick")
    assert done.returncode == 0, done.stderr[-2000:]
    found = frames(done.stdout)

    assert "/etc/forged" not in found
    assert found["/etc/login.defs"].content == FORGED.encode()[:-1]
    assert found["/etc/os-release"].status is Status.TRUNCATED
    assert len(found["/etc/os-release"].content) < 11_000_000
    for path in ("/etc/hostname", "/etc/shells", "/etc/machine-id", "/etc/security/faillock.conf"):
        assert found[path].status is Status.FAILED, path
    assert found["/etc/nsswitch.conf"].status in (Status.ABSENT, Status.FAILED)
    assert found["/etc/sudoers.d/"].status is Status.TRUNCATED
    assert b"PermitRootLogin no" in found["/etc/ssh/sshd_config"].content
    assert not [name for name, one in found.items() if one.status is Status.TIMEOUT]
    assert len(done.stdout) < 30_000_000
