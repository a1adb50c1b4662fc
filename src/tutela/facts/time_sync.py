"""Whether the clock is kept right, by what, and how far off it is.

Sources: `chronyc -c tracking` (chronyc(1): 14 fields, the fifth is the offset of the system clock in seconds), `ntpq -c rv` (offset in ms),
`ntpctl -s status`, timesyncd's mark /run/systemd/timesync/synchronized and `timedatectl show-timesync`.
timedatectl itself is not asked: it would start a service on the host.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import machine, units
from tutela.facts.look import Look
from tutela.facts.units import Units
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

CHRONY = "chronyc -n -h 127.0.0.1 -c tracking"
NTPQ = "ntpq -n -c rv 0 leap,stratum,offset,sys_jitter,stime"
OPENNTPD = "ntpctl -s status"
SYNCHRONIZED = "stat -c '%Y' /run/systemd/timesync/synchronized"
MINUTE = 60
DAY = 24 * 3600
"""A daemon asks its servers several times an hour. One that has heard nothing for a day lets the clock run by itself, though it still calls it in step."""
TIMESYNC = "timedatectl show-timesync"
FINISHED = "finished"
CHRONY_FILES = ("/etc/chrony/chrony.conf", "/etc/chrony.conf")
"""Where they are, somebody set up a daemon of the host's own, in a container too; timesyncd comes with the system and keeps out of containers."""
NEEDS = (CHRONY, NTPQ, OPENNTPD, SYNCHRONIZED, TIMESYNC, FINISHED, "meta", *CHRONY_FILES, *machine.NEEDS, *units.NEEDS)

DAEMONS = {
    "chrony": ("chrony", "chronyd"),
    "ntpd": ("ntp", "ntpd", "ntpsec"),
    "openntpd": ("openntpd",),
    "systemd-timesyncd": ("systemd-timesyncd",),
}
OTHER_DAEMONS = ("ptp4l", "phc2sys", "timemaster", "ntpd-rs")


@record
class TimeSync:
    """TimeSync(daemon='chrony', synchronized=True, offset_s=0.000013, centre_offset_s=2.0)"""

    daemon: str | None
    """chrony | ntpd | openntpd | systemd-timesyncd; None: nothing keeps the clock."""
    synchronized: bool | Unobserved
    offset_s: float | Unobserved
    """How far off the system clock is by the daemon's own reckoning, without sign."""
    centre_offset_s: float | Unobserved
    """How far off it is from the clock of the collecting side; the way there is in it, so only more than a minute means something."""


def parse(look: Look) -> TimeSync | Unobserved:
    """The fact, from whichever daemon answers."""
    running = look.fact(units.up)
    names = _running(running)
    for daemon, source, read in (("chrony", CHRONY, _chrony), ("ntpd", NTPQ, _ntpq), ("openntpd", OPENNTPD, _openntpd)):
        text = look.text(source)
        if isinstance(text, str) and (daemon in names or isinstance(running, Unobserved) or not running.systemd):
            found = read(text, look.now)
            if found is not None:
                return TimeSync(daemon, *found, _from_centre(look))
    if look.source(SYNCHRONIZED).status is Status.OK and ("systemd-timesyncd" in names or isinstance(running, Unobserved)):
        return TimeSync("systemd-timesyncd", *_timesyncd(look), _from_centre(look))
    if isinstance(running, Unobserved):
        return running
    others = running.running(*OTHER_DAEMONS)
    if names or others or not running.systemd:
        what = ", ".join((*names, *others)) or "init"
        why = Unobserved(Reason.NO_ANSWER, what, Text("对时服务没有给出状态", "no state from what may keep the clock"))
        return TimeSync(names[0] if names else "-", why, why, _from_centre(look))
    kind = look.part(machine.parse, "kind")
    if isinstance(kind, Unobserved):
        return TimeSync(None, kind, kind, _from_centre(look))
    stopped = any(look.source(one).status is Status.OK for one in CHRONY_FILES)
    if kind == "container" and not stopped:
        why = Unobserved(Reason.NO_VANTAGE, "units", Text("容器的时钟就是宿主机的，由宿主机对时", "a container's clock is that of its host, which keeps it"))
        return TimeSync(None, why, why, _from_centre(look))
    off = Unobserved(Reason.NO_DATA, "units", Text("没有对时服务，偏差未知", "nothing keeps the clock, so nobody knows how far off it is"))
    return TimeSync(None, False, off, _from_centre(look))


