"""The resident scanner as it runs: in a namespace, as nobody, with one capability."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.exposure.net import SCANNER, SOURCE, TARGET, TARGET6, Net, dropping

pytestmark = pytest.mark.root
NOBODY, SOMEBODY = 65534, 1000
ENVIRONMENT = os.environ | {"PYTHONPATH": str(SOURCE)}
ALL = "1-65535"


@pytest.fixture(scope="module")
def net():
    with Net() as one:
        yield one


@pytest.fixture(scope="module")
def opened(net):
    ports = net.open(200, also=(22, 80, 443))
    net.nft(dropping(ports))
    return ports


@pytest.fixture
def tmp_path():
    # pytest's own folder is closed to other users.
    with tempfile.TemporaryDirectory(prefix="tutela-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Scanner:
    """A resident scanner in the net's namespace."""

    def __init__(self, net: Net, folder: Path, *options: str, user: bool = True) -> None:
        self.folder, self.net, self.options = folder, net, options
        (folder / "allow").write_text("198.18.0.0/24 # ours\nfd98::/64\n")
        (folder / "opt-out").touch()
        self.path = folder / "run" / "scanner.sock"
        self.arguments = [
            sys.executable, "-m", "tutela", "scanner", "--lang", "en", "--allow", str(folder / "allow"), "--opt-out", str(folder / "opt-out"),
            "--socket", str(self.path), "--rate", "100000", *(("--user", str(NOBODY), "--allow-user", str(SOMEBODY)) if user else ()), *options,
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        with (self.folder / "log").open("a") as log:
            before = len(self.logged("ready"))
            self.process = self.net.start(self.arguments, env=ENVIRONMENT, stderr=log)
        deadline = time.monotonic() + 60
        while len(self.logged("ready")) == before and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)

    def logged(self, event: str) -> list[dict]:
        # The last line may be half written.
        lines = (self.folder / "log").read_text().split("\n")[:-1]
        return [said for said in (json.loads(line) for line in lines if line.startswith("{")) if said["event"] == event]

    def wait_for(self, event: str, count: int = 1) -> dict:
        deadline = time.monotonic() + 60
        while len(self.logged(event)) < count:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)
        return self.logged(event)[-1]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)

    def packets(self) -> int:
        """That left the scanner's namespace."""
        return int(self.net.run(["cat", "/proc/net/dev"]).stdout.split("scan0:")[1].split()[9])


TALKS: list["Talk"] = []


@pytest.fixture(autouse=True)
def no_connection_stays():
    yield
    while TALKS:
        TALKS.pop().close()


class Talk:
    """A connection to the scanner, as some user."""

    def __init__(self, scanner: Scanner, uid: int = SOMEBODY) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        TALKS.append(self)
        self.socket.settimeout(20)
        os.seteuid(uid)
        try:
            self.socket.connect(str(scanner.path))
        finally:
            os.seteuid(0)
        self.file = self.socket.makefile("rb")

    def close(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
        self.socket.close()

    def ask(self, *addresses: str, ports: str = ALL, **more: object) -> "Talk":
        self.socket.sendall(json.dumps({"schema": "tutela/scanner/1", "addresses": addresses or (TARGET,), "ports": ports} | more).encode() + b"\n")
        return self

    def next(self) -> dict:
        return json.loads(self.file.readline())

    def rest(self) -> list[dict]:
        with self.socket, self.file:
            return [json.loads(line) for line in self.file]


def opens(told: list[dict], address: str = TARGET) -> list[int]:
    return sorted(one["port"] for one in told if one["event"] == "open" and one["address"] == address)


@pytest.fixture
def scanner(net, opened, tmp_path):
    one = Scanner(net, tmp_path)
    yield one
    while TALKS:
        TALKS.pop().close()
    assert one.process.poll() is None, (tmp_path / "log").read_text()
    assert one.logged("defect") == []
    assert one.stop() == 0


def test_it_keeps_one_capability_and_no_way_to_another(scanner):
    for task in Path(f"/proc/{scanner.process.pid}/task").iterdir():
        status = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines())
        assert {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {
            "CapInh": 0, "CapPrm": 1 << 13, "CapEff": 1 << 13, "CapBnd": 1 << 13, "CapAmb": 0,
        }  # fmt: skip
        assert status["Uid"].split() == [str(NOBODY)] * 4
        assert status["Gid"].split() == [str(NOBODY)] * 4
        assert status["NoNewPrivs"] == "1"


def test_root_does_not_serve(net, tmp_path):
    scanner = Scanner(net, tmp_path, user=False)
    assert scanner.process.wait() == 1
    assert "does not run as root" in (tmp_path / "log").read_text()
    assert not scanner.path.exists()


def test_without_the_capability_it_says_so(net, tmp_path):
    scanner = Scanner(net, tmp_path)
    scanner.stop()
    for folder in (tmp_path, scanner.path.parent):
        os.chown(folder, NOBODY, NOBODY)
    # The interpreter of these tests may be readable to root alone.
    done = net.run(
        ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--inh-caps=-all,+net_bind_service,+dac_read_search",
         "--ambient-caps=-all,+net_bind_service,+dac_read_search", *[one for one in scanner.arguments if one not in ("--user", str(NOBODY))]],
        check=False, environment=ENVIRONMENT,
    )  # fmt: skip
    assert "CAP_NET_RAW is missing" in done.stderr


