"""sudoers, administrators, logins and sessions against bytes nobody wrote on purpose."""

from __future__ import annotations

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
