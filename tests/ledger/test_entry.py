"""Entries: one record has one way of being written, and nothing else is read."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tutela.ledger.entry import Entry, Kind, Record, digest, new_record, parse_entry, salted_digest
from tutela.ledger.refused import MalformedError, MisuseError

SUBJECT = "sha256:" + "5e" * 32
GOOD = (
    '{"edition":1,"effective":"2026-11-22T08:00:00Z","kind":"bundle","logged":"2026-11-22T08:00:02Z",'
    f'"received":"2026-11-22T08:00:01Z","subject":"{SUBJECT}"}}'
)
times = st.integers(-30_610_224_000, 253_402_300_799)
records = st.builds(
    Record, st.sampled_from([one.value for one in Kind]), st.from_regex(r"(?:sha256|hmac-sha256):[0-9a-f]{64}", fullmatch=True), effective=times, received=times
)


@given(st.sampled_from(Kind), st.sampled_from(["sha256:", "hmac-sha256:"]))
def test_a_digest_that_could_be_guessed_to_speak_of_somebody_is_none_to_log(kind: Kind, prefix: str) -> None:
    try:
        new_record(kind, prefix + "0" * 64, 0, 0)
    except MisuseError:
        assert (kind.personal, prefix) == (True, "sha256:")
    else:
        assert not kind.personal or prefix == "hmac-sha256:"


def test_a_record_is_written_the_one_way_and_is_json() -> None:
    entry = Entry(Record("bundle", SUBJECT, 1_795_334_400, 1_795_334_401), 1_795_334_402)
    assert entry.record.entry(entry.logged).decode() == GOOD
    assert parse_entry(GOOD.encode()) == entry
    assert list(json.loads(GOOD)) == sorted(json.loads(GOOD))


@given(records, times)
@example(Record("vote", SUBJECT, -30_610_224_000, 253_402_300_799), -1)
def test_what_may_be_logged_is_read_as_it_was_written(record: Record, logged: int) -> None:
    assert parse_entry(record.entry(logged)) == Entry(record, logged)


@pytest.mark.parametrize(
    "wrong",
    [
        GOOD + "\n",
        " " + GOOD,
        GOOD.replace('":', '": '),
        GOOD.replace('"edition":1', '"edition":2'),
        GOOD.replace('"edition":1', '"edition":1.0'),
        GOOD.replace('"edition":1', '"edition":"1"'),
        GOOD.replace('"kind":"bundle"', '"kind":"Bundle"'),
        GOOD.replace('"kind":"bundle"', '"kind":""'),
        GOOD.replace('"kind":"bundle"', f'"kind":"{"b" * 33}"'),
        GOOD.replace('"kind":"bundle"', '"kind":"b\\u0075ndle"'),
        GOOD.replace('"kind":"bundle"', '"kind":"bündle"'),
        GOOD.replace('"kind":"bundle",', '"kind":"bundle","kind":"bundle",'),
        GOOD.replace('"kind":"bundle",', ""),
        GOOD.replace("}", ',"who":"somebody"}'),
        GOOD.replace("5e", "5E"),
        GOOD.replace("5e" * 32, "5e" * 31),
        GOOD.replace("sha256", "sha512"),
        GOOD.replace("T08:00:02Z", "T08:00:02+00:00"),
        GOOD.replace("T08:00:02Z", "T08:00:02.0Z"),
        GOOD.replace("T08:00:02Z", "T24:00:00Z"),
        GOOD.replace("T08:00:02Z", "T08:00:60Z"),
        GOOD.replace("T08:00:02Z", " 08:00:02Z"),
        GOOD.replace("2026-11-22", "2026-02-30"),
        GOOD.replace("2026-11-22", "0000-11-22"),
        GOOD.replace("2026-11-22", "0999-11-22"),
        GOOD.replace("2026-11-22", "2０26-11-22"),
        "",
        "{}",
        "null",
    ],
)
def test_any_other_way_of_writing_is_refused(wrong: str) -> None:
    assert wrong != GOOD
    with pytest.raises(MalformedError):
        parse_entry(wrong.encode())


def test_what_cannot_be_written_cannot_be_logged() -> None:
    for subject in ("", "sha256:", SUBJECT + "\n", SUBJECT.upper(), "md5:" + "0" * 32):
        with pytest.raises(MisuseError, match="a subject is"):
            new_record(Kind.BUNDLE, subject, 0, 0)
    for time in (-30_610_224_001, 253_402_300_800, 1 << 80):
        for effective, received in ((time, 0), (0, time)):
            with pytest.raises(MisuseError, match="outside the years"):
                new_record(Kind.BUNDLE, SUBJECT, effective, received)


@given(records, records)
def test_two_records_are_the_same_by_kind_subject_and_effective_time(one: Record, other: Record) -> None:
    same = (one.kind, one.subject, one.effective) == (other.kind, other.subject, other.effective)
    assert (one.identity == other.identity) is same
    assert Record(one.kind, one.subject, one.effective, other.received).identity == one.identity


def test_digests_are_the_standard_ones() -> None:
    assert digest(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    # RFC 4231, test case 2.
    assert salted_digest(b"what do ya want for nothing?", b"Jefe") == "hmac-sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert salted_digest(b"vote", b"k" * 32) == "hmac-sha256:" + hmac.new(b"k" * 32, b"vote", sha256).hexdigest()