def test_with_ambient_capabilities_as_systemd_gives_them_it_keeps_one(net, opened, tmp_path):
    scanner = Scanner(net, tmp_path)
    scanner.stop()
    for folder in (tmp_path, scanner.path.parent):
        os.chown(folder, NOBODY, NOBODY)
    caps = "-all,+net_raw,+net_bind_service,+dac_read_search"
    scanner.arguments = [
        "setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", f"--inh-caps={caps}", f"--ambient-caps={caps}",
        *[one for one in scanner.arguments if one not in ("--user", str(NOBODY))],
    ]  # fmt: skip
    scanner.start()
    status = Path(f"/proc/{scanner.process.pid}/status").read_text()
    assert [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "CapInh", "CapAmb"))] == [
        "0" * 16, f"{1 << 13:016x}", f"{1 << 13:016x}", "0" * 16,
    ]  # fmt: skip
    assert opens(Talk(scanner).ask(ports="1-1000").rest()) == sorted(port for port in opened if port <= 1000)
    assert scanner.stop() == 0
    assert not scanner.path.exists()


def test_a_user_without_any_right_scans_by_syn_packets(scanner, net, opened):
    # Root's files stay readable to them; nothing else of root's rights is left.
    argv = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", sys.executable, "-m", "tutela", "scan", TARGET, "--no-identify", "-f", "jsonl"]
    done = net.run(argv, environment=ENVIRONMENT | {"TUTELA_SCANNER": str(scanner.path)})
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert opens(told) == sorted(opened)
    summary = next(one for one in told if one["event"] == "summary")
    assert summary["method"] == "raw"
    assert summary["notes"][0]["en"] == f"sent by the resident scanner at {scanner.path}"
    assert summary["notes"][0]["zh"] == f"由常驻扫描进程 {scanner.path} 发送"
    refused = net.run([*argv[:-4], "192.0.2.7", "--scanner", str(scanner.path), "--lang", "en"], environment=ENVIRONMENT, check=False)
    assert refused.returncode == 1
    assert "192.0.2.7 lies outside the prefixes that the resident scanner may scan; nothing was sent" in refused.stderr


CHECK = """
import sys
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from tutela.cli.elsewhere import Elsewhere
from tutela.collect.run import Look, Running
from tutela.exposure.client import resident_of
from tutela.site import Site
one = Elsewhere([], Look(), Site(), (), lambda: datetime.now(UTC), Running(), resident=resident_of(Path(sys.argv[2]) if sys.argv[2:] else None))
print(one._from_here([ip_address(sys.argv[1])])[0].content.decode())
"""


def test_a_check_scans_through_it_anew_each_time_and_its_evidence_says_so(scanner, net, opened):
    tcp = [f"open tcp {port}" for port in sorted(opened)]
    Talk(scanner).ask().rest()
    said = net.python(CHECK, TARGET, str(scanner.path)).splitlines()
    assert said[4:6] == ["method raw", "by the resident scanner"]
    assert [" ".join(line.split()[:3]) for line in said if line.startswith("open ")] == tcp
    assert len(scanner.logged("scan")) == 2


