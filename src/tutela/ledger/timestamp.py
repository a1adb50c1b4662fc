"""Time-stamps of checkpoints by a time-stamping authority (TSA), RFC 3161: that a checkpoint, and so each of its entries, existed at a time that is not ours.

The authority gets a digest and a random number, and answers with a signed token. The answer is kept as it came: parsers differ in what they accept, and years later
another one may have to read it. rfc3161-client verifies it; where that cannot read or does not accept it, `openssl ts -verify` has the last word, since some authorities order the certificates of
a token in a way that DER does not allow and OpenSSL does.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from tutela.language import Text
from tutela.ledger.refused import MalformedError, MissingError, UnsignedError
from tutela.record import record

MAX_REPLY_BYTES = 1 << 18
_OPENSSL_S = 20
_TIME = re.compile(r"^Time stamp: ([A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8})(?:\.[0-9]+)? ([0-9]{4}) GMT$", re.MULTILINE)

_WHY = re.compile(r"^Verify error:(.+)$|:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):", re.MULTILINE)


@record
class Stamped:
    """A time-stamp that was verified."""

    time: datetime
    """UTC, by the authority's clock."""
    verified_by: str
    """The program that said so."""


@record
class Question:
    """A request for a time-stamp."""

    content: bytes
    """DER."""
    nonce: int
    """The random number that the answer has to repeat, or it is one that was made earlier (RFC 3161, 2.4.2)."""


def question(content: bytes) -> Question:
    """The request for a time-stamp over the content's SHA-256, asking for the certificate."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    request = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
    assert request.nonce is not None
    return Question(request.as_bytes(), request.nonce)


def check_about(content: bytes, reply: bytes, asked: Question | None = None) -> None:
    """That a reply speaks of this content, and answers what was `asked` just now, whoever made it; raises UnsignedError."""
    if sha256(content).digest() not in reply:
        raise UnsignedError(
            Text(
                "这不是对这个检查点的回答：账本可能已经增长，或机构拒绝了",
                "this is no answer for this checkpoint: the ledger may have grown, or the authority refused",
            )
        )
    if asked and asked.nonce.to_bytes(asked.nonce.bit_length() // 8 + 1, "big") not in reply:
        raise UnsignedError(
            Text(
                "回答没有重复请求里的随机数：它是对以前某次请求的回答",
                "the answer does not repeat the request's random number: it was made for an earlier one",
            )
        )


def verify(content: bytes, reply: bytes, roots: bytes) -> Stamped:
    """That an authority which one of the `roots` (PEM) vouches for stamped this content; raises UnsignedError or MalformedError.

    Certificates need to have been valid when it was stamped, not today: a time-stamp outlives its authority's certificate.
    """
    if len(reply) > MAX_REPLY_BYTES:
        raise MalformedError(Text(f"时间戳超过 {MAX_REPLY_BYTES} 字节", f"the time-stamp has more than {MAX_REPLY_BYTES} bytes"))
    return _by_library(content, reply, roots) or _by_openssl(content, reply, roots)


def _by_library(content: bytes, reply: bytes, roots: bytes) -> Stamped | None:
    from cryptography import x509
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    try:
        trusted = x509.load_pem_x509_certificates(roots)
    except ValueError:
        raise MalformedError(Text("时间戳机构的根证书不是 PEM 证书", "the authority's root is no PEM certificate")) from None
    try:
        answer = decode_timestamp_response(reply)
        VerifierBuilder(roots=list(trusted)).build().verify_message(answer, content)
        return Stamped(answer.tst_info.gen_time.astimezone(UTC), "rfc3161-client")
    except (VerificationError, ValueError):
        return None


def _by_openssl(content: bytes, reply: bytes, roots: bytes) -> Stamped:
    with tempfile.TemporaryDirectory(prefix="tutela-") as folder:
        for name, bytes_ in (("content", content), ("reply", reply), ("roots", roots)):
            (Path(folder) / name).write_bytes(bytes_)
        # The token alone: what stands around it is signed by nobody, and is printed as it comes.
        said = _openssl(folder, "-reply", "-in", "reply", "-token_out", "-text")
        found = _TIME.search(said.stdout)
        if said.returncode or not found:
            raise MalformedError(
                Text("时间戳读不懂：不是 RFC 3161 的回答，或机构拒绝了", "the time-stamp cannot be read: it is no answer by RFC 3161, or a refusal")
            )
        time = datetime.strptime(f"{found[1]} {found[2]}", "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
        said = _openssl(folder, "-verify", "-data", "content", "-in", "reply", "-CAfile", "roots", "-attime", str(int(time.timestamp())))
        if said.returncode:
            why = ", ".join(one or other for one, other in _WHY.findall(said.stderr + said.stdout)) or "?"
            raise UnsignedError(
                Text(
                    f"时间戳不成立：不是为这个检查点盖的，或机构不可信（openssl：{why}）",
                    f"the time-stamp does not verify: it is for something else, or the authority is not trusted (openssl: {why})",
                )
            )
    return Stamped(time, "openssl ts")


def _openssl(folder: str, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - fixed words; what is foreign stands in files
            ["openssl", "ts", *words],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_OPENSSL_S,
            check=False,
            env={"PATH": "/usr/bin:/bin:/usr/local/bin", "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise MissingError(Text("验证这个时间戳需要 openssl 命令", "verifying this time-stamp needs the command openssl")) from None
    except subprocess.TimeoutExpired:
        raise MissingError(
            Text(f"openssl ts {_OPENSSL_S} 秒内没有验证完这个时间戳", f"openssl ts did not verify this time-stamp within {_OPENSSL_S} seconds")
        ) from None
