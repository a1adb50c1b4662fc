"""sudoers, administrators, logins and sessions against bytes nobody wrote on purpose."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Unobserved
from tutela.facts import admins, last_logins, sessions, sudo

PEOPLE = {"/etc/passwd": "ops:x:1000:1000::/home/ops:/bin/bash", "/etc/group": "sudo:x:27:ops", "/etc/shadow": "ops:$6$:1::::::"}
WORDS = st.sampled_from(
    [
        "ops",
        "ALL",
        "=",
        "(",
        ")",
        "(ALL)",
        "NOPASSWD:",
        "PASSWD:",
        ",",
        "!",
        ":",
        "%sudo",
        "User_Alias",
        "Cmnd_Alias",
        "A",
        "B",
        "/bin/sh",
        "\\",
        "\n",
        "#",
        '"',
        "Defaults",
        "!authenticate",
        "@include /etc/sudoers",
        "#includedir /etc/sudoers.d",
        "***",
        "permit",
        "nopass",
        ":sudo",
        "as",
        "root",
        "cmd",
    ]
)
TEXT = st.one_of(st.lists(WORDS, max_size=25).map(" ".join), st.text(max_size=120))


@given(TEXT, TEXT)
def test_no_sudoers_make_it_raise(main: str, doas: str) -> None:
    made = scenes.look({"sources": PEOPLE | {"/etc/sudoers": main, "/etc/sudoers.d/": "x", "/etc/sudoers.d/x": doas, "/etc/doas.conf": doas}})

    made.fact(sudo.parse)
    made.fact(admins.parse)


@given(TEXT, TEXT, st.integers(0, 10**12))
def test_no_records_of_logins_make_it_raise(one: str, two: str, number: int) -> None:
    look = scenes.look(
        {
            "sources": PEOPLE
            | {"lastlog": f"ops {one}", "last -w --time-format iso": f"begins {two}", last_logins.BIRTHS: f"41ed 0 0 {number} 0 /home/ops"}
            | {sessions.LOGIND: f"User=0\nTTY={one}\nTimestampMonotonic={number}", sessions.PROCESSES: two, sessions.TMOUT: one, "/proc/uptime": two}
            | {"sshd -T": f"clientaliveinterval {number}"}
        }
    )

    look.fact(last_logins.parse)
    look.fact(sessions.parse)


def test_aliases_that_name_each_other_many_times_end() -> None:
    aliases = "".join(f"Cmnd_Alias A{n} = A{n + 1}, A{n + 1}, A{n + 1}\n" for n in range(60))
    look = scenes.look(
        {"sources": PEOPLE | {"/etc/sudoers": f"{aliases}Cmnd_Alias LOOP = LOOP\nops ALL = NOPASSWD: A0, LOOP\n", "/etc/doas.conf": {"status": "absent"}}}
    )
    made = look.fact(sudo.parse)

    assert isinstance(made, sudo.Sudo)
    assert any(isinstance(grant, Unobserved) for grant in made.passwordless) or made.passwordless == ()


def test_digests_do_not_hide_the_command() -> None:
    rule = "ops ALL = NOPASSWD: sha224:0GomF8mNN3wlDt1HD9XldjJ3SNgpFdbjO1+NsQ== /bin/bash\n"
    made = scenes.look({"sources": PEOPLE | {"/etc/sudoers": rule, "/etc/doas.conf": {"status": "absent"}}}).fact(sudo.parse)

    assert isinstance(made, sudo.Sudo)
    assert [grant.reason for grant in made.passwordless if isinstance(grant, sudo.Grant)] == ["shell, editor or the like"]


CROWD = {"/etc/passwd": "\n".join(f"u{n}:x:{1000 + n}:{1000 + n}::/home/u{n}:/bin/bash" for n in range(300)), "/etc/group": "root:x:0:", "/etc/sudoers.d/": ""}
CROWDED = [
    ("Defaults !authenticate\n" * 5000 + "ALL ALL = ALL", ""),
    ("\n".join(f"ALL ALL = NOPASSWD: /bin/a{n}" for n in range(1900)), ""),
    (f"User_Alias A = {', '.join(f'x{n}' for n in range(1900))}\n" + "\n".join(f"A, b{n} ALL = ALL" for n in range(1900)), ""),
    ("ops ALL = ALL", "permit nopass :wheel\n" * 1900),
]


@pytest.mark.parametrize(("main", "doas"), CROWDED)
def test_more_rules_and_accounts_than_can_be_compared_are_unknown_and_take_no_time(main: str, doas: str) -> None:
    made = scenes.look({"sources": PEOPLE | CROWD | {"/etc/sudoers": main, "/etc/doas.conf": doas or {"status": "absent"}}})
    began = time.process_time()

    fact = made.fact(sudo.parse)

    assert isinstance(fact, Unobserved)
    assert fact.why.en == "too many rules and accounts to decide each"
    assert time.process_time() - began < 60  # it was minutes


@pytest.mark.parametrize(("main", "doas"), [("ALL ALL=" + "/a:b=" * 3000, ""), ("ops ALL = ALL", "permit setenv " + "{" * 100_000 + " ops")])
def test_one_line_of_nothing_but_lists_ends(main: str, doas: str) -> None:
    made = scenes.look({"sources": PEOPLE | {"/etc/sudoers": main, "/etc/sudoers.d/": "", "/etc/doas.conf": doas}})

    assert isinstance(made.fact(sudo.parse), sudo.Sudo)


def test_lists_of_hosts_behind_colons_have_commands_of_their_own() -> None:
    rule = "ops web1 = NOPASSWD: /bin/a : db1 = NOPASSWD: /bin/sh : ALL = NOPASSWD: /bin/b, /bin/c\n"
    made = scenes.look({"sources": PEOPLE | {"hostname": "db1", "/etc/sudoers": rule, "/etc/doas.conf": {"status": "absent"}}}).fact(sudo.parse)

    assert isinstance(made, sudo.Sudo)
    assert [grant.command for grant in made.passwordless if isinstance(grant, sudo.Grant)] == ["/bin/sh", "/bin/b", "/bin/c"]