def test_where_none_runs_a_check_scans_alone_unless_one_was_named(net, opened, tmp_path):
    said = net.python(CHECK, TARGET).splitlines()
    assert said[4:6] == ["method raw", "tcp 1-65535"]
    assert "cannot be used" in net.python(CHECK, TARGET, str(tmp_path / "none"))


def test_where_none_runs_a_scan_goes_alone_unless_one_was_named(net, opened, tmp_path):
    argv = [sys.executable, "-m", "tutela", "scan", TARGET, "-p", "22", "--no-identify", "--lang", "en"]
    assert "22/tcp" in net.run(argv, environment=ENVIRONMENT).stdout
    done = net.run([*argv, "--scanner", str(tmp_path / "none")], environment=ENVIRONMENT, check=False)
    assert (done.returncode, "cannot be used" in done.stderr) == (1, True)


def test_several_at_once_each_get_their_own_answers(scanner, opened):
    few = sorted(opened)[:20]
    talks = {
        "all": Talk(scanner).ask(),
        "six": Talk(scanner).ask(TARGET6),
        "few": Talk(scanner).ask(TARGET, TARGET6, ports=",".join(map(str, few))),
        "other": Talk(scanner, 0).ask(SCANNER, ports="1-2000"),
    }
    told = {name: talk.rest() for name, talk in talks.items()}
    assert opens(told["all"]) == sorted(opened)
    assert opens(told["six"], TARGET6) == sorted(opened)
    assert (opens(told["few"]), opens(told["few"], TARGET6)) == (few, few)
    assert opens(told["other"], SCANNER) == []
    for one in told.values():
        assert one[-1]["event"] == "summary"
    tally = next(one for one in told["all"] if one["event"] == "tally")
    assert tally["open"] == sorted(opened)


def test_the_same_question_is_scanned_once_and_told_with_its_age(scanner, opened):
    first, second = Talk(scanner).ask(), Talk(scanner).ask()
    assert opens(first.rest()) == opens(second.rest()) == sorted(opened)
    told = Talk(scanner, 0).ask().rest()
    assert opens(told) == sorted(opened)
    assert "this is that answer" in told[-1]["notes"][-1]["en"]
    assert len(scanner.logged("scan")) == 1


def test_who_claims_to_know_the_path_gives_nobody_else_a_hasty_answer(scanner, opened):
    """With a short round trip and no loss, as measured before, a scan ends before hosts far away have answered."""
    Talk(scanner).ask(ports="20-90", known=[0, 1_000_000], rtt_s=1e-9).rest()
    told = Talk(scanner, 0).ask(ports="20-90").rest()
    assert opens(told) == [port for port in sorted(opened) if 20 <= port <= 90]
    assert not any("this is that answer" in note["en"] for note in told[-1]["notes"])
    assert len(scanner.logged("scan")) == 2


def test_who_asks_slowly_makes_nobody_else_wait(scanner, opened):
    slow = Talk(scanner).ask(ports="1-2000", host_rate=2, seconds=30)
    scanner.wait_for("scan")
    began = time.monotonic()
    assert opens(Talk(scanner).ask(ports="1-2000").rest()) == [port for port in sorted(opened) if port <= 2000]
    assert time.monotonic() - began < 20
    slow.close()


def test_one_host_is_not_asked_without_end(scanner):
    assert Talk(scanner).ask(ports=ALL).rest()[-1]["event"] == "summary"
    assert Talk(scanner).ask(ports="1-65534").rest()[-1]["event"] == "summary"
    refused = Talk(scanner).ask(ports="1-65533").next()
    assert (refused["event"], refused["code"]) == ("refused", "too-often")
    assert 30 < refused["retry_s"] <= 60


