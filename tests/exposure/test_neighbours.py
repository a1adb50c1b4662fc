"""A host whose neighbour is slow to be found: the first questions never leave, and the kernel says "no route to host" for some."""

import sys
from pathlib import Path

import pytest

import tutela.collect
from tests.exposure.net import TARGET, Net
from tutela.collect.elsewhere import read_answer

pytestmark = pytest.mark.root
GUEST = Path(tutela.collect.__file__).parent / "guest" / "connect.py"
SCAN = """
import json, sys
from ipaddress import ip_address
from tutela.exposure.model import Request, Summary, Tally
from tutela.exposure.scan import scan
for event in scan(Request((ip_address("198.18.0.2"),), range(1, 65536), rate=150_000), sys.argv[1]):
    if isinstance(event, Tally):
        print(json.dumps([list(event.open), event.filtered]))
"""
DEAF = "table arp deaf {\n chain in {\n type filter hook input priority 0;\n drop;\n }\n}\n"


@pytest.mark.parametrize("method,seconds", [("raw", 1.8), ("connect", 2.8)])
def test_open_ports_of_a_neighbour_that_is_found_late_are_found(method, seconds):
    with Net() as net:
        opened = net.open(100)
        net.run(["ip", "neighbour", "del", TARGET, "dev", "scan0"])
        net.target(["nft", "-f", "-"], stdin=DEAF)
        net.start_on_target(["sh", "-c", f"sleep {seconds}; nft flush ruleset"])
        assert net.python(SCAN, method) == f"[{sorted(opened)}, 0]\n"


def test_from_another_host_they_are_found_too():
    with Net() as net:
        opened = net.open(100)
        net.run(["ip", "neighbour", "del", TARGET, "dev", "scan0"])
        net.target(["nft", "-f", "-"], stdin=DEAF)
        net.start_on_target(["sh", "-c", "sleep 3.5; nft flush ruleset"])
        said = net.run([sys.executable, "-I", "-S", "-B", str(GUEST), "10000", "90", "1-65535", TARGET]).stdout
        seen = read_answer(said.encode(), (TARGET,))
        assert seen is not None
        assert (set(seen[0].open), seen[0].filtered) == (opened, 0)
