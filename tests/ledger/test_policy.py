"""Trust policies: every rule of C2SP tlog-policy, each broken once with the line named, and what a checkpoint needs to be accepted."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger import made
from tutela.ledger.checkpoint import SignedCheckpoint, parse_signed
from tutela.ledger.note import Signature, VerifierKey
from tutela.ledger.policy import MAX_POLICY_BYTES, parse_policy
from tutela.ledger.refused import MalformedError, OriginError, UnsignedError, UnwitnessedError
from tutela.ledger.signing import Cosigner, Ed25519Signer
from tutela.ledger.sm2 import Sm2Signer

LOG = made.SIGNER.key.vkey
W = {name: Cosigner(f"witness.example/{name}", name.encode().ljust(32, b".")) for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3", "Z")}
HEAD = parse_signed(made.checkpoint([made.naive.leaf(b"an entry")]))


def witnesses(*names: str) -> str:
    return "".join(f"witness {name} {W[name].key.vkey}\n" for name in names)


def cosigned(*names: str, head: SignedCheckpoint = HEAD) -> SignedCheckpoint:
    return SignedCheckpoint(head.checkpoint, head.note.with_signatures(tuple(W[name].cosign(head.note.text, 1_700_000_000) for name in names)))


EXAMPLE = (
    f"log {LOG}\n\n"
    + witnesses("X1", "X2", "X3")
    + "group X-witnesses 2 X1 X2 X3\n\n"
    + witnesses("Y1", "Y2", "Y3")
    + "group Y-witnesses any Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
)
"""The specification's own."""


@pytest.mark.parametrize(
    ("signed", "lacking"),
    [
        ("X1 X2 Y1", None),
        ("X2 X3 Y3 Y2 Z", None),
        ("X1 X2 X3 Y1 Y2 Y3", None),
        ("X1 Y1", "X-and-Y needs 2 and has 1, without X-witnesses; X-witnesses needs 2 and has 1, without X2, X3"),
        ("X1 X3", "X-and-Y needs 2 and has 1, without Y-witnesses; Y-witnesses needs 1 and has 0, without Y1, Y2, Y3"),
        (
            "",
            (
                "X-and-Y needs 2 and has 0, without X-witnesses, Y-witnesses; X-witnesses needs 2 and has 0, without X1, X2, X3; "
                "Y-witnesses needs 1 and has 0, without Y1, Y2, Y3"
            ),
        ),
    ],
)
def test_the_specifications_example_accepts_what_its_text_says(signed: str, lacking: str | None) -> None:
    policy = parse_policy(EXAMPLE.encode())
    head = cosigned(*signed.split())
    if lacking is None:
        found = policy.accept(head)

        assert [one.key for one in found.logs] == [made.SIGNER.key]
        assert set(found.witnesses) == set(signed.split()) - {"Z"}
        assert {one.time for one in found.witnesses.values()} == {1_700_000_000}
    else:
        with pytest.raises(UnwitnessedError) as refusal:
            policy.accept(head)
        assert str(refusal.value) == f"the quorum of witnesses is not reached: {lacking}"


def test_a_single_witness_may_be_the_quorum_and_none_asks_for_nobody() -> None:
    one = parse_policy(f"log {LOG}\n{witnesses('Z')}quorum Z\n".encode())
    assert set(one.accept(cosigned("Z")).witnesses) == {"Z"}
    with pytest.raises(UnwitnessedError, match=r"witness Z is missing$"):
        one.accept(HEAD)
    nobody = parse_policy(f"quorum none\nlog {LOG}\n{witnesses('Z')}".encode())
    assert nobody.accept(HEAD).witnesses == {}
    assert set(nobody.accept(cosigned("Z", "X1")).witnesses) == {"Z"}


def test_without_logs_the_log_is_known_from_elsewhere() -> None:
    policy = parse_policy(b"quorum none\n")
    assert [one.key for one in policy.accept(HEAD, (made.SIGNER.key,)).logs] == [made.SIGNER.key]
    with pytest.raises(UnsignedError, match="no trusted key"):
        policy.accept(HEAD)
    # Where the policy names logs, they alone count.
    other = Ed25519Signer("other.example", bytes(32)).key
    with pytest.raises(UnsignedError, match=r"trusted: other\.example"):
        parse_policy(f"log {other.vkey}\nquorum none\n".encode()).accept(HEAD, (made.SIGNER.key,))


def test_a_log_signs_for_itself_alone() -> None:
    other = Ed25519Signer("other.example", bytes(32))
    head = SignedCheckpoint(HEAD.checkpoint, HEAD.note.with_signatures((other.sign(HEAD.note.text),)))
    policy = parse_policy(f"log {other.key.vkey}\nquorum none\n".encode())
    with pytest.raises(OriginError, match=r"calls itself 'ledger.example/centre', but it is the key of other.example"):
        policy.accept(head)
    both = parse_policy(f"log {other.key.vkey}\nlog {LOG}\nquorum none\n".encode())
    assert [one.key for one in both.accept(head).logs] == [made.SIGNER.key]


