"""The weak-password test on made shadow files: hashes are made here by the machine's own libcrypt."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tutela.collect.answer import make_bundle
from tutela.collect.passwords import CPU_SECONDS, MAX_CANDIDATES, RULES, SOURCE, Host, _evidence, guests, launcher, orders, with_passwords
from tutela.collect.run import Look
from tutela.collect.target import LocalTarget, SshTarget
from tutela.evidence import Bundle, Evidence, Status
from tutela.evidence.bundle import write_frames
from tutela.site import Site

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SITE = Site(weak_tokens=("ACME",), birth_years=(1970, 1980))
BUNDLE = make_bundle("web01", write_frames([Evidence("meta", Status.OK, b"version=1")]), NOW, {})
GUESTS = {"python": {"perls": ()}, "perl": {"pythons": ()}}

root = pytest.mark.root
guest = pytest.mark.parametrize("guest", GUESTS)
pytestmark = [pytest.mark.root, root]

_crypt = ctypes.CDLL("libcrypt.so.1")
_crypt.crypt.restype = ctypes.c_char_p
_crypt.crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
_crypt.crypt_gensalt.restype = ctypes.c_char_p
_crypt.crypt_gensalt.argtypes = [ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int]

SETTINGS = {
    "$y$": b"$y$j75$saltsaltsaltsalt",
    "$gy$": b"$gy$j75$saltsaltsaltsalt",
    "$7$": b"$7$76..../....saltsalt",
    "$2b$": b"$2b$04$abcdefghijklmnopqrstuu",
    "$2y$": b"$2y$04$abcdefghijklmnopqrstuu",
    "$6$": b"$6$rounds=1000$saltsalt",
    "$5$": b"$5$rounds=1000$saltsalt",
    "$1$": b"$1$saltsalt",
    "des": b"ab",
    "bsdi": b"_J9..rasm",
}


def hashed(password: bytes, setting: bytes = b"$5$rounds=1000$saltsalt") -> bytes:
    made: bytes | None = _crypt.crypt(password, setting)
    assert made
    assert not made.startswith(b"*"), setting
    return made


def shadow_of(folder: Path, rows: list[tuple[bytes, bytes, bytes]], **changes: object) -> Host:
    """A host whose accounts are rows of name, field 2, GECOS."""
    (folder / "shadow").write_bytes(b"".join(b"%s:%s:20000:0:99999:7:::\n" % (name, stored) for name, stored, _ in rows))
    (folder / "passwd").write_bytes(b"".join(b"%s:x:1000:1000:%s:/home/x:/bin/sh\n" % (name, full) for name, _, full in rows))
    return replace(Host(shadow=str(folder / "shadow"), passwd=str(folder / "passwd")), **changes)


def look_at(host: Host, site: Site = SITE) -> Bundle:
    return with_passwords(BUNDLE, LocalTarget(), Look(passwords=site), host=host)


def answers(bundle: Bundle) -> dict[str, str]:
    found = bundle[SOURCE]
    assert found.status is Status.OK, found
    lines = [line.split(" ") for line in found.content.decode().split("\n")]
    return {line[1]: line[2] for line in lines if line[0] == "account"}


def said(bundle: Bundle, key: str) -> str | None:
    lines = [line.partition(" ") for line in bundle[SOURCE].content.decode().split("\n")]
    return next((value for name, _, value in lines if name == key), None)


@guest
def test_every_algorithm_of_libcrypt_is_tried(tmp_path: Path, guest: str) -> None:
    # DES sees eight characters only.
    rows = [(f"u{at}".encode(), hashed(b"calvin", setting), b"") for at, setting in enumerate(SETTINGS.values())]
    rows += [(f"s{at}".encode(), hashed(b"v9#Lq!pz0&", setting), b"") for at, setting in enumerate(SETTINGS.values())]

    found = answers(look_at(shadow_of(tmp_path, rows, **GUESTS[guest])))

    assert found == {name.decode(): "vendor-default" if name.startswith(b"u") else "none" for name, _, _ in rows}


@guest
@pytest.mark.parametrize(
    ("rule", "password"),
    [
        ("user-name", b"zhangsan123"),
        ("user-name", b"Zhangsan@2026"),
        ("user-name", b"zhangsanzhangsan"),
        ("vendor-default", b"Huawei12#$"),
        ("common-word", b"Passw0rd!"),
        ("digits", b"88888888"),
        ("digits", b"5201314"),
        ("keyboard", b"1qaz@WSX"),
        ("keyboard", b"!@#$%^&*"),
        ("site-token", b"acme2026"),
        ("site-token", b"ACME"),
        ("site-token", b"Acme@123"),
        ("site-token", b"@cm3"),
        ("host-name", None),
        ("personal-name", b"lisi123"),
        ("personal-name", b"sili"),
        ("birthdate", b"19750101"),
        ("none", b"correct horse battery staple"),
    ],
)
def test_a_rule_finds_what_it_is_for(tmp_path: Path, guest: str, rule: str, password: bytes | None) -> None:
    password = password or os.uname().nodename.partition(".")[0].encode() + b"123"
    host = shadow_of(tmp_path, [(b"zhangsan", hashed(password), b"Li Si,Room 1,,")], **GUESTS[guest])

    assert answers(look_at(host)) == {"zhangsan": rule}


@guest
def test_accounts_without_a_testable_hash(tmp_path: Path, guest: str) -> None:
    secret = hashed(b"password")
    rows = [
        (b"none", b"*", b""),
        (b"bang", b"!", b""),
        (b"bangs", b"!!", b""),
        (b"locked", b"!" + secret, b""),
        (b"star", b"*LK*", b""),
        (b"empty", b"", b""),
        (b"odd", b"$9$what$ever", b""),
        (b"sm", b"$sm3x$aaaa$bbbb", b""),
        (b"sun", b"$md9,rounds=5$abc$$x", b""),
        (b"clear", b"my clear password", b""),
        (b"+nis", secret, b""),
        (b"weak", secret, b""),
    ]

    bundle = look_at(shadow_of(tmp_path, rows, **GUESTS[guest]))

    assert answers(bundle) == {
        "none": "locked",
        "bang": "locked",
        "bangs": "locked",
        "locked": "locked",
        "star": "locked",
        "empty": "empty",
        "odd": "unsupported:$9$",
        "sm": "unsupported:$sm3x$",
        "sun": "unsupported:$md9$",
        "clear": "unsupported:other",
        "weak": "vendor-default",
    }
    assert said(bundle, "rules") == str(len(RULES))
    assert said(bundle, "stopped") is None


@guest
def test_a_hash_that_still_stands_in_passwd_is_tried(tmp_path: Path, guest: str) -> None:
    host = shadow_of(tmp_path, [(b"x", b"*", b"")], **GUESTS[guest])
    with (tmp_path / "passwd").open("ab") as file:
        file.write(b"old:" + hashed(b"old1") + b":5:5::/:/bin/sh\n")

    assert answers(look_at(host)) == {"x": "locked", "old": "user-name"}


@guest
@pytest.mark.parametrize("content", [b"", b"\n\n\n", b"\x00\xff\n:::\nroot\n", b"a" * 100_000, b"root:$6$", b"r:\xff\xfe$$$:\n"])
def test_damaged_files_do_no_harm(tmp_path: Path, guest: str, content: bytes) -> None:
    host = shadow_of(tmp_path, [], **GUESTS[guest])
    (tmp_path / "shadow").write_bytes(content)
    (tmp_path / "passwd").write_bytes(content)

    assert look_at(host)[SOURCE].status is Status.OK


def test_both_programs_say_the_same(tmp_path: Path) -> None:
    rows = [(f"user{at}".encode(), hashed(word), b"Wang Wu & Co,x") for at, word in enumerate((b"wangwu", b"1q2w3e4r", b"user2!", b"xQ2v", b"19760808"))]
    rows.append(("李四".encode(), hashed("李四123".encode()), "李四".encode()))
    hosts = [shadow_of(tmp_path, rows, **arguments) for arguments in GUESTS.values()]

    python, perl = (look_at(host)[SOURCE].content.split(b"\n") for host in hosts)

    # How many guesses were under way when one matched is chance.
    assert [line for line in python if line[:4] not in (b"cpu ", b"cand")] == [line for line in perl if line[:4] not in (b"cpu ", b"cand")]


@guest
def test_the_budget_of_cpu_holds_and_says_what_it_cost(tmp_path: Path, guest: str) -> None:
    rows = [(f"u{at}".encode(), hashed(b"not in any list", b"$6$rounds=5000$salt%d" % at), b"") for at in range(12)]

    bundle = look_at(shadow_of(tmp_path, rows, seconds=2.0, **GUESTS[guest]))

    assert set(answers(bundle).values()) == {"incomplete"}
    # Where this machine is so busy that it gives no CPU, its time on the clock is over first, and nothing before.
    stopped = said(bundle, "stopped")
    assert stopped in ("budget", "time")
    assert (1.2 if stopped == "budget" else 0) < float(said(bundle, "cpu") or 0) <= 2.3
    assert 0 <= int(said(bundle, "rules") or 99) < len(RULES)


@guest
def test_rules_tried_whole_are_counted_when_time_runs_out(tmp_path: Path, guest: str) -> None:
    """Rule by rule over everybody: the cheap account is done, the dear one gives the count."""
    rows = [(b"cheap", hashed(b"not in any list", b"$1$salt"), b""), (b"dear", hashed(b"not in any list", b"$6$rounds=70000$salt"), b"")]

    bundle = look_at(shadow_of(tmp_path, rows, seconds=3.0, **GUESTS[guest]))

    assert answers(bundle)["dear"] == "incomplete"
    assert 1 <= int(said(bundle, "rules") or 99) < len(RULES)


@guest
def test_a_hash_made_to_hang_costs_its_own_account_only(tmp_path: Path, guest: str) -> None:
    rows = [(b"hang", b"$6$rounds=999999999$salt$" + b"x" * 86, b""), (b"weak", hashed(b"123456"), b"")]

    bundle = look_at(shadow_of(tmp_path, rows, seconds=60.0, **GUESTS[guest]))

    assert answers(bundle) == {"hang": "incomplete", "weak": "vendor-default"}
    assert float(said(bundle, "cpu") or 99) < 15


def test_candidates_are_bounded_for_everybody(tmp_path: Path) -> None:
    site = Site(weak_tokens=tuple(f"token{at}" for at in range(200)), birth_years=(1900, 2020))
    host = shadow_of(tmp_path, [(b"someone", hashed(b"not in any list", b"$1$salt"), b"A B C D E F,")])

    bundle = look_at(host, site)

    assert said(bundle, "candidates") == str(MAX_CANDIDATES)
    assert CPU_SECONDS == 60


def test_site_words_cannot_give_orders() -> None:
    made = orders(Site(weak_tokens=("x\nshadow /tmp/evil\nend",)), date(2026, 11, 22), Host(), progress=False)

    lines = made.split(b"\n")
    assert [line for line in lines if line.startswith(b"shadow ")] == [b"shadow /etc/shadow"]
    assert lines.count(b"end") == 1


@guest
def test_nothing_secret_is_seen_from_outside(tmp_path: Path, guest: str) -> None:
    """Neither on command lines, nor in environments, nor in what comes back, on either stream."""
    password = b"weak!@#"
    stored = [hashed(password, b"$6$rounds=5000$canarysalt"), hashed(b"strong and long", b"$6$rounds=400000$canarysalt")]
    host = shadow_of(tmp_path, [(b"weak", stored[0], b"Canary Person"), (b"strong", stored[1], b"")], seconds=4.0, **GUESTS[guest])
    sent = guests()[0] + guests()[1] + orders(SITE, NOW.date(), host, progress=True)
    process = subprocess.Popen(["sh", "-c", launcher(host)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert process.stdin
    seen: list[bytes] = []
    limits: list[str] = []

    def watch() -> None:
        while process.poll() is None:
            for entry in Path("/proc").iterdir():
                if not entry.name.isdigit():
                    continue
                try:
                    if os.getsid(int(entry.name)) == process.pid:
                        seen.append((entry / "cmdline").read_bytes() + (entry / "environ").read_bytes())
                        limits.append(next(line for line in (entry / "limits").read_text().split("\n") if line.startswith("Max core")))
                except OSError:
                    continue
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.stdin.write(sent)
    process.stdin.flush()
    assert process.stdout
    assert process.stderr
    out, err = process.stdout.read(), process.stderr.read()
    process.wait()
    watcher.join()
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()

    assert b"account weak user-name" in out
    assert b"progress " in err
    assert len(seen) > 20
    for secret in (password, stored[0], stored[1], b"canarysalt", b"Canary", b"1qaz", b"ACME", b"acme", b"19700101"):
        assert all(secret not in text for text in (*seen, out, err)), secret
    assert limits[-1].split()[4:6] == ["0", "0"]


@guest
def test_it_ends_when_nobody_waits_any_more(tmp_path: Path, guest: str) -> None:
    """With all its workers, though each is in the middle of a hash that takes an hour."""
    rows = [(name, b"$6$rounds=999999999$salt$" + b"x" * 86, b"") for name in (b"one", b"two")]
    host = shadow_of(tmp_path, rows, **GUESTS[guest])
    sent = guests()[0] + guests()[1] + orders(SITE, NOW.date(), host, progress=False)
    process = subprocess.Popen(
        ["sh", "-c", launcher(host)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdin
    process.stdin.write(sent)
    process.stdin.flush()
    while len(of_session(process.pid)) <= min(2, os.cpu_count() or 1):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(1)
    process.stdin.close()

    assert process.wait(60) is not None
    left = of_session(process.pid)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


@guest
def test_time_in_which_a_busy_host_gives_no_cpu_costs_none(tmp_path: Path, guest: str) -> None:
    rows = [(f"u{at}".encode(), hashed(b"not in any list", b"$6$rounds=5000$salt%d" % at), b"") for at in range(12)]
    host = shadow_of(tmp_path, rows, seconds=4.0, **GUESTS[guest])
    process = subprocess.Popen(["sh", "-c", launcher(host)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdin
    assert process.stdout
    process.stdin.write(guests()[0] + guests()[1] + orders(SITE, NOW.date(), host, progress=False))
    process.stdin.flush()
    while len(of_session(process.pid)) <= min(2, os.cpu_count() or 1):
        assert process.poll() is None
        time.sleep(0.02)
    every = of_session(process.pid)
    parents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in every}
    workers = [pid for pid in every if pid not in parents]
    for number, seconds in ((signal.SIGSTOP, 5), (signal.SIGCONT, 0)):
        for pid in workers:
            os.kill(pid, number)
        time.sleep(seconds)
    with process:
        answer = process.stdout.read().decode()

    stopped, cpu = (line.split(" ")[1] for key in ("stopped ", "cpu ") for line in answer.split("\n") if line.startswith(key))
    assert float(cpu) > (3 if stopped == "budget" else 0)


def of_session(number: int) -> list[int]:
    """Its processes."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(ProcessLookupError):
            if os.getsid(int(name)) == number:
                found.append(int(name))
    return found


