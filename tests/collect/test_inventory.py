"""Inventories: what Ansible's files and CSV name, and what hostile ones may not do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutela.collect.inventory import MAX_HOSTS, read_inventory
from tutela.collect.inventory_variables import Beside
from tutela.collect.run import Look
from tutela.collect.ssh import ssh_argv
from tutela.collect.target import SshTarget
from tutela.errors import ContentError


def ini(text: str) -> dict[str, SshTarget]:
    return {target.name: target for target in read_inventory(text.encode(), "hosts").targets}


def yaml(text: str) -> dict[str, SshTarget]:
    return {target.name: target for target in read_inventory(text.encode(), "hosts.yml").targets}


def table(text: str) -> dict[str, SshTarget]:
    return {target.name: target for target in read_inventory(text.encode(), "hosts.csv").targets}


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


def test_ini_of_two_groups_side_by_side_the_later_by_name_wins() -> None:
    assert ini("[web]\nh\n[db]\nh\n[web:vars]\nansible_port=2\n[db:vars]\nansible_port=1\n")["h"].port == 2


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


EXCEL = {
    "commas": "host,name,user,port\r\n10.0.0.1,网站,ops,22\r\n",
    "semicolons, and what empty rows leave": "host;name;user;port\r\n;;;\r\n10.0.0.1;网站;ops;22\r\n;;;\r\n",
    "tabs": "host\tname\tuser\tport\r\n10.0.0.1\t网站\tops\t22\r\n",
    "a line that names the separator": "sep=;\r\nhost;name;user;port\r\n10.0.0.1;网站;ops;22\r\n",
    "blank lines first": "\r\n,,,\r\nhost,name,user,port\r\n10.0.0.1,网站,ops,22\r\n",
    "Chinese headings": "主机,名称,用户,端口,备注\r\n10.0.0.1,网站,ops,22,机房一\r\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
@pytest.mark.parametrize("text", EXCEL.values(), ids=EXCEL)
def test_csv_as_spreadsheets_on_chinese_windows_save_it(text: str, encoding: str) -> None:
    assert read_inventory(text.encode(encoding), "hosts.csv").targets == (SshTarget("网站", "10.0.0.1", "ops", 22),)


def test_csv_lines_are_counted_from_the_top_of_the_file() -> None:
    with pytest.raises(ContentError, match=r"hosts\.csv:4:1: the port 'x'"):
        table("\r\nsep=;\r\nhost;port\r\nh;x\r\n")


def test_ini_with_comments_in_gbk() -> None:
    assert read_inventory("# 网站服务器\n[web]\nh\n".encode("gbk"), "hosts").targets == (SshTarget("h", "h", None, None),)


def test_a_file_without_an_extension_that_is_yaml_is_no_list_of_hosts() -> None:
    for text in ("all:\n  hosts:\n    h:\n", "# ours\n---\nall: {hosts: {h: }}\n", '{"all": {"hosts": {"h": {}}}}\n'):
        assert ini(text) == {"h": SshTarget("h", "h", None, None)}


def test_what_is_encrypted_or_unsafe_in_yaml_is_passed_over_where_nobody_needs_it() -> None:
    vault = "!vault |\n        $ANSIBLE_VAULT;1.1;AES256\n        3661\n"
    assert yaml(f"all:\n  vars: {{x: !unsafe '{{{{ y }}}}'}}\n  hosts:\n    h:\n      ansible_become_password: {vault}") == {
        "h": SshTarget("h", "h", None, None)
    }
    with pytest.raises(ContentError, match="ansible_user of h is a template or encrypted"):
        yaml(f"all:\n  hosts:\n    h:\n      ansible_user: {vault}")


def test_variables_in_the_folders_beside_it_count_as_for_ansible(tmp_path: Path) -> None:
    written = {
        "group_vars/all.yml": "ansible_port: 1\nansible_user: everybody\n",
        "group_vars/web/a.yml": "---\nansible_port: 2\nlist: &x [1, {ansible_user: deep}]\nagain: *x\n",
        "group_vars/web/secret.yml": "$ANSIBLE_VAULT;1.1;AES256\n3661\n",
        "group_vars/web/notes.txt": "ansible_port: 9\n",
        "host_vars/h2.example.yml": "ansible_host: 10.0.0.2\nansible_become_password: !vault |\n  $ANSIBLE_VAULT;1.1\n",
        "host_vars/h3.example": "ansible_user: me\n",
    }
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    text = "lonely\n[web]\nh1 ansible_user=own\nh2.example\nh3.example ansible_user=own\n[web:vars]\nansible_user=group\n"

    assert read_inventory(text.encode(), "hosts", Beside(tmp_path)).targets == (
        SshTarget("lonely", "lonely", "everybody", 1),
        SshTarget("h1", "h1", "own", 2),
        SshTarget("h2.example", "10.0.0.2", "everybody", 2),
        SshTarget("h3.example", "h3.example", "me", 2),
    )


def test_a_file_of_variables_that_is_no_yaml_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "h.yml").write_text("a: 1\n\tb: 2\n")
    with pytest.raises(ContentError, match=r"h\.yml:2:1: .*there is a tab"):
        read_inventory(b"h\n", "hosts", Beside(tmp_path))


def test_variables_that_belong_into_ssh_config_are_counted() -> None:
    text = "[web]\na ansible_ssh_private_key_file=~/.ssh/k\nb\nc\n[web:vars]\nansible_ssh_common_args='-o ProxyJump=bastion'\n"
    assert read_inventory(text.encode(), "hosts").unused == {"ansible_ssh_private_key_file": 1, "ansible_ssh_common_args": 3}


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("hosts.xlsx", b"PK\x03\x04\x14", "save it as CSV"),
        ("hosts", b"$ANSIBLE_VAULT;1.1;AES256\n36\n", "ansible-vault view"),
        ("hosts", b"[web:childern]\nh\n", r"write \[group\]"),
        ("hosts", b"[web\nh\n", r"write \[group\]"),
        ("hosts", b"ops@h\n", "ansible_user"),
        ("hosts", b"h ansible_host={{ ip }}\n", "ansible_host of h is a template"),
        ("hosts.json", b'{"_meta": {}, "all": {"children": ["web"]}}', "ansible-inventory --list --yaml"),
        ("hosts.yml", b"all:\n\thosts:\n", "blanks only"),
    ],
)
def test_usual_mistakes_are_told_with_what_to_do(name: str, raw: bytes, said: str) -> None:
    with pytest.raises(ContentError, match=said):
        read_inventory(raw, name)


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
        targets = read_inventory(raw, name).targets
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
