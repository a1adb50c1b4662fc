"""Whether the log outlives a reboot, and what bounds the journal.

Source: journald.conf(5): drop-ins of all directories are sorted by name, one of the same name in /etc hides those in /run and /usr/lib, the last setting wins.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import listing, log_files, mounts
from tutela.facts.log_files import LogFile, LogFiles
from tutela.facts.look import Look
from tutela.facts.units import duration
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

CONF = "/etc/systemd/journald.conf"
VENDOR = "/usr/lib/systemd/journald.conf"
DROPINS = ("/usr/lib/systemd/journald.conf.d", "/usr/local/lib/systemd/journald.conf.d", "/run/systemd/journald.conf.d", "/etc/systemd/journald.conf.d")
"""From the weakest to the strongest."""
SPACE = "stat -f -c %S %b %f %a /var/log"
CONFIGURATION = (CONF, VENDOR, *(f"{one}/" for one in DROPINS))
NEEDS = (*log_files.NEEDS, *CONFIGURATION, SPACE, *mounts.NEEDS)

TEXT_LOGS = ("/var/log/syslog", "/var/log/messages")
RECENT = timedelta(days=7)
GIB = 1 << 30


@record
class Journal:
    """Journal(storage='auto', persistent=True, text_logs=False, survives=True, oldest=datetime(…), usage_bytes=…, max_use_bytes=…, max_retention_s=0, max_file_s=2629800, max_files=100)"""

    storage: str | Unobserved
    """persistent | auto | volatile | none"""
    persistent: bool | Unobserved
    """The journal is written under /var/log/journal."""
    text_logs: bool | Unobserved
    """syslog or messages was written in the last seven days."""
    survives: bool | Unobserved
    """Either of the two."""
    oldest: datetime | Unobserved | None
    """When the oldest journal file that is kept begins; None: no journal on disk."""
    usage_bytes: int | Unobserved
    max_use_bytes: int | Unobserved
    """What the journal may take up, by its own settings and by the space there is."""
    max_retention_s: int | Unobserved
    """0: no limit by age."""
    max_file_s: int | Unobserved
    max_files: int | Unobserved


def parse(look: Look) -> Journal | Unobserved:
    """The fact, from configuration and the files that are really there."""
    files = look.fact(log_files.parse)
    settings = look.fact(configured)
    if isinstance(files, Unobserved) and isinstance(settings, Unobserved):
        return files
    text_logs: bool | Unobserved = files if isinstance(files, Unobserved) else _text_logs(look, files)
    storage: str | Unobserved = settings if isinstance(settings, Unobserved) else settings.get("Storage", "auto").lower()
    persistent = _persistent(storage, files)
    persistent = _unless(look.fact(_InMemory("/var/log/journal")), persistent)
    text_logs = _unless(look.fact(_InMemory("/var/log")), text_logs)
    journals = _journals(files)
    usage: int | Unobserved = journals if isinstance(journals, Unobserved) else sum(one.size for one in journals)
    return Journal(
        storage=storage,
        persistent=persistent,
        text_logs=text_logs,
        survives=_either(persistent, text_logs),
        oldest=journals if isinstance(journals, Unobserved) else min((_begins(one) for one in journals), default=None),
        usage_bytes=usage,
        max_use_bytes=_max_use(look, settings, usage),
        max_retention_s=_seconds(settings, "MaxRetentionSec", 0),
        max_file_s=_seconds(settings, "MaxFileSec", 30 * 86400),
        max_files=_number(settings, "SystemMaxFiles", 100),
    )


@record
class _InMemory:
    """Whether a directory lies on a file system in memory (log2ram and the like)."""

    path: str

    def __call__(self, look: Look) -> bool | Unobserved:
        doubt = unseen(look, mounts.SOURCE)
        if doubt is not None:
            return doubt
        seen = look.fact(mounts.parse)
        mount = None if isinstance(seen, Unobserved) else seen.of(self.path)
        return mount is not None and mount.type in ("tmpfs", "ramfs")


def _unless(hindered: bool | Unobserved, kept: bool | Unobserved) -> bool | Unobserved:
    if hindered is False or kept is False:
        return kept
    return False if hindered is True else hindered


def _either(a: bool | Unobserved, b: bool | Unobserved) -> bool | Unobserved:
    if a is True or b is True:
        return True
    return a if isinstance(a, Unobserved) else b


def configured(look: Look) -> dict[str, str] | Unobserved:
    """Settings of journald.conf and its drop-ins that say something."""
    names: dict[str, str] = {}
    for directory in DROPINS:
        found = listing.matching(look, f"{directory}/*.conf")
        if isinstance(found, Unobserved):
            return found
        names |= {one.rpartition("/")[2]: one for one in found}
    main = CONF if look.source(CONF).status is not Status.ABSENT else VENDOR
    values: dict[str, str] = {}
    for name in (main, *(names[key] for key in sorted(names))):
        text = look.text_or_none(name)
        if isinstance(text, Unobserved):
            return text
        section = ""
        for line in (text or "").split("\n"):
            line = line.strip()
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1]
            elif section == "Journal" and "=" in line and not line.startswith(("#", ";")):
                key, _, value = line.partition("=")
                values[key.strip()] = value.strip()
    return {key: value for key, value in values.items() if value}


def forwards_to_syslog(look: Look) -> bool | Unobserved:
    """Whether journald hands on what it gets. Unset, it is as systemd was built, which the commented line of the shipped file tells: yes up to Debian 12."""
    settings = look.fact(configured)
    if isinstance(settings, Unobserved):
        return settings
    if "ForwardToSyslog" in settings:
        return settings["ForwardToSyslog"].lower() not in ("no", "n", "false", "f", "off", "0")
    for name in (CONF, VENDOR):
        text = look.text_or_none(name)
        if isinstance(text, Unobserved):
            return text
        shipped = re.search(r"^#ForwardToSyslog=(yes|no)$", text or "", re.MULTILINE)
        if shipped is not None:
            return shipped[1] == "yes"
    why = Text("ForwardToSyslog 没有设置，各发行版默认值不同", "ForwardToSyslog is not set, and what that means differs between distributions")
    return Unobserved(Reason.NO_DATA, CONF, why)


def _persistent(storage: str | Unobserved, files: LogFiles | Unobserved) -> bool | Unobserved:
    if isinstance(storage, Unobserved):
        return storage
    if storage in ("volatile", "none"):
        return False
    if isinstance(files, Unobserved):
        return files
    on_disk, in_memory = (
        max((one.modified for one in files.files if one.path.startswith(place) and _CURRENT.fullmatch(one.path)), default=None)
        for place in ("/var/log/journal/", "/run/log/journal/")
    )
    if on_disk is None:
        return next((one for one in files.loose if isinstance(one, Unobserved)), False)
    # One that was written in memory before journald was restarted stays there until the next boot.
    return in_memory is None or in_memory <= on_disk


def _text_logs(look: Look, files: LogFiles) -> bool:
    written = [files.named(path) for path in TEXT_LOGS] + [files.named(path + ".1") for path in TEXT_LOGS]
    return any(one is not None and one.size > 0 and look.now - one.modified < RECENT for one in written)


def _journals(files: LogFiles | Unobserved) -> list[LogFile] | Unobserved:
    if isinstance(files, Unobserved):
        return files
    return [one for one in files.files if one.path.startswith("/var/log/journal/") and _OF_JOURNAL.fullmatch(one.path)]


_CURRENT = re.compile(r"/(?:var|run)/log/journal/[^/]+/system\.journal")
_OF_JOURNAL = re.compile(r"/var/log/journal/[^/]+/(?:system|user-\d+)(?:@[^/]*)?\.journal~?")
_ARCHIVED = re.compile(r"@(?:[0-9a-f]{32}-[0-9a-f]{16}-)?([0-9a-f]{16})(?:-[0-9a-f]{16})?\.journal~?$")


def _begins(journal: LogFile) -> datetime:
    """The name of an archived journal holds the time of its first entry, in microseconds."""
    found = _ARCHIVED.search(journal.path)
    if found is not None:
        try:
            return min(datetime.fromtimestamp(int(found[1], 16) / 1e6, UTC), journal.modified)
        except (ValueError, OverflowError, OSError):
            return journal.modified
    return min(journal.born, journal.modified) if journal.born is not None else journal.modified


_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": GIB, "T": 1 << 40, "P": 1 << 50}


def _size(settings: dict[str, str], key: str) -> int | Unobserved | None:
    if key not in settings:
        return None
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([BKMGTP]?)B?", settings[key])
    if found is None:
        return _strange(key, settings[key])
    return int(float(found[1]) * _UNITS[found[2]])


def _max_use(look: Look, settings: dict[str, str] | Unobserved, usage: int | Unobserved) -> int | Unobserved:
    """SystemMaxUse= (10 % of the file system, 4 GiB at most), SystemKeepFree= (15 %, 4 GiB at most), and what so many files hold, whichever is narrowest."""
    if isinstance(settings, Unobserved):
        return settings
    wanted, keep, files = _size(settings, "SystemMaxUse"), _size(settings, "SystemKeepFree"), _number(settings, "SystemMaxFiles", 100)
    one_file = _size(settings, "SystemMaxFileSize")
    if isinstance(wanted, Unobserved):
        return wanted
    if isinstance(keep, Unobserved):
        return keep
    if isinstance(one_file, Unobserved):
        return one_file
    if isinstance(files, Unobserved):
        return files

    def in_files(most: int) -> int:
        # Where no size is set, a file gets an eighth of all, and 128 MiB at most; no number of files means no limit.
        return min(most, files * (min(most // 8, 128 << 20) if one_file is None else one_file)) if files else most

    space = look.text(SPACE)
    if isinstance(space, Unobserved) or isinstance(usage, Unobserved):
        if wanted is not None:
            return in_files(wanted)
        return space if isinstance(space, Unobserved) else usage if isinstance(usage, Unobserved) else 0
    numbers = space.split()
    if len(numbers) != 4 or not all(one.isascii() and one.isdecimal() and len(one) <= 18 for one in numbers):
        return Unobserved(Reason.FORMAT, SPACE, Text("格式不明", "of unknown form"))
    block, blocks, _, available = map(int, numbers)
    total = block * blocks
    most = wanted if wanted is not None else min(total // 10, 4 * GIB)
    least_free = keep if keep is not None else min(total * 15 // 100, 4 * GIB)
    return min(in_files(most), max(usage + block * available - least_free, 0))


def _seconds(settings: dict[str, str] | Unobserved, key: str, default: int) -> int | Unobserved:
    if isinstance(settings, Unobserved):
        return settings
    value = settings.get(key)
    if value is None:
        return default
    if re.fullmatch(r"\d{1,12}", value):
        return int(value)
    long = re.sub(r"([a-z])(?=\d)", r"\1 ", re.sub(r"(\d)\s+([a-z])", r"\1\2", value.strip()))
    for word, short in (
        *(("years", "y"), ("year", "y"), ("months", "month"), ("M", "month"), ("weeks", "w"), ("week", "w"), ("days", "d"), ("day", "d")),
        *(("hours", "h"), ("hour", "h"), ("hr", "h"), ("minutes", "min"), ("minute", "min"), ("m", "min"), ("seconds", "s"), ("second", "s"), ("sec", "s")),
    ):
        long = re.sub(rf"(?<=\d){word}(?= |$)", short, long)
    span = duration(long)
    return _strange(key, value) if span is None else int(span.total_seconds())


def _number(settings: dict[str, str] | Unobserved, key: str, default: int) -> int | Unobserved:
    if isinstance(settings, Unobserved):
        return settings
    value = settings.get(key, str(default))
    return int(value) if re.fullmatch(r"\d{1,9}", value) else _strange(key, value)


def _strange(key: str, value: str) -> Unobserved:
    return Unobserved(Reason.FORMAT, CONF, Text(f"{key}={value[:40]} 的写法不明", f"{key}={value[:40]} is of unknown form"))
