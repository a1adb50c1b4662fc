"""Real daemons behind open ports: each is recognised, and those that answer anybody are named so."""

import csv
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.exposure import daemons
from tests.exposure.net import SOURCE, TARGET, TARGET6, Net

pytestmark = pytest.mark.root
# What is recognised, also by a machine that is busy with other tests: a port has three times as long as otherwise. How long it has is in test_identify_time.py.
IDENTIFY = """
import json, sys
from dataclasses import asdict
from tutela.exposure.identify import door, identify
door.PORT_S, door.MOST_S = 5.0, 10.0
for service in identify([(sys.argv[1], "tcp", int(port)) for port in sys.argv[2:]]):
    print(json.dumps(asdict(service)))
"""
BY_WAY_OF_ANOTHER = """
import json, sys
from dataclasses import asdict
from tutela.collect.relay import Relay, guest_argv
from tutela.collect.run import Running
from tutela.exposure.identify import door, identify
door.PORT_S, door.MOST_S = 5.0, 10.0
with Relay(guest_argv(sys.executable), Running()) as relay:
    assert relay.runs(60)
    for service in identify([(sys.argv[1], "tcp", int(port)) for port in sys.argv[2:]], way=relay.connect):
        print(json.dumps(asdict(service)))
    assert not relay.ended
"""
SILENT = (4000, 27017)
SERVICES = {
    22: ("ssh", "OpenSSH_", None),
    80: ("http", "nginx/", None),
    443: ("https", "nginx/", None),
    8444: ("https", "nginx/", None),
    8445: ("https", "nginx/", None),
    8446: ("https", "nginx/", None),
    8447: ("https", "nginx/", None),
    8448: ("https", "", None),
    6379: ("redis", ".", True),
    6380: ("redis", "", False),
    7777: ("redis", ".", True),
    26379: ("redis", "", False),
    11211: ("memcached", "1.", True),
    1883: ("mqtt", "", True),
    18830: ("mqtt", "", False),
    873: ("rsync", "guarded everybody", True),
    21: ("ftp", "Files of the institute", None),
    2379: ("etcd", "3.", True),
    4001: ("etcd", "3.", False),
    3306: ("mariadb", "10.", None),
    5432: ("postgresql", "trust", True),
    5433: ("postgresql", "scram", False),
    5434: ("postgresql", "TLS trust", True),
    **dict.fromkeys(SILENT, (None, "", None)),
}


@pytest.fixture(scope="module")
def net():
    assert daemons.missing() == [], "dev/packages.txt names what must be installed, and dev/test installs it"
    with tempfile.TemporaryDirectory() as folder, Net() as one:
        one.open(0, also=SILENT)
        daemons.start(one, Path(folder))
        one.folder = folder
        yield one


@pytest.fixture(scope="module")
def found(net):
    lines = net.python(IDENTIFY, TARGET, *map(str, SERVICES)).splitlines()
    return {service["port"]: service for service in map(json.loads, lines)}


def test_by_way_of_another_host_the_same_is_seen(net, found):
    told = map(json.loads, net.python(BY_WAY_OF_ANOTHER, TARGET, *map(str, SERVICES)).splitlines())

    assert {one["port"]: one for one in told} == found


@pytest.mark.parametrize("port", SERVICES)
def test_each_service_is_recognised_and_whether_it_answers_anybody(found, port):
    name, said, free = SERVICES[port]
    assert (found[port]["name"], found[port]["without_authentication"]) == (name, free)
    assert said in found[port]["said"]


@pytest.mark.parametrize("port", [21, 5434])
def test_tls_that_begins_inside_a_protocol_is_looked_at(found, port):
    assert (found[port]["tls"]["subject"], "TLSv1.3" in found[port]["tls"]["versions"]) == ("www.example.net", True)


def test_over_ipv6_too(net):
    (ssh,) = map(json.loads, net.python(IDENTIFY, TARGET6, "22").splitlines())
    assert (ssh["address"], ssh["name"]) == (TARGET6, "ssh")


@pytest.mark.parametrize(
    "port,versions", [(443, ["TLSv1.2", "TLSv1.3"]), (8444, ["TLSv1"]), (8445, ["TLSv1.3"]), (8448, ["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2"])]
)
def test_versions_of_tls_are_those_that_the_server_takes(found, port, versions):
    assert (found[port]["tls"]["versions"], found[port]["tls"]["untested"]) == (versions, [])


def test_the_certificate_is_read(found):
    tls = found[443]["tls"]
    assert (tls["subject"], tls["issuer"], tls["names"]) == ("www.example.net", "www.example.net", ["www.example.net", TARGET])
    assert (tls["ends"], tls["key"], tls["trusted"]) == ("2031-05-06T07:08:09Z", "EC P-256", False)
    assert (tls["hsts"], found[8445]["tls"]["hsts"]) == ("max-age=31536000", None)


@pytest.mark.parametrize("port,stapled", [(8446, True), (8447, False), (443, None), (8445, None)])
def test_an_answer_of_a_responder_is_looked_for_where_the_certificate_names_one(found, port, stapled):
    assert found[port]["tls"]["stapled"] is stapled


def test_a_chain_to_a_root_of_this_machine_is_trusted(net):
    known = f"import os; os.environ['SSL_CERT_FILE'] = '{net.folder}/cert.pem'\n"
    (web,) = map(json.loads, net.python(known + IDENTIFY, TARGET, "443").splitlines())
    assert web["tls"]["trusted"] is True


def test_without_any_root_nothing_is_said_of_the_chain(net):
    unknown = f"import os; os.environ.update(SSL_CERT_FILE='{net.folder}/none', SSL_CERT_DIR='{net.folder}/none')\n"
    (web,) = map(json.loads, net.python(unknown + IDENTIFY, TARGET, "443").splitlines())
    assert web["tls"]["trusted"] is None


def scan(net, *words):
    done = net.run(
        [sys.executable, "-m", "tutela", "scan", TARGET, "-p", "22,80,443,6379,6380,8444,4000", *words],
        check=False,
        environment=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("lang,warned", [("en", "WARNING: 1 service answers"), ("zh", "警告：1 个服务无需认证即可访问")])
def test_a_scan_warns_of_what_answers_anybody_within_eighty_columns(net, lang, warned):
    from tutela.report.columns import width

    text = scan(net, "--lang", lang)
    assert warned in text
    assert "  ! 6379/tcp  redis" in text.split(warned)[1]
    assert "6380" not in text.split(warned)[1]
    assert [line for line in text.splitlines() if width(line) > 80] == []


def test_machines_read_services_with_their_tls(net):
    events = [json.loads(line) for line in scan(net, "-f", "jsonl").splitlines()]
    services = {event["port"]: event for event in events if event["event"] == "service"}
    assert (services[443]["tls"]["versions"], services[6379]["without_authentication"]) == (["TLSv1.2", "TLSv1.3"], True)
    assert events[-1]["event"] == "summary"
    rows = {(row["port"], row["service"]): row for row in csv.DictReader(io.StringIO(scan(net, "-f", "csv")))}
    assert rows["6379", "redis"]["without_authentication"] == "true"
    assert rows["8444", "https"]["tls"] == "TLSv1"


def test_nothing_is_asked_when_not_wanted(net):
    assert "redis" not in scan(net, "--no-identify", "--lang", "en")