def test_a_cosignature_that_does_not_verify_refuses_the_checkpoint() -> None:
    policy = parse_policy(f"log {LOG}\n{witnesses('X1', 'X2')}group any any X1 X2\nquorum any\n".encode())
    good = W["X1"].cosign(HEAD.note.text, 5)
    forged = Signature(W["X2"].key.name, W["X2"].key.key_id, good.signature)
    with pytest.raises(UnsignedError, match=r"witness.example/X2 does not verify"):
        policy.accept(SignedCheckpoint(HEAD.checkpoint, HEAD.note.with_signatures((good, forged))))


def test_a_time_that_was_changed_does_not_verify() -> None:
    policy = parse_policy(f"log {LOG}\n{witnesses('Z')}quorum Z\n".encode())
    good = W["Z"].cosign(HEAD.note.text, 1_700_000_000)
    later = Signature(good.name, good.key_id, (1_800_000_000).to_bytes(8, "big") + good.signature[8:])
    with pytest.raises(UnsignedError):
        policy.accept(SignedCheckpoint(HEAD.checkpoint, HEAD.note.with_signatures((later,))))


def renamed(name: str, signer: Cosigner | Ed25519Signer) -> str:
    return VerifierKey.of(name, signer.key.kind, signer.key.material).vkey


ML_DSA = VerifierKey.of("pq.example", 0x06, bytes(1312)).vkey
SHORT = VerifierKey.of("short.example", 0x04, bytes(31)).vkey


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", None, "no quorum line"),
        ("# nothing\n", None, "no quorum line"),
        ("quorum none", 1, "does not end"),
        (f"quorum none\nlog {LOG}", 2, "does not end"),
        ("quorum none\nquorum none\n", 2, "a quorum line already"),
        ("quorum\n", 1, "should read: quorum <name>|none"),
        ("quorum none none\n", 1, "should read"),
        ("quorum X1\n" + witnesses("X1"), 1, "X1 is not defined on a line before"),
        ("quorum none\r\n", 1, "control character"),
        ("quorum none\n\0\n", 2, "control character"),
        ("quorum none # \x7f\n", 1, "control character"),
        ("quorum\u00a0none\n", 1, "none of log, witness, group, quorum"),
        ("Quorum none\n", 1, "'Quorum' is none of log, witness, group, quorum"),
        ("\n\nfrobnicate\n", 3, "'frobnicate'"),
        ("log\n", 1, "should read: log <vkey> [<url>]"),
        (f"log {LOG} https://a b\n", 1, "should read"),
        ("log example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n", 1, "id does not belong"),
        ("log nonsense\n", 1, "no verifier key"),
        (f"log {LOG}\nlog {LOG}\n", 2, "stands on a line before"),
        (f"log {LOG}\nlog {renamed('other.example', made.SIGNER)}\n", 2, "public key of other.example stands on a line before"),
        (f"log {W['X1'].key.vkey}\n", 1, "type 0x04, cannot be used here"),
        (f"log {ML_DSA}\n", 1, "type 0x06, cannot be used here"),
        (f"witness Z {ML_DSA}\n", 1, "type 0x06, cannot be used here"),
        (f"witness Z {LOG}\n", 1, "type 0x01, cannot be used here"),
        (f"witness Z {SHORT}\n", 1, "type 0x04, cannot be used here"),
        (f"witness {W['X1'].key.vkey}\n", 1, "should read: witness <name> <vkey> [<url>]"),
        (f"witness none {W['X1'].key.vkey}\n", 1, "the name none is taken"),
        (witnesses("X1") + f"witness X1 {W['X2'].key.vkey}\n", 2, "the name X1 is taken"),
        (witnesses("X1") + f"witness X2 {W['X1'].key.vkey}\n", 2, "stands on a line before"),
        (witnesses("X1") + f"witness X2 {renamed('w.example', W['X1'])}\n", 2, "public key of w.example stands on a line before"),
        (witnesses("X1") + "group X1 any X1\n", 2, "the name X1 is taken"),
        (witnesses("X1") + "group G any\n", 2, "should read: group <name> all|any|<k> <name>..."),
        (witnesses("X1") + "group G any X2\n", 2, "X2 is not defined on a line before"),
        (witnesses("X1") + "group G any none\n", 2, "none is not defined on a line before"),
        (witnesses("X1") + "group G any G\n", 2, "G is not defined on a line before"),
        (witnesses("X1") + "group G any X1 X1\n", 2, "X1 is a member already"),
        (witnesses("X1", "X2") + "group G any X1\ngroup H all X2 X1\n", 4, "X1 is a member already"),
        (witnesses("X1") + "group G 0 X1\n", 2, "not between 1 and 1"),
        (witnesses("X1", "X2") + "group G 3 X1 X2\n", 3, "not between 1 and 2"),
        (witnesses("X1") + "group G -1 X1\n", 2, "canonical"),
        (witnesses("X1") + "group G 01 X1\n", 2, "canonical"),
        (witnesses("X1") + "group G some X1\n", 2, "canonical"),
    ],
)
def test_a_broken_rule_is_named_with_its_line(text: str, line: int | None, why: str) -> None:
    with pytest.raises(MalformedError) as refusal:
        parse_policy(text.encode())
    where = "the policy" if line is None else f"policy, line {line}: "
    assert str(refusal.value).startswith(where)
    assert why in str(refusal.value)
    assert refusal.value.message.zh.startswith("策略")