def test_without_python_or_perl_the_source_is_absent(tmp_path: Path) -> None:
    assert look_at(shadow_of(tmp_path, [], pythons=(), perls=()))[SOURCE].status is Status.ABSENT
    assert look_at(shadow_of(tmp_path, [], pythons=("no-such-python",), perls=("no-such-perl",)))[SOURCE].status is Status.ABSENT


def test_a_python_without_ctypes_leaves_it_to_perl(tmp_path: Path) -> None:
    crippled = tmp_path / "python3"
    crippled.write_text("#!/bin/sh\nexit 1\n")
    crippled.chmod(0o755)
    host = shadow_of(tmp_path, [(b"u", hashed(b"u"), b"")], pythons=(str(crippled),))

    assert answers(look_at(host)) == {"u": "user-name"}


def test_without_root_it_is_denied(tmp_path: Path) -> None:
    told = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", launcher(Host())], capture_output=True, input=b"", check=False
    )

    assert _evidence(told.stdout, told.returncode).status is Status.DENIED


@guest
def test_over_ssh_the_words_survive_the_remote_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guest: str) -> None:
    """sshd hands the last word to the user's shell; this one does so, too."""
    fake = tmp_path / "bin" / "ssh"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    host = shadow_of(tmp_path, [(b"u", hashed(b"u"), b"")], **GUESTS[guest])

    assert answers(with_passwords(BUNDLE, SshTarget("x", "h.example", "root", 2222), Look(passwords=SITE), host=host)) == {"u": "user-name"}


