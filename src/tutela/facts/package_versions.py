"""Which of two package versions is newer.

Source: deb-version(7), and RPM's rpmvercmp (rpm-version(7)). Both split a version into runs of digits and runs of other characters;
they differ in how runs of other characters are ordered and in what separates.
"""

from __future__ import annotations

import re

MAX_LENGTH = 300


def newer_deb(left: str, right: str) -> int:
    """Negative, 0 or positive, as `left` is older than, the same as or newer than `right` for dpkg."""
    left_epoch, left_upstream, left_revision = _split_deb(left[:MAX_LENGTH])
    right_epoch, right_upstream, right_revision = _split_deb(right[:MAX_LENGTH])
    return left_epoch - right_epoch or _compare_deb(left_upstream, right_upstream) or _compare_deb(left_revision, right_revision)


def _split_deb(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return _number(epoch), upstream, revision


def _number(digits: str) -> int:
    return int(digits) if re.fullmatch(r"[0-9]{1,300}", digits) else 0


_DEB = re.compile(r"([^0-9]*)([0-9]*)")


def _compare_deb(left: str, right: str) -> int:
    """Letters before other characters, `~` before everything, even the end."""
    at_left = at_right = 0
    while at_left < len(left) or at_right < len(right):
        found_left, found_right = _DEB.match(left, at_left), _DEB.match(right, at_right)
        assert found_left is not None  # both groups may be empty
        assert found_right is not None
        words_left, words_right = [_weight(char) for char in found_left[1]] + [0], [_weight(char) for char in found_right[1]] + [0]
        if words_left != words_right:
            return 1 if words_left > words_right else -1
        difference = _number(found_left[2]) - _number(found_right[2])
        if difference:
            return difference
        at_left, at_right = found_left.end(), found_right.end()
    return 0


def _weight(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isascii() and char.isalpha() else ord(char) + 256


def newer_rpm(left: str, right: str) -> int:
    """Negative, 0 or positive, for `epoch:version-release` as RPM orders them; a missing epoch is 0."""
    left_epoch, left_version, left_release = _split_rpm(left[:MAX_LENGTH])
    right_epoch, right_version, right_release = _split_rpm(right[:MAX_LENGTH])
    return left_epoch - right_epoch or _compare_rpm(left_version, right_version) or _compare_rpm(left_release, right_release)


def _split_rpm(words: str) -> tuple[int, str, str]:
    epoch, colon, rest = words.partition(":")
    if not colon:
        epoch, rest = "0", words
    version, dash, release = rest.rpartition("-")
    return (_number(epoch), version, release) if dash else (_number(epoch), rest, "")


_RPM = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")


def _compare_rpm(left: str, right: str) -> int:
    """Segments of digits and letters; numbers are newer than letters, more segments newer than fewer; `~` is older than the end, `^` newer."""
    parts_left, parts_right = _RPM.findall(left), _RPM.findall(right)
    for nth in range(max(len(parts_left), len(parts_right))):
        one = parts_left[nth] if nth < len(parts_left) else ""
        two = parts_right[nth] if nth < len(parts_right) else ""
        if one == two:
            continue
        if "~" in (one, two):
            return -1 if one == "~" else 1
        if "^" in (one, two):
            # Newer than the end of the version, older than anything that goes on.
            return (1 if two == "" else -1) if one == "^" else (-1 if one == "" else 1)
        if not one or not two:
            return 1 if one else -1
        if one[0].isdigit() != two[0].isdigit():
            return 1 if one[0].isdigit() else -1
        if one[0].isdigit():
            difference = _number(one) - _number(two)
            if difference:
                return difference
        else:
            return 1 if one > two else -1
    return 0