def test_white_space_comments_and_order_are_free() -> None:
    policy = parse_policy(
        f"  # kept by the owner: 中文\n\t\nlog\t{LOG} \t https://log.example/ \nquorum none\n"
        f"witness a#b {W['X1'].key.vkey}  https://w.example/prefix\t\ngroup none-of-them 1 a#b\n".encode()
    )
    assert [(one.key, one.url) for one in policy.logs] == [(made.SIGNER.key, "https://log.example/")]
    assert [(one.name, one.url) for one in policy.witnesses] == [("a#b", "https://w.example/prefix")]
    assert policy.quorum == "none"


def test_names_are_octets() -> None:
    kelvin, latin = "\N{KELVIN SIGN}".encode(), b"\xff\xa0\x85"
    lines = b"witness K %s\nwitness %s %s\nwitness %s %s\ngroup G all K %s %s\nquorum G\n" % (
        W["X1"].key.vkey.encode(), kelvin, W["X2"].key.vkey.encode(), latin, W["X3"].key.vkey.encode(), kelvin, latin,
    )  # fmt: skip
    policy = parse_policy(lines)
    assert [one.name.encode("utf-8", "surrogateescape") for one in policy.witnesses] == [b"K", kelvin, latin]
    with pytest.raises(UnwitnessedError) as refusal:
        policy.accept(cosigned("X1"), (made.SIGNER.key,))
    assert refusal.value.message.zh.encode()
    assert len(policy.accept(cosigned("X1", "X2", "X3"), (made.SIGNER.key,)).witnesses) == 3


def test_a_key_whose_name_is_no_utf_8_is_refused() -> None:
    with pytest.raises(MalformedError, match=r"line 1: the verifier key is not UTF-8"):
        parse_policy(b"log \xff+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\nquorum none\n")


def test_a_log_may_have_a_second_key_of_the_national_algorithm() -> None:
    second = Sm2Signer(made.ORIGIN, bytes(31) + b"\x07")
    head = SignedCheckpoint(HEAD.checkpoint, HEAD.note.with_signatures((second.sign(HEAD.note.text),)))
    policy = parse_policy(f"log {LOG}\nlog {second.key.vkey}\nquorum none\n".encode())
    assert [one.key for one in policy.accept(head).logs] == [made.SIGNER.key, second.key]


def test_a_hundred_of_each_are_read_and_a_file_without_end_is_not() -> None:
    many = [Cosigner(f"w.example/{i}", i.to_bytes(32, "big")) for i in range(100)]
    text = "".join(f"log {Ed25519Signer(f'log.example/{i}', (1000 + i).to_bytes(32, 'big')).key.vkey}\n" for i in range(100))
    text += "".join(f"witness w{i} {one.key.vkey}\n" for i, one in enumerate(many))
    text += "group g0 all w0\n" + "".join(f"group g{i} all g{i - 1} w{i}\n" for i in range(1, 100)) + "quorum g99\n"
    policy = parse_policy(text.encode())
    assert (len(policy.logs), len(policy.witnesses), len(policy.groups)) == (100, 100, 100)
    with pytest.raises(MalformedError, match="more than"):
        parse_policy(b"#" * MAX_POLICY_BYTES + b"\n")


def test_groups_may_be_nested_ten_thousand_deep() -> None:
    text = witnesses("X1") + "group g0 any X1\n" + "".join(f"group g{i} any g{i - 1}\n" for i in range(1, 10_000)) + "quorum g9999\n"
    policy = parse_policy(text.encode())
    assert set(policy.accept(cosigned("X1"), (made.SIGNER.key,)).witnesses) == {"X1"}
    with pytest.raises(UnwitnessedError):
        policy.accept(HEAD, (made.SIGNER.key,))


@given(st.binary(max_size=200) | st.text("logwitnesgrupquorm none allany12 \t\n#+", max_size=200).map(str.encode))
def test_whatever_stands_in_it_only_our_error_comes_out(content: bytes) -> None:
    with suppress(MalformedError):
        parse_policy(content)


@given(st.sets(st.sampled_from(["X1", "X2", "X3", "Y1", "Y2", "Y3"])))
def test_the_quorum_is_what_the_definition_says(signed: set[str]) -> None:
    enough = len(signed & {"X1", "X2", "X3"}) >= 2 and bool(signed & {"Y1", "Y2", "Y3"})
    policy = parse_policy(EXAMPLE.encode())
    try:
        policy.accept(cosigned(*sorted(signed)))
        accepted = True
    except UnwitnessedError:
        accepted = False

    assert accepted == enough


def test_the_specifications_verifier_key_is_a_log() -> None:
    """C2SP signed-note, "Verifier keys": the example key."""
    vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    policy = parse_policy(f"log {vkey}\nquorum none\n".encode())
    assert policy.logs[0].key.material == base64.b64decode("6TJ5GubnqECkYWTJBHhkJtXngh3YspoA1hyucq/dTaQ=")
