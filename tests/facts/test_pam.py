"""The PAM reader against Linux-PAM itself, and against bytes nobody wrote on purpose."""

from __future__ import annotations

import ctypes
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Unobserved
from tutela.facts import pam

ANSWERS = ("success", "auth_err", "ignore", "user_unknown", "new_authtok_reqd", "perm_denied")
CONTROLS = st.one_of(
    st.sampled_from(["required", "requisite", "sufficient", "optional"]),
    st.builds(
        lambda success, default, ignore: f"[success={success} ignore={ignore} default={default}]",
        st.sampled_from(["ok", "done", "1", "2", "bad", "ignore", "reset"]),
        st.sampled_from(["bad", "die", "ignore", "ok", "1", "2"]),
        st.sampled_from(["ignore", "bad", "ok"]),
    ),
)
RULES = st.lists(st.builds(lambda control, answer: f"auth {control} pam_debug.so auth={answer}", CONTROLS, st.sampled_from(ANSWERS)), max_size=5)


def look(files: dict[str, str]) -> pam.Pam:
    listed = {"/etc/pam.d/": "\n".join(files), "/usr/lib/pam.d/": {"status": "absent"}}
    made = scenes.look({"sources": listed | {f"/etc/pam.d/{name}": text for name, text in files.items()}}).fact(pam.parse)
    assert isinstance(made, pam.Pam)
    return made


def ours(files: dict[str, str]) -> bool:
    stack = look(files).stack("x", "auth")
    assert not isinstance(stack, Unobserved)
    return pam.run(stack, lambda rule: rule.argument("auth") or "success").success


@pytest.fixture(scope="module")
def libpam() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libpam.so.0")
        library.pam_start_confdir  # noqa: B018
    except (OSError, AttributeError):
        pytest.skip("no Linux-PAM with pam_start_confdir here")
    if not list(Path("/usr/lib").glob("**/security/pam_debug.so")):
        pytest.skip("pam_debug.so is not installed")
    return library


def theirs(library: ctypes.CDLL, files: dict[str, str]) -> bool:
    class Conversation(ctypes.Structure):
        _fields_ = [("call", ctypes.c_void_p), ("data", ctypes.c_void_p)]

    with TemporaryDirectory() as directory:
        for name, text in files.items():
            # This function of libpam looks for relative includes in /etc/pam.d all the same.
            Path(directory, name).write_text(text.replace(" inner\n", f" {directory}/inner\n"))
        handle = ctypes.c_void_p()
        assert library.pam_start_confdir(b"x", b"root", ctypes.byref(Conversation()), directory.encode(), ctypes.byref(handle)) == 0
        answer = library.pam_authenticate(handle, 0)
        library.pam_end(handle, answer)
    return answer == 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RULES, RULES, RULES, st.sampled_from(["include", "substack"]))
def test_a_stack_says_what_libpam_says(libpam: ctypes.CDLL, before: list[str], inner: list[str], after: list[str], how: str) -> None:
    files = {
        "x": "\n".join([*before, f"auth {how} inner", *after]) + "\n",
        "inner": "\n".join(inner) + "\n" if inner else "# nothing\n",
        "other": "auth required pam_debug.so auth=perm_denied\n",
    }

    assert theirs(libpam, files) == ours(files)


def test_debian_includes_take_every_kind_and_a_jump_skips_the_denial() -> None:
    made = look(
        {"x": "@include common\n", "common": "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n"}
    )
    stack = made.stack("x", "auth")
    assert not isinstance(stack, Unobserved)

    good = pam.run(stack, lambda _: "success")
    bad = pam.run(stack, lambda rule: "auth_err" if rule.module in ("pam_unix", "pam_deny") else "success")

    assert (good.success, [rule.module for rule in good.ran]) == (True, ["pam_unix", "pam_permit"])
    assert (bad.success, [rule.module for rule in bad.ran]) == (False, ["pam_unix", "pam_deny"])


def test_brackets_keep_blanks_and_lines_go_on_behind_a_backslash() -> None:
    made = look({"x": "auth required \\\n  pam_exec.so [seteuid quiet] a=b # why\n"})
    stack = made.stack("x", "auth")

    assert not isinstance(stack, Unobserved)
    assert stack[0].arguments == ("seteuid quiet", "a=b")


def test_an_include_in_a_circle_is_unknown_and_not_a_crash() -> None:
    assert isinstance(look({"x": "auth include x\n"}).stack("x", "auth"), Unobserved)


def test_a_service_without_a_file_is_decided_by_other() -> None:
    stack = look({"other": "auth required pam_deny.so\n"}).stack("vsftpd", "auth")

    assert not isinstance(stack, Unobserved)
    assert [rule.module for rule in stack] == ["pam_deny"]


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    text = raw.decode("utf-8", "backslashreplace")
    made = scenes.look({"sources": {"/etc/pam.d/": "x\nother", "/etc/pam.d/x": text, "/etc/pam.d/other": text, "/usr/lib/pam.d/": ""}}).fact(pam.parse)
    for rules in (made.stack("x", "auth"), made.stack("x", "password")) if isinstance(made, pam.Pam) else ():
        if not isinstance(rules, Unobserved):
            pam.run(rules, lambda _: "auth_err")
