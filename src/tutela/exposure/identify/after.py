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
    fit = [one for one in opened if one[2] not in FRAGILE]
    # Who opted out while the scan ran is not asked what it is.
    asked = fit if stop() else [one for one in fit if permits(one[0])]
    told = 0
    for service in identify(asked, stop=stop):
        told += 1
        yield service
    notes = []
    if len(fit) < len(opened):
        ports = ", ".join(map(str, sorted({port for _, _, port in opened if port in FRAGILE})))
        notes.append(_LEFT_ALONE.with_values(ports=ports))
    if told < len(asked):
        notes.append(_CUT.with_values(count=len(asked) - told))
    for number, summary in enumerate(summaries):
        yield summary if number else replace(summary, notes=(*summary.notes, *notes))


_LEFT_ALONE = Text(
    "端口 {ports} 未做识别：打印机和工控设备常用这些端口，不向其发送数据",
    "ports {ports} not asked what they are: printers and machine controllers use them",
)
_CUT = Text(
    "{count} 个开放端口未做识别：扫描被中断，或维护窗口已结束",
    "not asked what they are: {count} of the open ports, since the scan was stopped, or its window ended",
)
