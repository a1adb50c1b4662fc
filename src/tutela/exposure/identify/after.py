"""A scan followed by a look at what answers on the open ports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from tutela.exposure.identify import identify
from tutela.exposure.model import Event, Summary, Tally
from tutela.exposure.ports import FRAGILE
from tutela.language import Text


def identified(events: Iterable[Event], *, stop: Callable[[], bool] = lambda: False, permits: Callable[[str], bool] = lambda _: True) -> Iterator[Event]:
    """The events of a scan, then the services of its open TCP ports, then its summaries.

    Only what the tally of an address calls open is looked at: a port that was told early may have been something that answers in the host's place.
    """
    opened: list[tuple[str, str, int]] = []
    summaries: list[Summary] = []
    for event in events:
        if isinstance(event, Summary):
            summaries.append(event)
            continue
        if isinstance(event, Tally) and event.protocol == "tcp":
            opened += [(event.address, "tcp", port) for port in event.open]
        yield event
    if not stop():
        # Who opted out while the scan ran is not asked what it is.
        yield from identify([one for one in opened if permits(one[0])], stop=stop)
    left_alone = sorted({port for _, _, port in opened if port in FRAGILE})
    for number, summary in enumerate(summaries):
        yield _noted(summary, left_alone) if left_alone and number == 0 else summary


def _noted(summary: Summary, ports: list[int]) -> Summary:
    numbers = ", ".join(map(str, ports))
    note = Text(
        "端口 {ports} 未做识别：打印机和工控设备常用这些端口，不向其发送数据",
        "ports {ports} not asked what they are: printers and machine controllers use them",
    )
    return replace(summary, notes=(*summary.notes, note.with_values(ports=numbers)))
