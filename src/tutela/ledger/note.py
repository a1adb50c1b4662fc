"""Signed notes and verifier keys, by C2SP signed-note: https://c2sp.org/signed-note

A note is a text that ends in a newline, an empty line, and signature lines: an em dash, the key's name, and in base64 four bytes of key id with the signature.
Only one way of writing each note is accepted, so that two notes that differ in bytes differ in what they say.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from hashlib import sha256

from tutela.language import Text
from tutela.ledger.refused import MalformedError
from tutela.record import record

MAX_NOTE_BYTES = 1 << 18
MAX_SIGNATURES = 64
"""The specification asks for 16 at least; post-quantum ones have 5 kB each."""
_MAX_NAME = 255

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
# Besides blanks and plus signs: what no note can hold, control characters and lone surrogates.
_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_DASH = "\N{EM DASH} "


@record
class Signature:
    """One signature line: who says to have signed, and the bytes of the signature. It proves nothing until it is verified."""

    name: str
    key_id: bytes
    """Four bytes."""
    signature: bytes

    @property
    def line(self) -> str:
        """As it stands in the note, newline included."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@record
class Note:
    """A text and the signatures under it."""

    text: str
    """With its final newline."""
    signatures: tuple[Signature, ...]

    @property
    def content(self) -> bytes:
        """The note's bytes."""
        return (self.text + "\n" + "".join(one.line for one in self.signatures)).encode()

    def with_signatures(self, more: tuple[Signature, ...]) -> Note:
        """The note with `more` signatures; of one key the new one takes the old one's place."""
        renewed = {(one.name, one.key_id) for one in more}
        return Note(self.text, tuple(one for one in self.signatures if (one.name, one.key_id) not in renewed) + more)


def parse_note(content: bytes) -> Note:
    """The note in these bytes; raises MalformedError for anything but its one way of writing."""
    if len(content) > MAX_NOTE_BYTES:
        raise MalformedError(Text(f"签名文本超过 {MAX_NOTE_BYTES} 字节", f"the signed note has more than {MAX_NOTE_BYTES} bytes"))
    try:
        whole = content.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError(Text("签名文本不是 UTF-8", "the signed note is not UTF-8")) from None
    if _CONTROL.search(whole):
        raise MalformedError(Text("签名文本里有控制字符", "the signed note has control characters"))
    text, parted, lines = whole.rpartition("\n\n")
    if not parted or not lines.endswith("\n"):
        raise MalformedError(Text("签名文本没有空行隔开的签名", "the signed note has no signatures behind an empty line"))
    return Note(text + "\n", parse_signatures(lines))


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """The signature lines of a note, or those a witness answers with."""
    if not lines.endswith("\n"):
        raise MalformedError(Text("签名行没有换行", "a signature line does not end"))
    found = lines[:-1].split("\n")
    if len(found) > MAX_SIGNATURES:
        raise MalformedError(Text(f"签名多于 {MAX_SIGNATURES} 个", f"there are more than {MAX_SIGNATURES} signatures"))
    return tuple(_signature(line) for line in found)


def _signature(line: str) -> Signature:
    if line.startswith(_DASH):
        name, parted, encoded = line[len(_DASH) :].partition(" ")
        if parted and is_name(name):
            signed = decoded(encoded)
            if len(signed) > 4:
                return Signature(name, signed[:4], signed[4:])
    raise MalformedError(Text("签名行写得不对", "a signature line is not well formed"))


def is_name(name: str) -> bool:
    """Whether a key may have this name."""
    return len(name) <= _MAX_NAME and bool(_NAME.fullmatch(name))


def check_new_name(name: str) -> None:
    """That a key which is made now may have this name: one with something in it that cannot be seen looks like another. Raises MalformedError."""
    for one in name:
        # By category: characters that are newer than this Python are not printable to it either.
        if unicodedata.category(one) in ("Cc", "Cf") and is_name(one):
            raise MalformedError(
                Text(
                    f"名称里有看不见的字符 U+{ord(one):04X}，请删去或重新输入",
                    f"the name holds a character that cannot be seen, U+{ord(one):04X}: type it anew",
                )
            )


def decoded(encoded: str) -> bytes:
    """Standard base64 in its one way of writing; raises Malformed."""
    try:
        found = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedError(Text("base64 写得不对", "the base64 is not well formed")) from None
    # b64decode lets stray bits in the last character pass.
    if base64.b64encode(found).decode() != encoded:
        raise MalformedError(Text("base64 写得不规范", "the base64 is not the canonical one"))
    return found


def decimal(digits: str) -> int:
    """A number in its one way of writing, at most 19 digits; raises Malformed."""
    if not _DECIMAL.fullmatch(digits):
        raise MalformedError(Text("数字写得不规范", "a number is not written the canonical way"))
    return int(digits)


def key_id_of(name: str, kind: bytes, public: bytes) -> bytes:
    """The four bytes that a key of this name has; `kind` is the signature type with what identifies it."""
    return sha256(name.encode() + b"\n" + kind + public).digest()[:4]


@record
class VerifierKey:
    """A public key by its name: `name+hex(key id)+base64(type || key)`, what verifiers pin."""

    name: str
    key_id: bytes
    kind: int
    """The signature type's byte."""
    material: bytes
    """What follows the type's byte: the public key, for type 0xff behind a longer identifier."""

    @classmethod
    def of(cls, name: str, kind: int, material: bytes) -> VerifierKey:
        """The key with the id that the specification recommends."""
        if not is_name(name):
            raise MalformedError(
                Text(
                    f"密钥名称应有 1 到 {_MAX_NAME} 个字符，不能有空格、加号和控制字符",
                    f"a key's name has 1 to {_MAX_NAME} characters, without spaces, plus signs or control characters",
                )
            )
        return cls(name, key_id_of(name, bytes([kind]), material), kind, material)

    @property
    def vkey(self) -> str:
        """As text."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.material).decode()}"


def parse_vkey(words: str) -> VerifierKey:
    """The verifier key in this text; raises Malformed."""
    parts = words.split("+", 2)
    if len(parts) == 3 and is_name(parts[0]) and re.fullmatch(r"[0-9a-f]{8}", parts[1]):
        material = decoded(parts[2])
        if len(material) > 1:
            key = VerifierKey(parts[0], bytes.fromhex(parts[1]), material[0], material[1:])
            if key.key_id == key_id_of(key.name, material[:1], material[1:]):
                return key
            raise MalformedError(Text("验证密钥的编号与密钥不符", "the verifier key's id does not belong to its key"))
    raise MalformedError(
        Text(
            "这不是验证密钥：应为 名称+八位十六进制编号+base64",
            "this is no verifier key: it should be name+eight hexadecimal digits+base64",
        )
    )
