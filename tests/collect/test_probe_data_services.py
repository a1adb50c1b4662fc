"""What the probe prints about data services holds no secret: canaries through its own awk, and its own reader of included files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import tutela.collect
from tests.collect.probe import frames, instead_of_lanes
from tutela.evidence import Evidence, Status

PROBE = (Path(tutela.collect.__file__).parent / "probe.sh").read_text("utf-8")
CANARY = "Kanarienvogel7"
AWKS = [one for one in (["mawk"], ["gawk"], ["busybox", "awk"]) if shutil.which(one[0])]


def masked(awk: list[str], how: str, text: str) -> str:
    program = re.search(r"^AWK='\n([^']*)'$", PROBE, re.MULTILINE)
    assert program is not None
    done = subprocess.run([*awk, "-v", f"how={how}", program[1]], input=text, capture_output=True, text=True, check=True, timeout=20)
    assert done.stderr == ""
    return done.stdout.rstrip("\n")


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("bind 127.0.0.1 -::1", "bind 127.0.0.1 -::1"),
        (f"requirepass {CANARY}", "requirepass ***"),
        ('requirepass ""', "requirepass empty"),
        (f"masterauth {CANARY}", "masterauth ***"),
        (f"sentinel auth-pass mymaster {CANARY}", "sentinel ***"),
        (f"user default on >{CANARY} ~* +@all", "user default on >*** ~*** +@all"),
        (f"user app off #{CANARY} ~{CANARY}:* &{CANARY}", "user app off >*** ~*** ~***"),
        (f"rename-command CONFIG {CANARY}", "rename-command CONFIG ***"),
        (f"password = {CANARY}", ""),
        (f"wsrep_sst_auth = root:{CANARY}", ""),
        (f"# requirepass {CANARY}", ""),
        ("skip-grant-tables", "skip-grant-tables"),
        ("loose-enable-skip-grant", "loose-enable-skip-grant"),
        ("listener.security.protocol.map=CLIENTS:SASL_SSL", "listener.security.protocol.map=CLIENTS:SASL_SSL"),
        (f"&include /etc/{CANARY}.d", "&include ***"),
        ("config backend = registry", "config backend = registry"),
        (f"config backend = {CANARY}", ""),
        ("!includedir /etc/mysql/conf.d/", "!includedir /etc/mysql/conf.d/"),
        ("-l 127.0.0.1", "-l 127.0.0.1"),
        (f"primary_conninfo = 'host=192.0.2.1 password={CANARY}'", ""),
        ("hba_file = '/etc/postgresql/15/main/pg_hba.conf'", "hba_file = '/etc/postgresql/15/main/pg_hba.conf'"),
        ("ETCD_CLIENT_CERT_AUTH=true", "ETCD_CLIENT_CERT_AUTH=true"),
        (f"default_pass = {CANARY}", ""),
        (f"secrets file = /etc/{CANARY}", ""),
        ("auth users = backup", "auth users = backup"),
        ("  auth-enabled = true", "auth-enabled = true"),
        (f'  shared-secret = "{CANARY}"', ""),
        ("\tpublic = Yes", "public = Yes"),
        ("guestok=0", "guestok=0"),
        (f"public = {CANARY}", ""),
        ("usershare allow guests = Yes", "usershare allow guests = Yes"),
        (f"usershare owner only = {CANARY}", ""),
        ("guest_ok=y", "guest_ok=y"),
        (f"comment={CANARY}", ""),
        ("innodb_encrypt_tables = FORCE", "innodb_encrypt_tables = FORCE"),
        ("loose-default-table-encryption=ON", "loose-default-table-encryption=ON"),
        (f"default_table_encryption = {CANARY}", ""),
        (f"file_key_management_filekey = {CANARY}", ""),
        (f'sasl.jaas.config=… password="{CANARY}";', ""),
    ],
)
def test_of_settings_only_an_allow_list_leaves_the_host(awk: list[str], line: str, kept: str) -> None:
    assert masked(awk, "settings", line + "\n") == kept


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("[{rabbit, [{loopback_users, []}]}].", "loopback_users []"),
        ('  {loopback_users, [<<"guest">>]},', "loopback_users [guest]"),
        (f'  {{loopback_users, [<<"{CANARY}">>]}},', "loopback_users ***"),
        ("  %% {loopback_users, []},", ""),
        (f'{{default_pass, <<"{CANARY}">>}}', ""),
    ],
)
def test_of_erlang_terms_only_who_is_for_loopback_alone_stays(awk: list[str], line: str, kept: str) -> None:
    assert masked(awk, "rabbit", line + "\n") == kept


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("host all all 0.0.0.0/0 trust", "host all all 0.0.0.0/0 trust"),
        (f"host all all 0.0.0.0/0 ldap ldapserver=x ldapbindpasswd={CANARY}", "host all all 0.0.0.0/0 ldap ldapserver=*** ldapbindpasswd=***"),
        (f'host all all ::/0 radius radiussecrets="{CANARY} x"', "host all all ::/0 radius radiussecrets=***"),
        (f"# {CANARY}", ""),
        (f"  # {CANARY} \\", "# \\"),
        ("hostssl all all ::/0 trust clientcert=no-verify map=x", "hostssl all all ::/0 trust clientcert=no-verify map=***"),
        ("hostssl all all ::/0 cert clientcert=1", "hostssl all all ::/0 cert clientcert=1"),
        (f"hostssl all all ::/0 cert clientcert={CANARY} clientcert=1", "hostssl all all ::/0 cert clientcert=*** clientcert=1"),
        (f'hostssl all all ::/0 cert clientcert="1 {CANARY}"', "hostssl all all ::/0 cert clientcert=***"),
        (f'host all all ::/0 ldap ldapbindpasswd="clientcert=1 {CANARY}"', "host all all ::/0 ldap ldapbindpasswd=***"),
    ],
)
def test_options_behind_the_method_lose_their_values(awk: list[str], line: str, kept: str) -> None:
    assert masked(awk, "hba", line + "\n") == kept


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (f'{{"hosts":["tcp://0.0.0.0:2376"],"tlsverify":true,"tlskey":"{CANARY}"}}', "tlsverify: true"),
        ('  "tlsverify": true,', "tlsverify: true"),
        ('  "tlsverify": false,', "  tlsverify: false,"),
        (f'{{"log-opts":{{"splunk-token":"{CANARY}"}}}}', "#"),
    ],
)
def test_of_json_in_one_line_only_one_switch_leaves_the_host(awk: list[str], line: str, kept: str) -> None:
    assert masked(awk, "yaml", line + "\n") == kept


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("ssl_enable=YES", "ssl_enable=YES"),
        ("TLS   1", "TLS   1"),
        ("3", "3"),
        (f"MySQLConfigFile {CANARY}", ""),
        (f"ftpd_banner={CANARY}", ""),
        ("TLS 1 2", ""),
    ],
)
def test_of_servers_for_files_only_switches_leave_the_host(awk: list[str], line: str, kept: str) -> None:
    assert masked(awk, "switches", line + "\n") == kept


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
def test_yaml_keeps_its_shape_and_loses_its_values(awk: list[str]) -> None:
    text = f"""security:
  authorization: enabled
  keyFile: /etc/{CANARY}
  transitionToAuth: true
  transitionToAuth: {CANARY}
  ldap: {{bind: {{queryPassword: {CANARY}}}}}
