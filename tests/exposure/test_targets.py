"""Whom a scan may ask."""

import socket
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exposure.net import TARGET, Net
from tutela.errors import ScanError
from tutela.exposure import targets
from tutela.exposure.addresses import Addresses, Ranges
from tutela.exposure.targets import MOST, read_networks, read_targets

OURS = [ip_network("198.51.100.0/25"), ip_network("198.51.100.128/25"), ip_network("2001:db8::/64")]


def test_words_are_unfolded_each_once_in_their_order(tmp_path):
    listed = tmp_path / "list"
    listed.write_text("# ours\n198.51.100.4/30\n2001:db8::5 # one\n198.51.100.1\n")
    found = read_targets(["198.51.100.6", f"@{listed}"])
    assert [str(one) for one in found] == ["198.51.100.6", "198.51.100.5", "198.51.100.1", "2001:db8::5"]


def test_a_prefix_has_no_network_and_no_broadcast_address():
    assert [str(one) for one in read_targets(["198.51.100.0/30", "2001:db8::/126"])] == [
        "198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8::2", "2001:db8::3",
    ]  # fmt: skip
    assert [str(one) for one in read_targets(["198.51.100.0/31"])] == ["198.51.100.0", "198.51.100.1"]


def test_the_broadcast_addresses_of_our_own_networks_are_no_hosts_of_a_larger_prefix(monkeypatch):
    monkeypatch.setattr(targets, "own_broadcasts", lambda: [ip_address("198.51.100.255"), ip_address("198.51.100.255"), ip_address("127.255.255.255")])
    found = read_targets(["198.51.100.0/23"])
    assert len(found) == 509
    assert ip_address("198.51.100.255") not in found
    with pytest.raises(ScanError, match="no address of a host"):
        read_targets(["198.51.100.255"])


@pytest.mark.root
def test_a_prefix_larger_than_our_own_network_is_scanned():
    code = """
from tutela.exposure.model import Request, Summary, Tally
from tutela.exposure.scan import scan
from tutela.exposure.targets import read_targets
asked = 0
for event in scan(Request(read_targets(["198.18.0.0/23"]), (22,), rate=1e5, rounds=1)):
    asked += event.asked if isinstance(event, Tally) else 0
    if isinstance(event, Summary):
        print(asked, [note.en for note in event.notes])
"""
    with Net() as net:
        net.run(["ip", "route", "add", "198.18.1.0/24", "via", TARGET])
        assert net.python(code) == "509 []\n"


def test_a_prefix_over_two_allowed_ones_is_allowed_and_one_address_beyond_is_not():
    assert len(read_targets(["198.51.100.0/24"], allowed=OURS)) == 254
    with pytest.raises(ScanError, match=r"198\.51\.101\.0 lies outside"):
        read_targets(["198.51.100.0/24", "198.51.100.0/23"], allowed=OURS)


def test_who_opted_out_is_left_out():
    found = read_targets(["198.51.100.0/28"], opted_out=[ip_network("198.51.100.4/31"), ip_network("198.51.100.9/32")])
    assert [int(one) & 15 for one in found] == [1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14]
    with pytest.raises(ScanError, match="nothing to scan"):
        read_targets(["198.51.100.5"], opted_out=OURS)


@pytest.mark.parametrize(
    "words,said",
    [
        ([], "nothing to scan"), (["0.0.0.0/0"], "at most"), (["::/0"], "at most"), (["10.0.0.0/11"], "at most"), (["224.0.0.1"], "no address of a host"),
        (["239.1.0.0/16"], "no address of a host"), (["ff02::/112"], "no address of a host"), (["0.0.0.0"], "no address of a host"), (["::"], "no address of a host"),
        (["255.255.255.255"], "no address of a host"), (["198.51.100.1/24"], "no prefix"), (["ssh://198.51.100.1"], "name the address or the host alone"), (["no.such.name.invalid"], "neither an address"), (["@/no/such/file"], "cannot read"),
        (["www.example.org", "22"], "ports go with -p"), (["192.0.2.010"], "is no address"), (["10.1"], "is no address"), (["0x7f000001"], "is no address"),
        (["0.0.0.22"], "no address of a host"), (["::ffff:192.0.2.10"], "write the IPv4 address"), (["fe80::1%eth0"], "on the link of one interface"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(words, said, monkeypatch):
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, *rest, **more: resolve("192.0.2.7" if name == "www.example.org" else name, *rest, **more))
    with pytest.raises(ScanError, match=said):
        read_targets(words)


def test_many_small_prefixes_are_counted_together():
    with pytest.raises(ScanError, match=str(MOST)):
        read_targets([f"10.{number}.0.0/16" for number in range(17)])


def test_a_name_is_looked_up_once_so_that_what_is_scanned_is_what_was_checked(monkeypatch):
    answers = iter(["198.51.100.7", "203.0.113.66"])

    def turncoat(*_, **__):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 0))]

    monkeypatch.setattr(socket, "getaddrinfo", turncoat)
    found = read_targets(["www.example.org"], allowed=OURS)
    assert tuple(found) == (ip_address("198.51.100.7"),)
    assert next(answers) == "203.0.113.66"  # nobody asked again


def test_a_name_with_one_foreign_address_is_refused(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("198.51.100.7", 0)), (2, 1, 6, "", ("203.0.113.66", 0))])
    with pytest.raises(ScanError, match=r"203\.0\.113\.66 lies outside"):
        read_targets(["www.example.org"], allowed=OURS)


def test_networks_of_a_file(tmp_path):
    (tmp_path / "nets").write_text("198.51.100.0/25 # east\n\n2001:db8::1\n")
    assert read_networks(tmp_path / "nets") == (ip_network("198.51.100.0/25"), ip_network("2001:db8::1/128"))
    (tmp_path / "bad").write_bytes(b"\xff\xfe")
    with pytest.raises(ScanError, match="UTF-8"):
        read_networks(tmp_path / "bad")


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12), st.tuples(st.integers(0, 60), st.integers(0, 60)))
def test_ranges_are_sets(pairs, asked):
    ranges, truth = Ranges(), set()
    for pair in pairs:
        first, last = sorted(pair)
        new = {number for one, other in ranges.add(4, first, last) for number in range(one, other + 1)}
        assert new == set(range(first, last + 1)) - truth
        truth |= new
    first, last = sorted(asked)
    outside = [number for one, other in ranges.outside(4, first, last) for number in range(one, other + 1)]
    assert outside == sorted(set(range(first, last + 1)) - truth)
    assert {number for number in range(70) if ip_address(number) in ranges} == truth


def test_packed_addresses_are_a_sequence_of_addresses():
    given_ = (ip_address("198.51.100.9"), ip_address("2001:db8::1"), ip_address("198.51.100.1"))
    packed = Addresses.of(given_)
    assert list(packed) == [given_[0], given_[2], given_[1]]
    assert [packed[place] for place in (0, 1, 2, -1)] == [given_[0], given_[2], given_[1], given_[1]]
    assert list(packed[1:]) == [given_[2], given_[1]]
    assert packed == Addresses.of(list(packed))
    with pytest.raises(IndexError):
        packed[3]
    assert Addresses.of_ranges([(4, 1, 3), (6, 5, 6)]) == Addresses.of(map(ip_address, ["0.0.0.1", "0.0.0.2", "0.0.0.3", "::5", "::6"]))