def test_an_unreachable_target_gives_a_failed_source_not_an_error() -> None:
    bundle = with_passwords(BUNDLE, SshTarget("x", "host.invalid"), Look(passwords=SITE, connect_timeout_s=1), options=("-F", "/dev/null"))

    assert bundle[SOURCE].status is Status.FAILED


def test_the_bundle_stays_canonical(tmp_path: Path) -> None:
    bundle = look_at(shadow_of(tmp_path, [(b"u", b"*", b"")]))

    assert Bundle.from_bytes(bundle.to_bytes()) == bundle
    assert bundle["meta"].content == b"version=1"


GOOD = b"rules 9\ncandidates 4\ncpu 0.1\naccount root none\naccount x\\x20y digits\nstopped budget\nend\n"


def test_a_good_answer_is_taken_without_its_end_mark() -> None:
    found = _evidence(GOOD, 0)

    assert (found.status, found.content) == (Status.OK, GOOD[: -len(b"\nend\n")])


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"end\n",
        GOOD[:-4],
        GOOD + b"x",
        GOOD.replace(b"none", b"hunter2"),
        GOOD.replace(b"none", b"$6$salt$hash"),
        GOOD.replace(b"stopped budget", b"stopped because"),
        GOOD.replace(b"root", b"ro ot"),
        b"Traceback (most recent call last):\n" + GOOD,
        GOOD.replace(b"none", b"unsupported:$6$salt$hash"),
    ],
)
def test_an_answer_with_anything_else_in_it_is_dropped(answer: bytes) -> None:
    found = _evidence(answer, 0)

    assert (found.status, found.content) == (Status.FAILED, b"")


@given(st.binary(max_size=300))
def test_any_answer_is_an_answer_or_dropped(answer: bytes) -> None:
    assert _evidence(answer, 0).content in (b"", answer.removesuffix(b"\nend\n"))


FIELD = st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"").replace(b":", b""))


@guest
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(FIELD, st.sampled_from([b"*", b"", hashed(b"zz", b"$1$x")]) | FIELD, FIELD), max_size=4))
def test_hostile_names_never_break_the_answer(tmp_path: Path, guest: str, rows: list[tuple[bytes, bytes, bytes]]) -> None:
    bundle = look_at(shadow_of(tmp_path, rows, **GUESTS[guest]))

    assert bundle[SOURCE].status is Status.OK
    assert all(line.count(b" ") <= 2 for line in bundle[SOURCE].content.split(b"\n"))


def test_python_3_6_can_read_the_program() -> None:
    import ast

    ast.parse(guests()[0], feature_version=(3, 6))
