"""Inventories: what Ansible's files and CSV name, and what hostile ones may not do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutela.collect.inventory import MAX_HOSTS, read_inventory
from tutela.collect.run import Look
from tutela.collect.ssh import ssh_argv
from tutela.collect.target import SshTarget
from tutela.errors import ContentError


def ini(text: str) -> dict[str, SshTarget]:
    return {target.name: target for target in read_inventory(text.encode(), "hosts")}


def yaml(text: str) -> dict[str, SshTarget]:
    return {target.name: target for target in read_inventory(text.encode(), "hosts.yml")}


def table(text: str) -> dict[str, SshTarget]:
    return {target.name: target for target in read_inventory(text.encode(), "hosts.csv")}


INI = """\
# a comment
; another
lonely.example

[web]
web[01:03].example ansible_port=2222
db-[a:c] ansible_host=198.18.0.1 ; not a comment for Ansible, but no variable either

[web:vars]
ansible_user = "deploy"
ansible_port=22

[all:vars]
ansible_user=root

[campus:children]
web

[campus:vars]
ansible_user=campus
other=thing
"""


def test_ini_groups_variables_ranges() -> None:
    found = ini(INI)

    assert list(found) == ["lonely.example", "web01.example", "web02.example", "web03.example", "db-a", "db-b", "db-c"]
    assert found["lonely.example"] == SshTarget("lonely.example", "lonely.example", "root", None)
    assert found["web02.example"] == SshTarget("web02.example", "web02.example", "deploy", 2222)
    assert found["db-c"] == SshTarget("db-c", "198.18.0.1", "deploy", 22)


def test_ini_a_childs_variable_wins_over_its_parents_at_any_depth_and_in_any_order() -> None:
    leaf = "[leaf]\nh\n"
    mid = "[mid:children]\nleaf\n[mid:vars]\nansible_user=mid\n"
    top = "[top:children]\nmid\n[top:vars]\nansible_user=top\nansible_port=7\n"
    for order in ((leaf, mid, top), (top, mid, leaf), (mid, top, leaf)):
        assert ini("".join(order))["h"] == SshTarget("h", "h", "mid", 7)


def test_ini_groups_may_be_children_of_each_other_without_end() -> None:
    assert list(ini("[a]\nh\n[a:children]\nb\n[b:children]\na\n[a:vars]\nansible_user=x\n")) == ["h"]


def test_ini_a_host_in_two_groups_is_one_host() -> None:
    assert ini("[a]\nh ansible_user=u\n[b]\nh ansible_port=5\n") == {"h": SshTarget("h", "h", "u", 5)}


def test_ini_a_port_behind_a_colon_as_ansible_reads_it() -> None:
    assert ini("h.example:2200\n[2001:db8::1]:22\n2001:db8::2\n") == {
        "h.example": SshTarget("h.example", "h.example", None, 2200),
        "2001:db8::1": SshTarget("2001:db8::1", "2001:db8::1", None, 22),
        "2001:db8::2": SshTarget("2001:db8::2", "2001:db8::2", None, None),
    }


def test_byte_order_mark_and_windows_line_ends() -> None:
    for text in ("﻿[web]\r\nh ansible_user=u\r\n", "﻿h ansible_user=u"):
        assert ini(text) == {"h": SshTarget("h", "h", "u", None)}
    assert table("﻿host,user\r\nh,u\r\n") == {"h": SshTarget("h", "h", "u", None)}
    assert yaml("﻿all:\r\n  hosts:\r\n    h: {ansible_user: u}\r\n") == {"h": SshTarget("h", "h", "u", None)}


def test_yaml_groups_variables_ranges() -> None:
    found = yaml("""\
all:
  vars: {ansible_user: root}
  hosts:
    lonely:
  children:
    web:
      vars: {ansible_user: deploy}
      hosts:
        web[1:2].example: {ansible_port: 2222, unknown: [1, 2]}
    empty:
    more:
      children:
        web:
          vars: {ansible_port: 9}