@pytest.mark.parametrize(
    "said,code,words",
    [
        ({"addresses": ["192.0.2.1"]}, "foreign", "192.0.2.1 lies outside"),
        ({"addresses": [TARGET, "198.18.1.1"]}, "foreign", "nothing was sent"),
        ({"addresses": ["198.18.0.0-198.18.0.255"], "ports": ALL}, "too-large", "scan in parts"),
        ({"addresses": ["ff02::1"]}, "special", "multicast"),
        ({"ports": "0"}, "malformed", "ports"),
        ({"rates": 5}, "malformed", "rates"),
    ],
)
def test_what_may_not_be_asked_is_refused_and_nothing_is_sent(scanner, said, code, words):
    before = scanner.packets()
    refused = Talk(scanner).ask(**({"addresses": [TARGET], "ports": "22"} | said)).rest()
    assert [one["event"] for one in refused] == ["refused"]
    assert refused[0]["code"] == code
    assert words in refused[0]["message"]["en"]
    assert refused[0]["message"]["zh"]
    assert scanner.packets() - before < 10


def test_a_stranger_is_refused_and_named_in_the_log(scanner):
    refused = Talk(scanner, 1001).rest()
    assert refused[0]["code"] == "user"
    assert scanner.wait_for("refused")["uid"] == 1001


def test_a_group_may_be_let_in_and_the_mode_says_so(net, opened, tmp_path):
    scanner = Scanner(net, tmp_path, user=False)
    scanner.arguments += ["--user", str(NOBODY), "--allow-group", "4242"]
    scanner.start()
    status = scanner.path.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid, status.st_uid) == (0o660, 4242, NOBODY)
    code = (
        "import json, os, socket, sys; os.setgroups(json.loads(sys.argv[2])); os.setresgid(7, 7, 7); os.setresuid(1001, 1001, 1001)\n"
        "s = socket.socket(socket.AF_UNIX)\ntry:\n s.connect(sys.argv[1])\nexcept OSError as problem:\n sys.exit(str(problem))\n"
        's.sendall(b\'{"schema": "tutela/scanner/1", "addresses": ["198.18.0.2"], "ports": "22"}\\n\')\n'
        "print(s.makefile().readline())"
    )
    member = subprocess.run([sys.executable, "-S", "-c", code, str(scanner.path), "[4242]"], capture_output=True, text=True, check=False)
    stranger = subprocess.run([sys.executable, "-S", "-c", code, str(scanner.path), "[4243]"], capture_output=True, text=True, check=False)
    assert '"event": "open"' in member.stdout
    assert "Permission denied" in stranger.stderr
    assert scanner.stop() == 0


