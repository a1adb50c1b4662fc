"""Data services: bytes nobody wrote on purpose, and what single readers make of single lines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Unobserved
from tutela.facts import cluster_services, elasticsearch, exports, memcached, mongodb, mysql, other_services, outside, postgresql, redis
from tutela.facts.exports import Export
from tutela.facts.look import Look
from tutela.facts.postgresql import Record

BASE = scenes.load(scenes.TESTS / "checks" / "_base" / "data-services-open.yaml")["sources"]
HOSTILE = st.text(st.sampled_from(" \t\n\\\"'#=,:;()[]{}<>*?@!-/.0123456789abclnoprstuy%&|~é\x00\x0c\u2028"), max_size=200)


def look(changes: dict[str, Any]) -> Look:
    return scenes.look({"sources": BASE | changes})


@settings(max_examples=60, deadline=None)
@given(
    text=HOSTILE,
    source=st.sampled_from(
        [
            "/proc/[0-9]*/cmdline (data services)",
            "/etc/mysql/my.cnf",
            "/etc/mysql/mariadb.conf.d/50-server.cnf",
            "mysql -N -e (accounts without a password, counts)",
            "/etc/redis/redis.conf",
            "redis-cli -h 127.0.0.1 -p 6379 ping",
            "/etc/postgresql/15/main/postgresql.conf",
            "/etc/postgresql/15/main/pg_hba.conf",
            "/etc/mongod.conf",
            "/etc/elasticsearch/elasticsearch.yml",
            "/etc/memcached.conf",
            "/var/lib/kubelet/config.yaml",
            "/etc/default/etcd",
            "/etc/docker/daemon.json",
            "/etc/rsyncd.conf",
            "/etc/samba/smb.conf",
            "/etc/exports",
            "/var/lib/nfs/etab",
            "scan of 192.0.2.10 from 203.0.113.7",
        ]
    ),
)
def test_no_bytes_make_a_reader_raise(text: str, source: str) -> None:
    seen = look({source: text})
    for fact in (cluster_services, elasticsearch, exports, memcached, mongodb, mysql, other_services, outside, postgresql, redis):
        seen.fact(fact.parse)


def records(text: str) -> list[Record]:
    found = look({"/etc/postgresql/15/main/pg_hba.conf": text}).fact(postgresql.parse)
    assert isinstance(found, postgresql.Postgresql)
    assert isinstance(found.clusters, tuple)
    cluster = found.clusters[0]
    assert isinstance(cluster, postgresql.Cluster)
    return list(cluster.records) if isinstance(cluster.records, tuple) else []


def test_lists_quotes_masks_and_comments_of_a_record_are_read() -> None:
    (one,) = records('hostssl "my db", app alice,"b c" 192.0.2.0 255.255.255.0 md5 clientcert=*** # why\n')

    assert (one.databases, one.users, one.address, one.method, one.certificate) == (('"my db"', "app"), ("alice", '"b c"'), "192.0.2.0/24", "md5", True)


@pytest.mark.parametrize(
    "line", ["host all all 192.0.2.0 255.0.255.0 trust", "host all all 192.0.2.0/40 trust", "host all all", "local all", 'host "all all 192.0.2.1/32 trust']
)
def test_a_record_that_the_server_would_refuse_is_not_guessed_at(line: str) -> None:
    found = look({"/etc/postgresql/15/main/pg_hba.conf": line}).fact(postgresql.parse)

    assert isinstance(found, postgresql.Postgresql)
    assert isinstance(found.faults, tuple)
    assert not any(isinstance(one, postgresql.Fault) for one in found.faults)
    assert len(found.faults) == 1


@pytest.mark.parametrize(
    ("directory", "text", "expected"),
    [
        ("/etc/postgresql/15/main", "# a comment \\\nhost all all ::/0 trust\nlocal all all \\\n peer", ["peer"]),
        ("/etc/postgresql/13/main", "# a comment \\\nhost all all ::/0 trust", ["trust"]),
        ("/var/lib/pgsql/9.6/data", "host all all ::1/128 md5 # mine \\\nhost all all ::/0 trust", ["md5", "trust"]),
        ("/etc/postgresql/13/main", "host all all ::/0 \\\n trust", []),
        ("/etc/postgresql/13/main", "host all all ::/0 trust \\\n", []),
        ("/var/lib/pgsql/data", "local all all \\\n peer", ["peer"]),
        ("/var/lib/pgsql/data", "# a comment \\\nhost all all ::/0 trust", []),
    ],
)
def test_a_backslash_continues_a_line_since_version_14(directory: str, text: str, expected: list[str]) -> None:
    changes = {
        "/etc/postgresql/*/* /var/lib/pgsql/*/data (clusters)": directory,
        f"{directory}/postgresql.conf": f"hba_file = '{directory}/pg_hba.conf'",
        f"{directory}/postgresql.auto.conf": {"status": "absent"},
        f"{directory}/pg_hba.conf": text,
    }
    found = look(changes).fact(postgresql.parse)
    assert isinstance(found, postgresql.Postgresql)
    assert isinstance(found.clusters, tuple)
    cluster = found.clusters[0]
    assert isinstance(cluster, postgresql.Cluster)

    records = () if isinstance(cluster.records, Unobserved) else cluster.records

    assert [one.method for one in records] == expected


def test_backslashes_in_a_quoted_setting_stand_for_characters() -> None:
    """As PostgreSQL 15 shows it in pg_file_settings."""
    settings = r"listen_addresses = '127.\060.0.1\,a''b'"
    automatic = {"/etc/postgresql/15/main/postgresql.auto.conf": {"status": "absent"}}
    found = look({"/etc/postgresql/15/main/postgresql.conf": settings} | automatic).fact(postgresql.parse)

    assert isinstance(found, postgresql.Postgresql)
    assert isinstance(found.clusters, tuple)
    cluster = found.clusters[0]
    assert isinstance(cluster, postgresql.Cluster)
    assert cluster.listen_addresses == "127.0.0.1,a'b"


def exported(text: str) -> list[tuple[str, str, bool]]:
    found = look({"/etc/exports": text}).fact(exports.parse)
    assert isinstance(found, exports.Exports)
    return [(one.path, one.client, one.rw) for one in found.exports if isinstance(one, Export)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a h(rw)", [("/a", "h", True)]),
        ("/a h (rw)", [("/a", "h", False), ("/a", "*", True)]),
        ("/a", [("/a", "*", False)]),
        ("/a -rw h k(ro)", [("/a", "h", True), ("/a", "k", False)]),
        ('"/a b"\th(rw)', [("/a b", "h", True)]),
        ("/a\\040b h", [("/a b", "h", False)]),
        ("/a h(rw) \\\n  k(ro) # c", [("/a", "h", True), ("/a", "k", False)]),
        ("# /a *(rw)\n\n/b h#c", [("/b", "h#c", False)]),
        ("/a h(sec=krb5p,rw,sec=sys,ro)", [("/a", "h", True)]),
        ("/a h(rw", []),
    ],
)
def test_a_line_of_exports_is_read_as_exportfs_reads_it(text: str, expected: list[tuple[str, str, bool]]) -> None:
    assert exported(text) == expected


@pytest.mark.parametrize(
    ("client", "kind", "prefix"),
    [
        ("192.0.2.0/24", "network", 24),
        ("192.0.2.0/255.255.0.0", "network", 16),
        ("192.0.2.7", "host", 32),
        ("2001:db8::/64", "network", 24),
        ("2001:db8::7", "host", 32),
        ("0.0.0.0/0", "world", 0),
        ("*", "world", 0),
        ("@labs", "netgroup", None),
        ("*.example", "pattern", None),
        ("nas.example", "name", None),
    ],
)
def test_kinds_of_clients_are_told_apart(client: str, kind: str, prefix: int | None) -> None:
    found = look({"/etc/exports": f"/a {client}(ro)"}).fact(exports.parse)

    assert isinstance(found, exports.Exports)
    one = found.exports[0]
    assert isinstance(one, Export)
    assert (one.kind, one.prefix) == (kind, prefix)