net:
  bindIp: 127.0.0.1,::1
note: |
  password: {CANARY}
  {CANARY}
list:
- {CANARY}
- --token={CANARY}
- --anonymous-auth=false
"""
    assert masked(awk, "yaml", text) == (
        'security:\n  authorization: enabled\n  keyFile: "***"\n  transitionToAuth: true\n  transitionToAuth: "***"\n  ldap: "***"\nnet:\n  bindIp: 127.0.0.1,::1\n'
        'note: |\n  password: "***"\n  #\nlist:\n- "***"\n- --token=***\n- --anonymous-auth=false'
    )


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("name", "words", "kept"),
    [
        ("mysqld", ["/usr/sbin/mysqld", "--skip-grant-tables", f"--init-file=/x/{CANARY}"], "/usr/sbin/mysqld --skip-grant-tables --init-file=***"),
        ("redis-server", ["redis-server 127.0.0.1:6379"], "redis-server 127.0.0.1:6379"),
        ("redis-server", ["redis-server", "--requirepass", f"{CANARY} {CANARY}", "--port", "6380"], "redis-server --requirepass *** --port 6380"),
        ("mongod", ["mongod", "--bind_ip_all", "--auth", f"-p{CANARY}", "--tls", CANARY], "mongod --bind_ip_all --auth *** --tls ***"),
        ("etcd", ["etcd", "--client-cert-auth=true", f"--discovery-token={CANARY}"], "etcd --client-cert-auth=true --discovery-token=***"),
        ("dockerd", ["/usr/bin/dockerd", "-H", "tcp://0.0.0.0:2375"], "/usr/bin/dockerd -H tcp://0.0.0.0:2375"),
        ("dockerd", ["dockerd", "--host=tcp://0.0.0.0:4000", "--host", "unix:///x"], "dockerd --host=tcp://0.0.0.0:4000 --host ***"),
        ("consul", ["consul", "agent", "-encrypt", CANARY, f"-retry-join={CANARY}"], "consul agent *** *** -retry-join=***"),
        ("minio", ["minio", "server", f"http://user:{CANARY}@192.0.2.1/x"], "minio server ***"),
        ("memcached", ["memcached", "-l", "127.0.0.1", "-U", "0", "-S"], "memcached -l 127.0.0.1 -U 0 -S"),
        ("influxd", ["/usr/bin/influxd", "-config", "/etc/influxdb/influxdb.conf"], "/usr/bin/influxd *** /etc/influxdb/influxdb.conf"),
        ("conmon", ["/usr/bin/conmon", "-c", CANARY], ""),
        ("postgres", ["postgres", "-D", "/srv/pg", "-c", f"primary_conninfo=password={CANARY}"], "postgres -D /srv/pg -c primary_conninfo=***"),
    ],
)
def test_of_a_command_line_only_an_allow_list_leaves_the_host(awk: list[str], name: str, words: list[str], kept: str) -> None:
    head = f"pid=7 name={name} uid=5 container=0 args"
    assert masked(awk, "server", "\x1f".join([head, *words, ""]) + "\n") == f"{head} {kept}".rstrip()


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize("name", ["node", "MainThread", "node-MainThread"])
def test_node_is_known_by_each_of_its_names(awk: list[str], name: str) -> None:
    line = "\x1f".join([f"pid=7 name={name} uid=5 container=0 args", "/usr/share/kibana/bin/../node/bin/node", "/usr/share/kibana/src/cli/dist", ""])

    assert masked(awk, "server", line + "\n").startswith("pid=7 name=kibana uid=5 container=0 args /usr/share/kibana/bin/../node/bin/node ")


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
def test_java_is_named_by_its_service_or_left_out(awk: list[str]) -> None:
    head = "pid=7 name=java uid=5 container=0 args"
    text = "\x1f".join([head, "java", f"-Dpassword={CANARY}", "kafka.Kafka", ""]) + "\n" + "\x1f".join([head, "java", "-jar", f"{CANARY}.jar"]) + "\n"

    assert masked(awk, "server", text) == "pid=7 name=kafka uid=5 container=0 args java -Dpassword=*** ***"


def test_included_files_are_found_four_deep_and_only_where_data_services_live(tmp_path: Path) -> None:
    """`included` with its allow-list moved to a directory of ours: the loop of includes ends, other files stay unread."""
    root = tmp_path / "etc"
    (root / "conf.d").mkdir(parents=True)
    (root / "main.cnf").write_text(f"[mysqld]\n!includedir {root}/conf.d\n!include /etc/{CANARY}\n", "utf-8")
    (root / "conf.d" / "a.cnf").write_text(f"[mysqld]\nbind-address = 127.0.0.1\n!include {root}/main.cnf\n", "utf-8")
    (root / "conf.d" / "b.txt").write_text(CANARY, "utf-8")
    allowed = str(root).replace("/", r"\/")
    body = PROBE.replace(r"\/(etc\/(mysql|my\.cnf|redis|valkey|postgresql)|", rf"({allowed}|\/etc\/none|").replace(
        r"|usr\/local\/(etc|pgsql))[A-Z", r"|\/usr\/none)[A-Z"
    )
    body = instead_of_lanes(body, f"read_them() {{ tree_seen=$NL; included settings '*.cnf' {root}/main.cnf; }}; collect read_them")
    script = tmp_path / "probe.sh"
    script.write_text(body, "utf-8")

    done = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=True, timeout=20)

    assert done.stderr == ""
    names = [line for line in done.stdout.split("\n") if line.startswith(str(root))]
    assert sorted(names) == [f"{root}/conf.d/", f"{root}/conf.d/a.cnf", f"{root}/main.cnf"]
    assert CANARY not in done.stdout.replace(f"!include /etc/{CANARY}", "")


def in_the_probe(tmp_path: Path, lines: str, change: tuple[str, str] = ("", ""), **programs: str) -> dict[str, Evidence]:
    """The probe with `lines` in place of its lanes, where these programs say what they are told to say."""
    for name, said in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{said}\n", "utf-8")
        (tmp_path / name).chmod(0o755)
    script = tmp_path / "probe.sh"
    script.write_text(instead_of_lanes(PROBE.replace(*change), f"in_place() {{\nPATH={tmp_path}:$PATH\n{lines}\n}}\ncollect in_place"), "utf-8")
    done = subprocess.run(["sh", str(script)], capture_output=True, check=True, timeout=20)
    return frames(done.stdout)


@pytest.mark.parametrize("name", ["elasticsearch", "opensearch"])
def test_a_search_engine_is_asked_whether_it_refuses_strangers(tmp_path: Path, name: str) -> None:
    processes = f"pid=7 name={name} uid=5 container=0 args /usr/share/elasticsearch/jdk/bin/java ***"

    found = in_the_probe(tmp_path, f"processes='{processes}'; data_answers", curl="printf 401")

    assert found["curl http://127.0.0.1:9200/ (status)"].content == b"401"


def test_of_many_certificates_the_first_are_read_and_the_others_named(tmp_path: Path) -> None:
    """A server with more of them must not pass for those that were read."""
    for name in range(12):
        (tmp_path / f"{name:02}.pem").touch()
    (tmp_path / "all.conf").write_text("".join(f"ssl_certificate {tmp_path}/{name:02}.pem;\n" for name in range(12)), "utf-8")
    change = ("/etc/nginx/conf.d/*.conf", f"{tmp_path}/*.conf")

    found = in_the_probe(tmp_path, "certificates", change=change, openssl="echo notAfter=Dec 30 08:00:00 2026 GMT")

    rows = found["openssl x509 -noout -enddate (certificates of web servers)"].content.decode().split("\n")
    assert [row.split(" ", 2)[1:] for row in rows] == [
        [f"{tmp_path}/{name:02}.pem", "notAfter=Dec 30 08:00:00 2026 GMT" if name < 10 else "unread"] for name in range(12)
    ]


@pytest.mark.root
def test_a_stopped_engine_is_not_started_by_asking_it(tmp_path: Path) -> None:
    """systemd holds the socket: whoever connects starts the daemon."""
    said = {"docker": "echo c1c1", "podman": "echo"}
    change = ("[ ! -S /var/run/docker.sock ]", "false")
    assert change[0] in PROBE

    stopped = in_the_probe(tmp_path, "PROCESSES='7 sshd'; containers", change=change, **said)
    running = in_the_probe(tmp_path, "PROCESSES='7 dockerd'; containers", change=change, **said)

    assert stopped["docker ps"] == Evidence("docker ps", Status.FAILED, b"no daemon", 1)
    assert running["docker ps"] == Evidence("docker ps", Status.OK, b"c1c1")