def once_there_is_room(scanner: Scanner, uid: int) -> Talk:
    """A connection, when the queue of those that wait has room again: connect(2) says EAGAIN until then."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(BlockingIOError):
            return Talk(scanner, uid)
        time.sleep(0.05)
    raise AssertionError("the scanner takes nobody any more")


def test_hostile_clients_harm_nobody(scanner, opened):
    garbage = [Talk(scanner) for _ in range(4)]
    for talk, said in zip(garbage, (b"\x00\xff" * 100 + b"\n", b"{" * 70_000 + b"\n", b"A" * (3 << 20), b'{"schema": 1}\n' * 1000), strict=True):
        with contextlib.suppress(OSError):
            talk.socket.sendall(said)
        assert talk.next()["code"] == "malformed"
        talk.close()
    # Thousands of connections that ask nothing.
    held = []
    for _ in range(3000):
        with contextlib.suppress(OSError):
            one = Talk(scanner)
            held.append(one)
            if len(held) > 200:
                held.pop(0).close()
    busy = [one["code"] for one in scanner.logged("refused")].count("busy")
    # The others did not even fit into the queue.
    assert busy > 100
    told = once_there_is_room(scanner, 0).ask(ports="1-20000").rest()
    assert opens(told) == sorted(port for port in opened if port <= 20000)
    for one in held:
        one.close()
    assert len(os.listdir(f"/proc/{scanner.process.pid}/fd")) < 60
    assert len(scanner.wait_for("ended")) > 0


def test_who_asks_nothing_and_who_reads_nothing_is_left(scanner, opened):
    silent = Talk(scanner)
    deaf = Talk(scanner)
    deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    # Each host gets a line; nobody reads them.
    deaf.ask("198.18.0.3-198.18.0.254", "fd98::1000-fd98::1fff", ports="9", rounds=1)
    scanner.wait_for("scanned")
    other = Talk(scanner).ask(ports="1-3000").rest()
    assert opens(other) == sorted(port for port in opened if port <= 3000)
    assert silent.next()["code"] == "slow"
    deadline = time.monotonic() + 60
    while not any(one["why"] == "client does not read" for one in scanner.logged("ended")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("way", ["closes", "killed"])
def test_a_client_that_goes_ends_its_scan(scanner, net, way):
    if way == "closes":
        talk = Talk(scanner).ask(rate=2000)
        talk.next()
        talk.close()
    else:
        argv = [sys.executable, "-m", "tutela", "scan", TARGET, "--scanner", str(scanner.path), "--rate", "2000", "-f", "jsonl", "--no-identify"]
        client = net.start(argv, env=ENVIRONMENT)
        client.stdout.readline()
        client.send_signal(signal.SIGKILL)
    assert scanner.wait_for("ended")["why"] == "client has gone"
    before = scanner.packets()
    time.sleep(0.5)
    assert scanner.packets() - before < 10


def test_an_early_end_still_tells_what_was_found(scanner, opened):
    talk = Talk(scanner).ask(rate=2000)
    assert talk.next()["event"] == "open"
    talk.socket.sendall(b'{"stop": true}\n')
    told = talk.rest()
    assert told[-1]["event"] == "summary"
    assert "ended early" in told[-1]["notes"][-1]["en"]
    assert told[-1]["packets"] < 20_000


def test_an_interrupted_command_prints_its_summary(scanner, net):
    argv = [sys.executable, "-m", "tutela", "scan", TARGET, "--scanner", str(scanner.path), "--rate", "2000", "-f", "jsonl", "--no-identify"]
    client = net.start(argv, env=ENVIRONMENT)
    client.stdout.readline()
    client.terminate()
    rest = [json.loads(line) for line in client.stdout]
    assert client.wait() == 130
    assert rest[-1]["event"] == "summary"


def test_a_scan_has_a_deadline(scanner):
    told = Talk(scanner).ask(rate=2000, seconds=1).rest()
    # By itself it would take half a minute.
    assert 0.9 < told[-1]["seconds"] < 20
    assert "the time limit of 1 s is over; the numbers are incomplete" in told[-1]["notes"][-1]["en"]


def test_a_user_has_so_many_scans_and_others_still_get_theirs(scanner):
    running = [Talk(scanner).ask(address, rate=500) for address in (TARGET, TARGET6, SCANNER, "198.18.0.77")]
    for talk in running:
        talk.next()
    refused = Talk(scanner).ask(ports="1-99").rest()
    assert refused[0]["code"] == "busy"
    assert "4 a user, 16 in all" in refused[0]["message"]["en"]
    assert Talk(scanner, 0).ask(ports="1-99").rest()[-1]["event"] == "summary"
    for talk in running:
        talk.close()


def test_a_sweep_does_not_starve_a_single_host(net, opened, tmp_path):
    scanner = Scanner(net, tmp_path, "--rate", "10000")
    sweep = Talk(scanner).ask("198.18.0.3-198.18.0.254", "fd98::1000-fd98::1400", ports="1-700", rounds=1)
    sweep.next()
    time.sleep(0.3)
    few = ",".join(map(str, sorted(opened)))
    told = Talk(scanner, 0).ask(ports=few).rest()
    # The sweep alone takes 90 s, and nobody waits for it here: a socket that says nothing for 20 s is an error.
    assert opens(told) == sorted(opened)
    sweep.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        while sweep.next()["event"] != "summary":
            pass
    sweep.close()
    assert scanner.stop() == 0


def test_it_drains_when_it_is_told_to_stop(net, opened, tmp_path):
    scanner = Scanner(net, tmp_path)
    talk = Talk(scanner).ask(rate=30_000)
    first = talk.next()
    scanner.process.terminate()
    scanner.wait_for("stopping")
    with pytest.raises(ConnectionRefusedError):
        Talk(scanner)
    assert opens([first, *talk.rest()]) == sorted(opened)
    assert scanner.process.wait(60) == 0


def test_a_second_signal_ends_it_at_once(net, opened, tmp_path):
    scanner = Scanner(net, tmp_path)
    talk = Talk(scanner).ask(rate=1000)
    talk.next()
    scanner.process.terminate()
    scanner.wait_for("stopping")
    scanner.process.terminate()
    # It did not wait for the scan, which would take a minute and then have a summary.
    assert scanner.process.wait(20) == 0
    assert [one for one in talk.rest() if one["event"] == "summary"] == []


def test_it_starts_over_a_socket_that_nobody_serves_and_over_nothing_else(net, opened, tmp_path):
    scanner = Scanner(net, tmp_path)
    scanner.process.kill()
    scanner.process.wait()
    assert scanner.path.is_socket()
    scanner.start()
    first = scanner.process
    assert Talk(scanner).ask(ports="22").next()["event"] == "open"
    scanner.start()
    assert scanner.process.wait(60) == 1
    assert "a scanner is running" in (tmp_path / "log").read_text()
    assert Talk(scanner, 0).ask(ports="22,80").next()["event"] == "open"
    first.terminate()
    assert first.wait(60) == 0
    scanner.path.unlink(missing_ok=True)
    scanner.path.write_text("mine")
    scanner.start()
    assert scanner.process.wait(60) == 1
    assert scanner.path.read_text() == "mine"


def test_who_opts_out_in_the_middle_is_not_asked_any_more_and_a_broken_list_changes_nothing(net, opened, tmp_path):
    scanner = Scanner(net, tmp_path)
    talk = Talk(scanner).ask(ports="1-20000", rate=5000)
    talk.next()
    (tmp_path / "opt-out").write_text(f"{TARGET}\n")
    scanner.process.send_signal(signal.SIGHUP)
    scanner.wait_for("lists read")
    told = talk.rest()
    assert "packets were not sent" in told[-1]["notes"][0]["en"]
    assert told[-1]["packets"] < 15_000
    assert Talk(scanner).ask(ports="22").next()["code"] == "opted-out"
    (tmp_path / "opt-out").write_text("nonsense\n")
    scanner.process.send_signal(signal.SIGHUP)
    scanner.wait_for("lists not read")
    assert Talk(scanner).ask(ports="22").next()["code"] == "opted-out"
    assert scanner.stop() == 0


def test_silent_ports_fill_no_more_of_a_filters_table_than_allowed(net, opened, tmp_path):
    scanner = Scanner(net, tmp_path, "--entries", "3000")
    told = Talk(scanner).ask(seconds=2).rest()
    tally = next(one for one in told if one["event"] == "tally")
    assert 3000 <= tally["asked"] <= 3300
    assert scanner.stop() == 0


def test_the_rules_it_prints_are_a_second_lock(net, opened, tmp_path):
    scanner = Scanner(net, tmp_path)
    (tmp_path / "narrow").write_text("198.18.0.128/25\n")
    shown = net.run([sys.executable, "-m", "tutela", "scanner", "--show", "nft", "--allow", str(tmp_path / "narrow")], environment=ENVIRONMENT).stdout
    net.run(["nft", "-f", "-"], stdin=shown.replace('"tutela-scanner"', str(NOBODY)))
    refused = Talk(scanner).ask(ports="22,80").rest()
    net.run(["nft", "-f", "-"], stdin=shown.replace('"tutela-scanner"', str(NOBODY)).replace("198.18.0.128/25", "198.18.0.0/24"))
    told = Talk(scanner).ask(ports="22,443").rest()
    half_open = net.target(["ss", "-Htn", "state", "syn-recv"]).stdout
    net.nft("", scanner=True)
    assert "refused to send to 198.18.0.2: Operation not permitted" in refused[-1]["message"]["en"]
    assert opens(told) == [22, 443]
    assert half_open == ""
    assert scanner.stop() == 0


def test_its_unit_is_one_that_systemd_understands(tmp_path):
    done = subprocess.run([sys.executable, "-m", "tutela", "scanner", "--show", "service"], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    unit = tmp_path / "tutela-scanner.service"
    unit.write_text(done.stdout.replace("/usr/local/bin/tutela", "/bin/true"))
    assert "CapabilityBoundingSet=CAP_NET_RAW\n" in done.stdout
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
