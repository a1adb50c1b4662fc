"""The reader of sshd_config against sshd itself, the patterns of OpenSSH, and bytes nobody wrote on purpose."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Unobserved
from tutela.facts import guards, source_limits, ssh, ssh_keys, ssh_servers, sshd_config
from tutela.facts.look import Look
from tutela.facts.netfilter.addresses import EVERYONE
from tutela.facts.sshd.settings import seconds as read_seconds
from tutela.facts.sshd_config import Client, SshdConfig
from tutela.record import replace

MAIN = "/etc/ssh/sshd_config"
WATCHED = ("passwordauthentication", "permitrootlogin", "maxauthtries", "x11forwarding", "allowusers", "denyusers", "authenticationmethods")


def read(files: dict[str, str]) -> SshdConfig | Unobserved:
    drop_ins = "\n".join(path.rpartition("/")[2] for path in files if path.startswith("/etc/ssh/sshd_config.d/"))
    return sshd_config.read(scenes.look({"sources": files | {"/etc/ssh/sshd_config.d/": drop_ins}}), MAIN)


def stated(files: dict[str, str], client: Client | None = None) -> dict[str, str]:
    config = read(files)
    assert not isinstance(config, Unobserved), config
    found = config.stated(client)
    assert not isinstance(found, Unobserved), found
    return found


def test_the_first_value_wins_and_drop_ins_come_in_the_order_of_their_names() -> None:
    files = {
        MAIN: "Include /etc/ssh/sshd_config.d/*.conf\nPasswordAuthentication no\nMaxAuthTries=3\n",
        "/etc/ssh/sshd_config.d/90-b.conf": "PasswordAuthentication no\n",
        "/etc/ssh/sshd_config.d/50-a.conf": "passwordauthentication yes # cloud\n",
        "/etc/ssh/sshd_config.d/notes.txt": "PasswordAuthentication no\n",
    }
    found = stated(files)

    assert (found["passwordauthentication"], found["maxauthtries"]) == ("yes", "3")


def test_a_file_that_was_not_collected_leaves_everything_open() -> None:
    assert isinstance(
        sshd_config.read(scenes.look({"sources": {MAIN: "Include sshd_config.d/*.conf\n", "/etc/ssh/sshd_config.d/": "50.conf"}}), MAIN), Unobserved
    )
    assert isinstance(sshd_config.read(scenes.look({"sources": {MAIN: "Include sshd_config.d/*.conf\n"}}), MAIN), Unobserved)


def test_of_another_parts_file_what_the_ssh_part_saw_counts() -> None:
    files = {MAIN: "Include /opt/x.conf\nInclude /opt/none.conf\n", "/opt/x.conf": "***", "/opt/x.conf (ssh)": "PermitRootLogin yes\n"}
    files |= {"/opt/none.conf": "PermitRootLogin no\n", "/opt/none.conf (ssh)": ""}

    assert stated(files)["permitrootlogin"] == "yes"
    assert stated({MAIN: "Include /opt/x.conf\n", "/opt/x.conf": "PermitRootLogin no\n"})["permitrootlogin"] == "no"


def test_a_file_that_includes_itself_ends() -> None:
    assert isinstance(read({MAIN: f"Include {MAIN}\n"}), Unobserved)


@pytest.mark.parametrize(
    ("pattern", "word", "matches"),
    [
        ("op*", "ops", True),
        ("o?s", "ops", True),
        ("ops,!ops", "ops", False),
        ("!root,*", "ops", True),
        ("!root", "ops", False),
        ("[o]ps", "ops", False),
        ("*", "", True),
    ],
)
def test_patterns_are_those_of_openssh(pattern: str, word: str, matches: bool) -> None:
    assert sshd_config.matches_list(word, pattern) is matches


@pytest.mark.parametrize(
    ("pattern", "address", "matches"),
    [
        ("192.0.2.0/24", "192.0.2.9", True),
        ("192.0.2.0/24,!192.0.2.9", "192.0.2.9", False),
        ("192.0.2.*", "192.0.2.9", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "192.0.2.9", False),
        ("office.example.org", "192.0.2.9", False),
    ],
)
def test_addresses_match_prefixes_and_patterns(pattern: str, address: str, matches: bool) -> None:
    assert sshd_config.matches_address(address, pattern) is matches


@pytest.mark.parametrize(
    ("settings_", "user", "groups", "address", "admitted"),
    [
        ({}, "ops", (), "192.0.2.10", True),
        ({"allowusers": "ops@192.0.2.10", "denyusers": "guest"}, "ops", (), "192.0.2.10", True),
        ({"allowusers": "ops@192.0.2.10"}, "ops", (), "192.0.2.11", False),
        ({"allowusers": "ops", "denyusers": "ops@203.0.113.*"}, "ops", (), "203.0.113.9", False),
        ({"allowgroups": "ssh-users"}, "ops", ("ops",), "192.0.2.10", False),
        ({"allowgroups": "ssh-users"}, "ops", ("ops", "ssh-users"), "192.0.2.10", True),
        ({"allowusers": "ops", "denygroups": "ssh-*"}, "ops", ("ssh-users",), "192.0.2.10", False),
        ({"allowusers": "zhang"}, "ops", ("ssh-users",), "192.0.2.10", False),
    ],
)
def test_who_is_let_in(settings_: dict[str, str], user: str, groups: tuple[str, ...], address: str, admitted: bool) -> None:
    assert sshd_config.admits(settings_, Client(user, groups, address), MAIN) is admitted


def test_unknown_groups_decide_nothing() -> None:
    assert isinstance(sshd_config.admits({"allowgroups": "ssh-users"}, Client("ops", None, "192.0.2.1"), MAIN), Unobserved)


@pytest.mark.parametrize(
    ("settings_", "admitted"),
    [
        ({"allowusers": "ops@*.lab.example"}, False),
        ({"allowusers": "ops@*.lab.example", "usedns": "yes"}, None),
        ({"allowusers": "ops@192.0.2.* ops@*.lab.example", "usedns": "yes"}, True),
        ({"allowusers": "zhang@*.lab.example", "usedns": "yes"}, False),
        ({"denyusers": "ops@*.evil.example", "usedns": "yes"}, None),
        ({"denyusers": "ops@192.0.2.0/24", "usedns": "yes"}, False),
    ],
)
def test_a_host_name_may_be_any_address_once_sshd_asks_the_dns(settings_: dict[str, str], admitted: bool | None) -> None:
    said = sshd_config.admits(settings_, Client("ops", (), "192.0.2.10"), MAIN)

    assert (None if isinstance(said, Unobserved) else said) is admitted


LINES = st.sampled_from(
    [
        "PasswordAuthentication yes",
        "PasswordAuthentication no",
        "PermitRootLogin yes",
        "PermitRootLogin no",
        "MaxAuthTries 3",
        "MaxAuthTries=9",
        "X11Forwarding yes",
        'X11Forwarding "no"',
        "AllowUsers ops root@192.0.2.*",
        "AllowUsers *@198.51.100.0/24",
        "DenyUsers games",
        "AuthenticationMethods publickey,password publickey",
        "Match User ops",
        "Match User !ops,*",
        "Match Address 192.0.2.0/28",
        "Match Address 192.0.2.0/24,!192.0.2.5",
        "Match User ops Address 198.51.100.0/24",
        "Match Group root",
        "Match LocalPort 22",
        "Match all",
        "# a comment",
        "",
        "Include /etc/ssh/sshd_config.d/*.conf",
    ]
)


@pytest.mark.root
def test_the_reader_says_what_sshd_says(tmp_path: Path) -> None:
    """Hundreds of made-up configurations, each asked for four clients: `sshd -T -C` and the reader agree on every keyword."""
    (tmp_path / "ssh" / "sshd_config.d").mkdir(parents=True)
    (tmp_path / "key").write_bytes(Path("/etc/ssh/ssh_host_ed25519_key").read_bytes())
    (tmp_path / "key").chmod(0o600)
    clients = [
        Client(user, groups, address) for (user, groups), address in itertools.product((("ops", ()), ("root", ("root",))), ("192.0.2.5", "198.51.100.7"))
    ]
    script = tmp_path / "ask.sh"
    asked: list[tuple[dict[str, str], Client]] = []
    commands = [
        "mount -t tmpfs none /run; mkdir /run/sshd",
        f"printf 'root:x:0:0::/root:/bin/sh\\nsshd:x:101:65534::/run/sshd:/bin/false\\nops:x:1000:1000::/:/bin/sh\\n' > {tmp_path}/passwd",
    ]
    commands += [
        f"printf 'root:x:0:\\nops:x:1000:\\n' > {tmp_path}/group",
        f"mount --bind {tmp_path}/passwd /etc/passwd; mount --bind {tmp_path}/group /etc/group",
    ]
    commands.append(f"mount --bind {tmp_path}/ssh /etc/ssh")

    @settings(max_examples=60, deadline=None, database=None, derandomize=True)
    @given(st.lists(LINES, max_size=9), st.lists(LINES.filter(lambda line: not line.startswith("Include")), max_size=6))
    def make(main: list[str], drop_in: list[str]) -> None:
        files = {MAIN: "\n".join(main), "/etc/ssh/sshd_config.d/10.conf": "\n".join(drop_in)}
        number = len(asked) // len(clients)
        place = tmp_path / f"case{number}"
        place.mkdir()
        for name, text in (("main", files[MAIN]), ("10.conf", files["/etc/ssh/sshd_config.d/10.conf"])):
            (place / name).write_text(text + "\n")
        commands.append(f"cat {place}/main > /etc/ssh/sshd_config; cat {place}/10.conf > /etc/ssh/sshd_config.d/10.conf")
        for client in clients:
            commands.append(
                f"echo CASE {len(asked)}; sshd -T -h {tmp_path}/key -C user={client.user},host=h,addr={client.address},laddr=192.0.2.40,lport=22 || echo FAILED"
            )
            asked.append((files, client))

    make()
    script.write_text("\n".join(commands))
    done = subprocess.run(["unshare", "-m", "sh", str(script)], capture_output=True, text=True, timeout=300, check=True)
    answers = dict(part.split("\n", 1) for part in done.stdout.split("CASE ")[1:])
    compared = 0
    for number, (files, client) in enumerate(asked):
        answer = answers[str(number)]
        if "FAILED" in answer:
            continue  # sshd itself refuses the file: a Match with DenyUsers after it, for one
        said = ssh_servers.read_effective(answer)
        mine = sshd_config.DEFAULTS | stated(files, client)
        for keyword in WATCHED:
            expected = said.get(keyword, "").replace("without-password", "prohibit-password")
            assert expected == mine.get(keyword, ""), (keyword, files, client)
        compared += 1
    assert compared > 100


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=150), st.text(max_size=150))
def test_no_bytes_of_a_host_raise(one: str, other: str) -> None:
    names = [
        MAIN,
        "/etc/ssh/sshd_config.d/",
        ssh_servers.EFFECTIVE,
        ssh_servers.TEST,
        ssh_servers.FILES,
        guards.PROCESSES,
        "/etc/passwd",
        "/etc/group",
        "/etc/shadow",
    ]
    names += [
        "/etc/hosts.deny",
        "/etc/hosts.allow",
        "/etc/security/access.conf",
        "/root/.ssh/authorized_keys",
        "/proc/uptime",
        "meta",
        "ss -H -lntupeO",
        "/etc/pam.d/",
        "/etc/pam.d/sshd",
    ]
    for text in (one, other):
        look = scenes.look({"base": "ssh-host", "sources": dict.fromkeys(names, text)})
        for parse in (guards.parse, ssh_servers.parse, ssh_keys.parse, source_limits.parse, ssh.parse):
            look.fact(parse)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("AllowUsersMatchDenyPrt @!*?,./0123456789:\"'#=\n \t\\"), max_size=200))
def test_no_configuration_raises(text: str) -> None:
    config = read({MAIN: text})
    if not isinstance(config, Unobserved):
        for client in (Client("ops", (), "192.0.2.1"), Client("root", None, "2001:db8::1")):
            config.stated(client)


@pytest.mark.parametrize(("words", "seconds"), [("120", 120), ("2m", 120), ("1h30m", 5400), ("0", 0), ("1w", 604800)])
def test_times_are_read(words: str, seconds: int) -> None:
    assert read_seconds(words) == seconds


@pytest.mark.parametrize(
    ("kind", "length", "bits"),
    [
        ("ssh-rsa", 204, 1024),
        ("ssh-rsa", 372, 2048),
        ("ssh-rsa", 544, 3072),
        ("ssh-rsa", 716, 4096),
        ("ssh-ed25519", 68, 256),
        ("ecdsa-sha2-nistp521", 232, 521),
    ],
)
def test_the_length_of_a_key_tells_its_bits(kind: str, length: int, bits: int) -> None:
    assert ssh_keys._bits(kind, length) == bits


def limits(deny: str, allow: str, linked: str = "1") -> source_limits.SourceLimits:
    return scenes.look({"sources": {"/etc/hosts.deny": deny, "/etc/hosts.allow": allow, source_limits.LINKED: linked}}).fact(source_limits.parse)


def test_wrappers_allow_first_then_deny_then_allow_the_rest() -> None:
    found = limits("sshd: 192.0.2.", "ALL: 192.0.2.7").wrappers
    assert not isinstance(found, Unobserved)

    assert (EVERYONE[4] - found[4]).count == 255
    assert found[6] == EVERYONE[6]


@pytest.mark.parametrize("deny", ["ALL EXCEPT sshd: ALL", "sshd: .example.org", "sshd: ALL EXCEPT office.example.org", "sshd"])
def test_wrappers_that_name_more_than_addresses_are_not_turned_into_addresses(deny: str) -> None:
    assert isinstance(limits(deny, "").wrappers, Unobserved)


def test_exceptions_of_wrappers_are_taken_out() -> None:
    found = limits("sshd: ALL EXCEPT 192.0.2.0/24 EXCEPT 192.0.2.128/25", "").wrappers
    assert not isinstance(found, Unobserved)

    assert found[4].prefixes(4) == ("192.0.2.0/25",)


def test_access_rules_apply_in_order_and_let_in_whom_none_names() -> None:
    rules = ((True, "ops", "192.0.2.0/24"), (False, "ALL EXCEPT root", "ALL"))
    found = source_limits.SourceLimits(source_limits.ALL, rules)
    ops, root = found.access("ops", ()), found.access("root", ())
    assert not isinstance(ops, Unobserved)
    assert not isinstance(root, Unobserved)

    assert ops[4].prefixes(4) == ("192.0.2.0/24",)
    assert ops[6].count == 0
    assert root == source_limits.ALL


def test_a_line_of_wrappers_that_is_too_long_is_not_understood_and_takes_no_time() -> None:
    assert isinstance(limits("ALL: " + ":" * 200_000, "").wrappers, Unobserved)


@pytest.mark.parametrize("text", ["+:ALL:ALL\n" * 5000, "-:ALL:" + "ALL EXCEPT " * 5000 + "192.0.2.1"])
def test_access_rules_that_are_too_many_or_too_deep_are_not_understood(text: str) -> None:
    sources = {"/etc/pam.d/": "sshd", "/etc/pam.d/sshd": "account required pam_access.so", source_limits.ACCESS: text}

    rules = scenes.look({"sources": sources}).fact(source_limits.parse).access_rules

    assert isinstance(rules, Unobserved)
    assert rules.source == source_limits.ACCESS


def test_who_was_let_in_over_ssh_never_says_that_no_server_runs() -> None:
    scene = scenes.load(scenes.TESTS / "checks" / "ssh-no-password-only" / "no-ssh-server.notapplicable.yaml")
    seen = scenes.bundle(scene)
    over_ssh = replace(seen, meta={"transport": "ssh"})

    nobody = Look(seen, scenes.site(scene), scenes.content().reference).fact(ssh_servers.parse)
    somebody = Look(over_ssh, scenes.site(scene), scenes.content().reference).fact(ssh_servers.parse)

    assert isinstance(nobody, ssh_servers.SshServers)
    assert nobody.servers == ()
    assert isinstance(somebody, Unobserved)
    assert "over SSH" in somebody.why.en
