"""Time-stamps by an authority of the tests' own, in both ways of reading them, and everything that is none."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from tests.ledger.test_cli import Run, log, run  # noqa: F401 - fixtures
from tests.ledger.test_web import answering, reply
from tests.ledger.tsa import Authority
from tutela.ledger import timestamp
from tutela.ledger.refused import MalformedError, MissingError, UnsignedError
from tutela.ledger.timestamp import question, verify

pytestmark = pytest.mark.program("openssl")
CONTENT = b"ledger.example/centre\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "authority")


@pytest.mark.parametrize(
    ("more", "by"),
    [((), "rfc3161-client"), (("-chain", "cert.pem"), "rfc3161-client"), (("-chain", "root.pem"), "openssl ts")],
    ids=["one certificate", "twice the same", "certificates not in the order of DER"],
)
def test_a_token_verifies_and_tells_the_time(authority: Authority, more: tuple[str, ...], by: str) -> None:
    reply = authority.reply(question(CONTENT).content, *more)
    found = verify(CONTENT, reply, authority.root.read_bytes())
    assert found.verified_by == by
    shown = subprocess.run(["openssl", "ts", "-reply", "-in", authority.folder / "reply", "-text"], capture_output=True, text=True, check=True).stdout
    assert f"Time stamp: {found.time:%b} {found.time.day:2} {found.time:%H:%M:%S %Y} GMT" in shown
    with pytest.raises(UnsignedError, match="message imprint mismatch"):
        verify(CONTENT + b"x", reply, authority.root.read_bytes())


def test_both_programs_agree(authority: Authority) -> None:
    reply = authority.reply(question(CONTENT).content)
    root = authority.root.read_bytes()
    one, other = timestamp._by_library(CONTENT, reply, root), timestamp._by_openssl(CONTENT, reply, root)
    assert one is not None
    assert one.time == other.time


def test_another_authority_is_not_believed(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    with pytest.raises(UnsignedError, match="the authority is not trusted"):
        verify(CONTENT, stranger.reply(question(CONTENT).content), authority.root.read_bytes())


@pytest.mark.parametrize(
    "reply", [b"", b"junk", b"\x30\x03\x02\x01\x02", b"0" * (1 << 18), b"0" * (1 << 19)], ids=["empty", "junk", "refusal", "long", "too long"]
)
def test_what_is_no_time_stamp_is_malformed(authority: Authority, reply: bytes) -> None:
    with pytest.raises(MalformedError):
        verify(CONTENT, reply, authority.root.read_bytes())
    with pytest.raises(MalformedError, match="no PEM certificate"):
        verify(CONTENT, reply[: 1 << 18], b"no certificate")


def test_every_flipped_byte_of_the_signed_part_is_noticed(authority: Authority) -> None:
    reply = authority.reply(question(CONTENT).content)
    root = authority.root.read_bytes()
    # What stands before the content that is signed (lengths, the status) and the certificate are outside the signature; the imprint and the time are inside.
    start = reply.index(b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01")
    for at in range(start, start + 80, 7):
        changed = reply[:at] + bytes([reply[at] ^ 1]) + reply[at + 1 :]
        with pytest.raises((UnsignedError, MalformedError)):
            verify(CONTENT, changed, root)


def test_without_openssl_what_the_library_cannot_read_is_unproven(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = authority.reply(question(CONTENT).content, "-chain", "root.pem")

    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("tutela.ledger.timestamp.subprocess.run", gone)
    with pytest.raises(MissingError, match="needs the command openssl"):
        verify(CONTENT, reply, authority.root.read_bytes())


def test_from_the_authority_to_a_receipt_and_the_whole_ledger(log: Run, authority: Authority) -> None:  # noqa: F811
    Path("a").write_text("a")
    log("append", "log", "a")
    root, key = ("--tsa-root", authority.root), ("--key", "log/vkey")
    with authority.served() as url:
        status, out, _ = log("timestamp", "log", "--tsa", url, *root)
    assert status == 0
    assert "verified by rfc3161-client" in out
    (kept,) = Path("log/timestamps").glob("1-*.tsr")
    log("prove", "log", "0", "--output", "receipt")
    Path("b").write_text("b")
    log("append", "log", "b")
    status, out, _ = log("verify", "receipt", "a", "--timestamp", kept, *root, *key)
    assert status == 0
    assert "  stamped    1 entries existed at 20" in out
    assert log("verify", "receipt", "--timestamp", kept, *key)[0] == 3
    status, out, _ = log("verify", "log", *root, *key)
    assert status == 0
    assert "  stamped    1 entries existed at 20" in out
    log("prove", "log", "1", "--output", "other")
    status, _, err = log("verify", "other", "--timestamp", kept, *root, *key)
    assert status == 2
    assert "the time-stamp does not verify: it is for something else" in err


def test_a_time_stamp_from_before_the_witnesses_were_asked_counts(log: Run, authority: Authority) -> None:  # noqa: F811
    Path("a").write_text("a")
    log("append", "log", "a")
    with authority.served() as url:
        log("timestamp", "log", "--tsa", url)
    log("witness", "w", "--init", "owner.example/w", "--key", "log/vkey")
    Path("policy").write_text(f"log {Path('log/vkey').read_text().strip()}\nwitness W {Path('w/vkey').read_text().strip()}\nquorum W\n")
    assert log("witness", "w", "log", "--output", "cosignature")[0] == 0
    assert log("checkpoint", "log", "--cosign", "policy", "--add", "cosignature")[0] == 0
    status, out, err = log("verify", "log", "--policy", "policy", "--tsa-root", authority.root)
    assert (status, err, out.count("  stamped    1 entries existed at 20")) == (0, "", 1)


def test_a_ledger_without_the_time_stamps_that_were_asked_for_is_not_proven(log: Run, authority: Authority) -> None:  # noqa: F811
    status, _, err = log("verify", "log", "--key", "log/vkey", "--tsa-root", authority.root)
    assert (status, err) == (3, "not proven: there are no time-stamps in log\n")


def test_an_authority_without_a_network_between(log: Run, authority: Authority) -> None:  # noqa: F811
    assert log("timestamp", "log", "--query", "q")[0] == 0
    Path("r").write_bytes(authority.reply(Path("q").read_bytes()))
    status, out, _ = log("timestamp", "log", "--reply", "r")
    assert status == 0
    assert out.endswith("not verified (for that, add --tsa-root)\n")
    Path("a").write_text("a")
    log("append", "log", "a")
    status, _, err = log("timestamp", "log", "--reply", "r", "--tsa-root", authority.root)
    assert status == 1
    assert "it is for something else" in err
    status, _, err = log("timestamp", "log", "--reply", "r")
    assert (status, err) == (1, "tutela: this is no answer for this checkpoint: the ledger may have grown, or the authority refused\n")
    assert len(list(Path("log/timestamps").glob("*.tsr"))) == 1
    assert log("timestamp", "log", "--reply", "r", "--query", "q")[0] == 1


def test_an_authority_that_is_none_is_an_error(log: Run) -> None:  # noqa: F811
    status, _, err = log("timestamp", "log", "--tsa", "http://127.0.0.1:1/tsa", "--lang", "zh")
    assert status == 1
    assert "http://127.0.0.1:1/tsa" in err
    assert not Path("log/timestamps").exists()


def der(tag: int, content: bytes) -> bytes:
    """One element (X.690)."""
    length = len(content)
    size = bytes([length]) if length < 0x80 else bytes([0x82]) + length.to_bytes(2, "big")
    return bytes([tag]) + size + content


def test_the_time_is_the_one_that_was_signed_whatever_stands_around_the_token(authority: Authority) -> None:
    """What a reply says of its own status is signed by nobody, and OpenSSL prints it, line ends and all, before the time."""
    reply = authority.reply(question(CONTENT).content, "-chain", "root.pem")
    root = authority.root.read_bytes()
    granted = der(0x30, der(0x02, b"\0"))
    token = reply[reply.index(granted) + len(granted) :]
    words = f"\nTime stamp: {datetime.now(UTC) + timedelta(days=9):%b %d %H:%M:%S %Y} GMT".encode()
    lying = der(0x30, der(0x30, der(0x02, b"\0") + der(0x30, der(0x0C, words))) + token)
    assert der(0x30, granted + token) == reply
    assert timestamp._by_openssl(CONTENT, lying, root).time == timestamp._by_openssl(CONTENT, reply, root).time


def test_an_answer_to_an_earlier_request_is_none_to_this_one(log: Run, authority: Authority) -> None:  # noqa: F811
    log("timestamp", "log", "--query", "q")
    earlier = reply("200 OK", authority.reply(Path("q").read_bytes()), "Content-Type: application/timestamp-reply")
    with answering(earlier) as (url, _):
        status, _, err = log("timestamp", "log", "--tsa", url, "--tsa-root", authority.root)
    assert (status, err) == (1, "tutela: the answer does not repeat the request's random number: it was made for an earlier one\n")
    assert not Path("log/timestamps").exists()


@pytest.mark.parametrize("nonce", [1, 0x7F, 0x80, 0xFF, 0x100, (1 << 63) - 1, 1 << 63])
def test_a_random_number_is_looked_for_as_der_has_it(nonce: int) -> None:
    digest = sha256(CONTENT).digest()
    written = der(0x02, nonce.to_bytes(8 if nonce < 1 << 63 else 9, "big").lstrip(b"\0") or b"\0")
    if written[2] & 0x80:
        written = der(0x02, b"\0" + written[2:])
    asked = timestamp.Question(b"", nonce)
    timestamp.check_about(CONTENT, digest + written, asked)
    with pytest.raises(UnsignedError, match="earlier"):
        timestamp.check_about(CONTENT, digest, asked)