""")

    assert found == {
        "lonely": SshTarget("lonely", "lonely", "root", None),
        "web1.example": SshTarget("web1.example", "web1.example", "deploy", 2222),
        "web2.example": SshTarget("web2.example", "web2.example", "deploy", 2222),
    }


def test_csv() -> None:
    assert table("Name, HOST ,user,port\nweb,192.0.2.1,root,22\n,h2.example,,\n\nx,2001:db8::1,,2022\n") == {
        "web": SshTarget("web", "192.0.2.1", "root", 22),
        "h2.example": SshTarget("h2.example", "h2.example", None, None),
        "x": SshTarget("x", "2001:db8::1", None, 2022),
    }


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("hosts", "good\nbad host=' x\n", "hosts:2:1"),
        ("hosts", "good\nh ansible_port=22x\n", "hosts:2:1"),
        ("hosts", "h ansible_port=70000\n", "hosts:1:1"),
        ("hosts", "h ansible_port=0\n", "hosts:1:1"),
        ("hosts", "h ansible_port=" + "9" * 5000 + "\n", "hosts:1:1"),
        ("hosts", "good\n\nw[3:a]\n", "hosts:3:1"),
        ("hosts", "w[1:9:0]\n", "hosts:1:1"),
        ("hosts", "w[0:999999999]\n", "hosts:1:1"),
        ("hosts", "w[0:999][0:999]\n", "hosts:1:1"),
        ("hosts", "w[0:" + "9" * 5000 + "]\n", "hosts:1:1"),
        ("hosts", "-oProxyCommand=id\n", "hosts:1:1"),
        ("hosts", "good ansible_host=-oProxyCommand=id\n", "hosts:1:1"),
        ("hosts", "good ansible_user=-lroot\n", "hosts:1:1"),
        ("hosts", "good ansible_user='a b'\n", "hosts:1:1"),
        ("hosts", "'good;id'\n", "hosts:1:1"),
        ("hosts", "'$(id)'\n", "hosts:1:1"),
        ("hosts", "h\x00x\n", "hosts:1:1"),
        ("hosts", "h\x1b[31m\n", "hosts:1:1"),
        ("hosts.yml", "all:\n  hosts:\n    '-oProxyCommand=id':\n", "hosts.yml:3:1"),
        ("hosts.yml", "all:\n  hosts:\n    h: {ansible_host: '-x'}\n", "hosts.yml:3:1"),
        ("hosts.yml", "all:\n  hosts: [a]\n", "hosts.yml:2:3"),
        ("hosts.yml", "all: 3\n", "hosts.yml:1:1"),
        ("hosts.yml", "all:\n  hosts:\n    h: 3\n", "hosts.yml:3:5"),
        ("hosts.yml", "- a\n", "hosts.yml"),
        ("hosts.csv", "name,port\nx,1\n", "hosts.csv:1:1"),
        ("hosts.csv", "host\n-oProxyCommand=id\n", "hosts.csv:2:1"),
        ("hosts.csv", "host,port\nh,1\nh,2\n", "hosts.csv:3:1"),
        ("hosts.csv", "host,port\nh,x\n", "hosts.csv:2:1"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(name: str, text: str, where: str) -> None:
    with pytest.raises(ContentError) as problem:
        read_inventory(text.encode(), name)
    assert str(problem.value).startswith(where)


@pytest.mark.parametrize("name", ["hosts", "hosts.yml", "hosts.csv"])
@pytest.mark.parametrize("raw", [b"", b"\n", b"# only words\n", b"\xff\xfe", b"[web]\n"])
def test_an_inventory_without_hosts_is_an_error(name: str, raw: bytes) -> None:
    with pytest.raises(ContentError, match="hosts"):
        read_inventory(raw, name)


def test_no_more_hosts_than_the_limit() -> None:
    assert len(ini(f"w[1:{MAX_HOSTS // 100}]\n")) == MAX_HOSTS // 100
    for text in (f"w[1:{MAX_HOSTS}]\nv1\n", "w[1:9999][1:9999]\n"):
        with pytest.raises(ContentError, match="hosts"):
            ini(text)
    with pytest.raises(ContentError, match="hosts"):
        yaml("all: {hosts: {'w[1:9999][1:9999]': }}\n")


LINES = st.lists(st.text(st.sampled_from("ab[]:=01-.#;\"' \t\n\r@$,vars{}children\x00\x1b﻿主"), max_size=30), max_size=8).map("\n".join)


@given(st.sampled_from(["hosts", "hosts.yml", "hosts.csv"]), LINES.map(str.encode) | st.binary(max_size=200))
def test_any_inventory_gives_safe_targets_or_an_error_with_the_file(name: str, raw: bytes) -> None:
    try:
        targets = read_inventory(raw, name)
    except ContentError as problem:
        assert str(problem).startswith(name)
        return
    assert len({target.name for target in targets}) == len(targets) > 0
    for target in targets:
        argv = ssh_argv(target, Look())
        assert argv[argv.index("--") + 1] == target.host
        assert not target.host.startswith("-")
        assert target.user is None or not target.user.startswith("-")
        assert target.name.isprintable()