def _running(running: Units | Unobserved) -> list[str]:
    if isinstance(running, Unobserved):
        return []
    return [daemon for daemon, names in DAEMONS.items() if running.running(*names)]


def _number(words: str) -> float | None:
    return float(words) if re.fullmatch(r"[+-]?\d{1,12}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,2})?", words) else None


def _lately(seconds: float, now: datetime) -> bool:
    return now.timestamp() - seconds < DAY


def _chrony(text: str, now: datetime) -> tuple[bool, float] | None:
    fields = text.partition("\n")[0].split(",")
    if len(fields) < 14:
        return None
    told, offset = _number(fields[3]), _number(fields[4])
    if told is None or offset is None:
        return None
    # 127.127.1.1 is the host's own clock (`local` in chrony.conf): in step with itself, whatever the time is.
    own_clock = fields[0].upper() == "7F7F0101"
    return fields[-1].strip() != "Not synchronised" and fields[2] not in ("0", "16") and not own_clock and _lately(told, now), abs(offset)


def _ntpq(text: str, _now: datetime) -> tuple[bool, float] | None:
    values = dict(re.findall(r"([a-z_]{1,20})=([^,\s]{1,40})", text))
    offset = _number(values.get("offset", ""))
    if offset is None or "leap" not in values:
        return None
    return values["leap"] not in ("11", "3") and values.get("stratum", "16") != "16", abs(offset) / 1000


def _openntpd(text: str, _now: datetime) -> tuple[bool, float | Unobserved] | None:
    if "clock synced" in text:
        return True, 0.0
    if "clock unsynced" in text or "clock not synced" in text:
        found = re.search(r"clock offset is ([+-]?\d{1,9}\.\d{1,9})ms", text)
        unknown = Unobserved(Reason.NO_DATA, OPENNTPD, Text("没有给出偏差", "it gives no offset"))
        return False, abs(float(found[1])) / 1000 if found else unknown
    return None


_STAMPS = re.compile(r"(Originate|Receive|Transmit|Destination)Timestamp=[A-Z][a-z]{2} (\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) UTC")


def _timesyncd(look: Look) -> tuple[bool | Unobserved, float | Unobserved]:
    text, touched = look.text(TIMESYNC), look.source(SYNCHRONIZED).content.strip()
    # It touches its mark with every answer.
    synchronized = re.fullmatch(rb"[0-9]{1,12}", touched) is not None and _lately(int(touched), look.now)
    if isinstance(text, Unobserved):
        return synchronized, text
    if not synchronized:
        return False, Unobserved(Reason.NO_DATA, TIMESYNC, Text("尚未与服务器对时，或一天多没有对上", "it has not reached a server yet, or not for a day"))
    if "Ignored=yes" in text or "Spike=yes" in text:
        return False, Unobserved(Reason.NO_DATA, TIMESYNC, Text("最近一次应答被忽略", "the last answer was ignored"))
    stamps = {}
    for name, words in _STAMPS.findall(text):
        try:
            stamps[name] = datetime.strptime(words, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    if len(stamps) != 4:
        return synchronized, Unobserved(Reason.FORMAT, TIMESYNC, Text("没有完整的应答时间", "the times of the answer are not complete"))
    # RFC 5905: half the sum of the differences on the way there and back; the stamps are whole seconds here.
    return synchronized, abs((stamps["Receive"] - stamps["Originate"]) + (stamps["Transmit"] - stamps["Destination"])) / 2


def _from_centre(look: Look) -> float | Unobserved:
    """The probe notes the host's time when it starts and when it ends, the collecting side its own: whichever is nearer."""
    meta = look.text("meta")
    if isinstance(meta, Unobserved):
        return meta
    found = re.search(r"(?m)^started=(\d{1,12})$", meta)
    if found is None:
        return Unobserved(Reason.FORMAT, "meta", Text("没有开始时间", "no time of start"))
    since = abs(int(found[1]) - look.collected_at.timestamp())
    finished = look.text(FINISHED)
    if isinstance(finished, str) and re.fullmatch(r"\d{1,12}", finished):
        return min(since, abs(int(finished) - look.collected_at.timestamp()))
    # The look itself may take more than a minute, so without its end a large difference says nothing.
    return unseen(look, FINISHED) or since if since > MINUTE else since
