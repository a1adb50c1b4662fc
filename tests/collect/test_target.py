"""Targets from the command line: what ssh could take for an option or a command never gets that far."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutela.collect.run import Look
from tutela.collect.ssh import ssh_argv
from tutela.collect.target import BundleTarget, LocalTarget, SshTarget, read_target
from tutela.errors import UsageError


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("ssh://h.example", SshTarget("h.example", "h.example")),
        ("ssh://root@H.Example:2222/", SshTarget("H.Example", "H.Example", "root", 2222)),
        ("ssh://[2001:db8::1]:22", SshTarget("2001:db8::1", "2001:db8::1", None, 22)),
        ("localhost", LocalTarget()),
    ],
)
def test_addresses(words: str, target: object) -> None:
    assert read_target(words) == target


def test_what_may_not_be_read_is_told_apart_from_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", denied)
    with pytest.raises(UsageError, match=r"cannot read /root/x\.bundle: Permission denied"):
        read_target("/root/x.bundle")


def test_the_folder_one_stands_in_is_a_folder_of_bundles() -> None:
    assert read_target(".") == BundleTarget(Path())


def test_a_file_that_exists_is_a_bundle(tmp_path: Path) -> None:
    assert read_target(str(tmp_path)) == BundleTarget(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("ssh://h:99999", "'99999' is no port (1-65535)"),
        ("ssh://h:0", "0 is no port (1-65535)"),
        ("ssh://h:x", "'x' is no port (1-65535)"),
        ("ssh://[2001:db8::1]:22x", "'22x' is no port (1-65535)"),
        ("ops@web1.example:22", "write a remote host as ssh://ops@web1.example:22"),
        ("nosuch.bundle", "write a remote host as ssh://[user@]host[:port]"),
        ("ssh://ops@", "'ssh://ops@' may only be ssh://[user@]host[:port]"),
        ("ssh://", "'ssh://' may only be ssh://[user@]host[:port]"),
    ],
)
def test_what_is_wrong_with_an_address_is_named(words: str, said: str) -> None:
    with pytest.raises(UsageError) as problem:
        read_target(words)
    assert said in str(problem.value)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "no-such-file",
        "n" * 5000,
        "a\x00b",
        "ssh://",
        "ssh://-oProxyCommand=id",
        "ssh://-l@h",
        "ssh://u:secret@h",
        "ssh://h/path",
        "ssh://h?x",
        "ssh://h:0",
        "ssh://h:99999",
        "ssh://h:x",
        "ssh://[::1",
        "ssh://h;id",
        "ssh://$(id)",
        "ssh://h\nx",
        "ssh://ho st",
    ],
)
def test_what_is_no_target_is_refused(words: str) -> None:
    with pytest.raises(UsageError):
        read_target(words)


@given(st.text(max_size=40).map(lambda words: f"ssh://{words}"))
def test_any_address_is_safe_or_refused(words: str) -> None:
    try:
        target = read_target(words)
    except UsageError:
        return
    assert isinstance(target, SshTarget)
    argv = ssh_argv(target, Look())
    assert argv[argv.index("--") + 1] == target.host
    assert not target.host.startswith("-")
