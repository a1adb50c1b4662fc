"""What answers on the ports that are open: probes of our own, many ports at once, two seconds at most for each.

No login is attempted and no password guessed; whether a service answers strangers is seen from what it tells them.
Ports of printers and machine controllers are left alone (tutela.exposure.fragile).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from tutela.exposure.connect import sockets_allowed
from tutela.exposure.identify.door import MOST_CONNECTIONS, Way
from tutela.exposure.identify.patience import LONGEST_S, PatientLoop
from tutela.exposure.identify.port import look
from tutela.exposure.model import Service
from tutela.exposure.ports import FRAGILE

AT_ONCE = 100
"""Ports that are looked at side by side, over all addresses."""
_TURN_S = LONGEST_S / 2


def identify(opened: Iterable[tuple[str, str, int]], *, stop: Callable[[], bool] = lambda: False, way: Way | None = None) -> Iterator[Service]:
    """Address, protocol and port of what is open; its services as they are recognised, in no order.

    Fragile ports and UDP are passed over in silence. With `way` the connections are made from somewhere else.
    """
    # Each connection of a way from elsewhere takes two descriptors.
    at_once = min(AT_ONCE, max(1, sockets_allowed() // (2 * MOST_CONNECTIONS)))
    waiting = iter([(address, port) for address, protocol, port in opened if protocol == "tcp" and port not in FRAGILE])
    running: set[asyncio.Task[Service]] = set()
    loop = PatientLoop()
    # What hostile servers do to connections that were given up already is of no interest.
    loop.set_exception_handler(lambda _loop, _what: None)
    try:
        while not stop():
            for address, port in waiting:
                running.add(loop.create_task(look(address, port, way)))
                if len(running) >= at_once:
                    break
            if not running:
                return
            done, running = loop.run_until_complete(asyncio.wait(running, timeout=_TURN_S, return_when=asyncio.FIRST_COMPLETED))
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        if running:
            loop.run_until_complete(asyncio.gather(*running, return_exceptions=True))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
