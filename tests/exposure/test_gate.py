"""The last question before a packet leaves."""

from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import numpy as np
import pytest

from tutela.errors import ScanError
from tutela.exposure.gate import Gate
from tutela.exposure.window import Windows


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def asked(gate, *addresses):
    one_by_one = [gate.permits_one(ip_address(address)) for address in addresses]
    width = len(ip_address(addresses[0]).packed)
    together = gate.permits(np.frombuffer(b"".join(ip_address(one).packed for one in addresses), np.uint8).reshape(-1, width))
    assert one_by_one == together.tolist()
    return one_by_one


def test_only_allowed_addresses_that_did_not_opt_out_pass(tmp_path):
    (tmp_path / "out").write_text("198.51.100.8/30\n2001:db8::7\n")
    gate = Gate([ip_network("198.51.100.0/24"), ip_network("2001:db8::/64")], [tmp_path / "out"])
    assert asked(gate, "198.51.100.7", "198.51.100.8", "198.51.100.11", "198.51.100.12", "198.51.99.255", "198.51.101.0") == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    assert asked(gate, "2001:db8::6", "2001:db8::7", "2001:db8:0:1::") == [True, False, False]
    assert asked(Gate(), "203.0.113.1") == [True]
    assert asked(Gate([]), "203.0.113.1") == [False]


def test_who_opts_out_in_the_middle_is_asked_no_more_and_stays_out(tmp_path):
    path, clock = tmp_path / "out", Clock()
    path.write_text("")
    gate = Gate(None, [path], clock=clock)
    assert asked(gate, "198.51.100.7") == [True]
    path.write_text("198.51.100.7\n")
    clock.now += 1.1
    asked(gate, "198.51.100.7")  # seen for the first time: it may be half written
    clock.now += 1.1
    assert asked(gate, "198.51.100.7") == [False]
    path.write_text("")
    for _ in range(3):
        clock.now += 1.1
        assert asked(gate, "198.51.100.7", "198.51.100.8") == [False, True]


@pytest.mark.parametrize("harm", ["broken", "gone"])
def test_a_list_that_stays_unreadable_ends_the_scan(tmp_path, harm):
    path, clock = tmp_path / "out", Clock()
    path.write_text("198.51.100.7\n")
    gate = Gate(None, [path], clock=clock)
    if harm == "broken":
        path.write_text("198.51.100.0/2\n")
    else:
        path.unlink()
    for _ in range(9):
        clock.now += 1.1
        assert asked(gate, "198.51.100.7") == [False]
    with pytest.raises(ScanError):
        for _ in range(3):
            clock.now += 1.1
            gate.refresh()


def test_nothing_passes_after_the_window():
    now = [datetime(2026, 11, 23, 8, 59, 59, 700_000)]
    gate = Gate(windows=Windows(["mon 07:00-09:00"], lambda: now[0]))
    assert asked(gate, "198.51.100.7") == [True]
    assert not gate.closes()
    now[0] += timedelta(milliseconds=150)
    assert gate.closes()
    now[0] += timedelta(milliseconds=101)
    assert asked(gate, "198.51.100.7") == [False]
    now[0] += timedelta(hours=7 * 24 - 1)
    assert asked(gate, "198.51.100.7") == [True]
