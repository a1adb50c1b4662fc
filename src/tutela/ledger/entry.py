"""What is logged: a record, in canonical bytes, edition 1.

    {"edition":1,"effective":"2026-11-22T08:00:00Z","kind":"bundle","logged":"…","received":"…","subject":"sha256:…"}

JSON with its keys in order, no spaces and times in whole seconds of UTC, so that one record has one way of being written (docs/spec/ledger.md).

Three times: when it took effect, when the ledger's keeper received it, when it was logged. What a record *is* are its kind, its subject and its effective time;
the same one handed in again is the same record, and the first entry stands.

No personal data: of a subject only a digest is logged. Where the subject is short or guessable (a letter, a contact, a vote), the digest is made with a salt,
which is kept apart; once the salt is deleted, nobody can tell any more what the entry spoke of.
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256

from tutela.language import Text
from tutela.ledger.refused import MalformedError, MisuseError
from tutela.record import record

EDITION = 1
SALT_BYTES = 32


class Kind(StrEnum):
    """What a record's subject is."""

    ASSESSMENT = "assessment"
    """A judgement of one host, as JSON."""
    BUNDLE = "bundle"
    """The evidence of one look at one host."""
    AGREEMENT = "agreement"
    """An edition of an agreement."""
    SCAN = "scan"
    SEGMENT = "segment"
    """A sealed file of logs."""
    LETTER = "letter"
    INCIDENT = "incident"
    VOTE = "vote"
    DOCUMENT = "document"
    """Anything else."""

    @property
    def personal(self) -> bool:
        """Whether its digest is salted unless told otherwise: it names people, in words few enough to be guessed."""
        return self in (Kind.LETTER, Kind.INCIDENT, Kind.VOTE)


# Years of four digits, which strftime(3) writes as they are; no hour 24, which newer Pythons read as the next day's first.
_TIME = r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}Z"
EARLIEST, LATEST = -30_610_224_000, 253_402_300_799
_SALTED = "hmac-sha256:"
_SUBJECT = re.compile(rf"(?:sha256:|{_SALTED})[0-9a-f]{{64}}")
_ENTRY = re.compile(
    rf'\{{"edition":1,"effective":"({_TIME})","kind":"([a-z][a-z0-9-]{{0,31}})","logged":"({_TIME})","received":"({_TIME})","subject":"({_SUBJECT.pattern})"\}}'.encode()
)


@record
class Record:
    """What is handed in to be logged. Times are POSIX seconds."""

    kind: str
    subject: str
    """`sha256:` or `hmac-sha256:` with 64 hexadecimal digits."""
    effective: int
    received: int

    @property
    def identity(self) -> bytes:
        """32 bytes that two records share if and only if they are the same record."""
        return sha256(f"{EDITION}\n{self.kind}\n{self.subject}\n{self.effective}".encode()).digest()

    def entry(self, logged: int) -> bytes:
        """The canonical bytes of the record as it is logged at `logged`."""
        return (
            f'{{"edition":1,"effective":"{written(self.effective)}","kind":"{self.kind}",'
            f'"logged":"{written(logged)}","received":"{written(self.received)}","subject":"{self.subject}"}}'
        ).encode()


@record
class Entry:
    """A record that was logged, and when."""

    record: Record
    logged: int


def new_record(kind: Kind, subject: str, effective: int, received: int) -> Record:
    """A record that may be logged; raises MisuseError."""
    if not _SUBJECT.fullmatch(subject):
        raise MisuseError(
            Text(
                f"主体应写成 sha256: 加 64 位十六进制，收到的是 {subject[:80]!r}",
                f"a subject is sha256: and 64 hexadecimal digits, not {subject[:80]!r}",
            )
        )
    if kind.personal and not subject.startswith(_SALTED):
        raise MisuseError(
            Text(
                f"{kind} 会提到人，摘要必须加盐（{_SALTED}…）：不加盐的摘要可以被猜出来",
                f"a subject of the kind {kind} names people: its digest must be salted ({_SALTED}…), since one without can be found by guessing",
            )
        )
    for time in (effective, received):
        if not EARLIEST <= time <= LATEST:
            raise MisuseError(Text(f"时间 {time} 不在 1000 年到 9999 年之间", f"the time {time} lies outside the years 1000 to 9999"))
    return Record(kind.value, subject, effective, received)


def parse_entry(content: bytes) -> Entry:
    """The entry in these bytes; raises MalformedError for anything but the canonical bytes of a record."""
    found = _ENTRY.fullmatch(content)
    if not found:
        raise MalformedError(Text("这不是第 1 版的规范记录", "this is no canonical record of edition 1"))
    effective, kind, logged, received, subject = (one.decode() for one in found.groups())
    return Entry(Record(kind, subject, _seconds(effective), _seconds(received)), _seconds(logged))


def digest(content: bytes) -> str:
    """A subject's digest."""
    return f"sha256:{sha256(content).hexdigest()}"


def salted_digest(content: bytes, salt: bytes) -> str:
    """A subject's digest that nobody can guess without the salt: HMAC-SHA-256 (RFC 2104) with the salt as its key."""
    return f"{_SALTED}{hmac.new(salt, content, sha256).hexdigest()}"


@lru_cache(maxsize=4096)
def written(time: int) -> str:
    """A time as entries have it."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=4096)
def _seconds(time: str) -> int:
    try:
        found = int(datetime.fromisoformat(time).timestamp())
    except ValueError:
        found = None
    # From Python 3.14 on 24:00:00 is another way of writing the next day's beginning.
    if found is None or written(found) != time:
        raise MalformedError(Text(f"没有 {time} 这个时间", f"there is no time {time}"))
    return found
