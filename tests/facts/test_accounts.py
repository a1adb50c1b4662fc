"""Accounts, password policy and lockout against bytes nobody wrote on purpose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Unobserved
from tutela.facts import accounts, lockout, password_policy, weak_passwords

LINES = st.lists(st.text(alphabet="ab:x0129$/,+=# \n\t\\locked", max_size=40), max_size=6).map("\n".join)
PASSWD, SHADOW, GROUP = "/etc/passwd", "/etc/shadow", "/etc/group"


@given(LINES, LINES, LINES)
def test_no_account_files_make_it_raise(passwd: str, shadow: str, group: str) -> None:
    sources = {PASSWD: passwd, SHADOW: shadow, GROUP: group, "/etc/login.defs": group, "/etc/shells": shadow, "/etc/nsswitch.conf": passwd}
    made = scenes.look({"sources": sources}).fact(accounts.parse)

    assert isinstance(made, accounts.Accounts)
    for account in made.accounts:
        assert account.can_log_in in (True, False) or isinstance(account.can_log_in, Unobserved)


@given(LINES, LINES)
def test_no_settings_make_the_policy_or_the_lockout_raise(conf: str, arguments: str) -> None:
    stack = f"auth required pam_faillock.so {arguments}\npassword requisite pam_pwquality.so {arguments}\n"
    sources = {"/etc/pam.d/": "passwd\nlogin", "/etc/pam.d/passwd": stack, "/etc/pam.d/login": stack, "/usr/lib/pam.d/": ""}
    look = scenes.look({"sources": sources | {password_policy.CONF: conf, password_policy.CONF_D: "", lockout.CONF: conf}, "site": {"weak_tokens": ["lab"]}})

    look.fact(password_policy.parse)
    look.fact(lockout.parse)


@given(st.text(max_size=200))
def test_no_result_of_the_password_test_makes_it_raise(text: str) -> None:
    scenes.look({"sources": {weak_passwords.SOURCE: text}}).fact(weak_passwords.parse)


def test_an_account_whose_keys_are_unseen_is_no_closed_door() -> None:
    sources = {PASSWD: "ops:x:1000:1000::/home/ops:/bin/bash", SHADOW: "ops:locked:20000::::::"}
    made = scenes.look({"sources": sources}).fact(accounts.parse)

    assert isinstance(made, accounts.Accounts)
    assert isinstance(made.accounts[0].can_log_in, Unobserved)


def keys_of(**more: object) -> object:
    sources = {PASSWD: "ops:x:1000:1000::/home/ops:/bin/bash", SHADOW: "ops:locked:20000::::::"} | more
    made = scenes.look({"sources": sources}).fact(accounts.parse)
    assert isinstance(made, accounts.Accounts)
    return made.accounts[0].keys


def test_keys_are_counted_where_sshd_looks_for_them() -> None:
    elsewhere = {"sshd -T": "authorizedkeysfile /etc/ssh/keys/%u .ssh/authorized_keys", "/etc/ssh/keys/ops": "ssh-ed25519 length=68"}

    assert keys_of(**elsewhere, **{"/home/ops/.ssh/authorized_keys": {"status": "absent"}}) == 1


def test_without_an_ssh_server_no_key_counts() -> None:
    assert keys_of(**{"sshd -T": {"status": "absent"}}) == 0


def test_a_home_that_may_not_be_read_leaves_a_doubt() -> None:
    denied = keys_of(**{"sshd -T": {"status": "denied"}, "/home/ops/.ssh/authorized_keys": {"status": "denied"}})

    assert isinstance(denied, Unobserved)
    assert denied.source == "/home/ops/.ssh/authorized_keys"
