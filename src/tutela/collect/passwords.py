"""The weak-password test (catalogue H-015): asked for, local to the host, bounded.

A small program goes to the host by standard input, as Python or as Perl, whichever the host has, and tries a few hundred
candidates an account against the host's own libcrypt. Hashes, candidates and what matched stay in its memory;
back come the account's name and the name of the rule. A clean result means "none of these", never "strong".

The result is the source `tutela weak-passwords` of the bundle:

    rules 9                      rules tried to the end on every account
    candidates 1812              guesses made in all
    cpu 41.3                     CPU seconds on the host
    account <name> <answer>      the rule that matched | none | empty | locked | incomplete | unsupported:<prefix>
    stopped <reason>             only when it ended early: budget (of CPU), time
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from importlib import resources
from itertools import islice

from tutela.collect.run import Look, Running, Talk, run_probe
from tutela.collect.ssh import ssh_argv
from tutela.collect.target import LocalTarget, SshTarget
from tutela.errors import CollectError
from tutela.evidence import Bundle, Evidence, Status
from tutela.evidence.bundle import read_frames, write_frames
from tutela.record import record
from tutela.site import Site

SOURCE = "tutela weak-passwords"
MAX_CANDIDATES = 500
"""An account; from the catalogue."""
CPU_SECONDS = 60
"""In all; from the catalogue."""
MAX_CORES = 4
BIRTH_YEARS = (1960, 2008)
"""Where the site declares no range: people who work now."""

RULES = ("user-name", "vendor-default", "common-word", "digits", "keyboard", "site-token", "host-name", "personal-name", "birthdate")
"""In the order they are tried. A name covers many candidates, so that naming it does not tell the password."""
_MOST = {"user-name": 60, "site-token": 70, "host-name": 25, "personal-name": 35}
"""Shares of the candidates; the lists of guest/words.txt are tried whole, and birthdates get what is left."""
_SUFFIXES = ("", "123", "1", "1234", "12345", "123456", "@123", "!", "@1234", "#123", "_123", "123!", "!@#", "888", "666", "01", "12", "@", "2")

_ANSWER = re.compile(
    rb"(rules [0-9]{1,3}|candidates [0-9]{1,9}|cpu [0-9]{1,6}\.[0-9]"
    rb"|account [A-Za-z0-9_.$@\\-]{1,1100} (none|empty|locked|incomplete|unsupported:(des|bsdi|other|\$[A-Za-z0-9-]{1,12}\$)|%s)"
    rb"|stopped (budget|time))\n" % "|".join(RULES).encode()
)

# Words on the command line hold lengths only: the programs and what they try come by standard input.
_LAUNCH = r"""unset PERL5OPT PERL5LIB PERL5DB; LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin; export LC_ALL PATH; ulimit -c 0; cd /
[ "$(id -u)" = 0 ] || { echo denied; exit 0; }
for p in %(pythons)s; do
if "$p" -I -S -B -c 'import ctypes, resource, select' </dev/null >/dev/null 2>&1; then
exec "$p" -I -S -B -c 'import sys; i = sys.stdin.buffer; s = i.read(%(python)d); i.read(%(perl)d); exec(compile(s, "guess", "exec"))'; fi; done
for p in %(perls)s; do
if "$p" -e 1 </dev/null >/dev/null 2>&1; then
exec "$p" -e 'binmode STDIN; read STDIN, $s, %(python)d; read STDIN, $s, %(perl)d; eval $s; exit 3'; fi; done
echo absent"""


@record
class Host:
    """What a host can run and where its accounts stand; the defaults fit every host."""

    pythons: tuple[str, ...] = ("python3", "/usr/libexec/platform-python")
    perls: tuple[str, ...] = ("perl",)
    shadow: str = "/etc/shadow"
    passwd: str = "/etc/passwd"
    seconds: float = CPU_SECONDS


def with_passwords(
    bundle: Bundle, target: LocalTarget | SshTarget, look: Look, *, options: tuple[str, ...] = (), running: Running | None = None, host: Host | None = None
) -> Bundle:
    """The bundle with one more source, the result of the test.

    Never raises: what went wrong is the source's status.
    """
    assert look.passwords is not None
    found = look_for_weak(target, look, look.passwords.for_subject(bundle.subject), bundle, options, running, host or Host())
    frame = write_frames([found])
    end = len(write_frames([]))
    frames = bundle.frames[:-end] + frame
    return replace(bundle, frames=frames, sources=read_frames(frames))


def look_for_weak(
    target: LocalTarget | SshTarget, look: Look, site: Site, bundle: Bundle, options: tuple[str, ...], running: Running | None, host: Host
) -> Evidence:
    """Run the test where the target is."""
    watch = _Watch(bundle.subject)
    sent = guests()[0] + guests()[1] + orders(site, bundle.collected_at.date(), host, progress=watch.watched)
    argv = ["sh", "-c", launcher(host)]
    if isinstance(target, SshTarget):
        argv = ssh_argv(target, look, options, argv)
    elif look.become:
        argv = ["sudo", "-n", *argv]
    try:
        # Three times the budget is where the program itself stops on a busy host.
        said, rc, _ = run_probe(argv, int(host.seconds * 3) + 60, running, Talk(sent, stay=True, hear=watch.hear))
    except CollectError:
        return Evidence(SOURCE, Status.FAILED, b"", 1)
    finally:
        watch.close()
    return _evidence(said, rc)


def _evidence(said: bytes, rc: int) -> Evidence:
    """The answer, if it is nothing but an answer: a line of any other kind could carry what must not leave the host."""
    if rc == 0 and said == b"denied\n":
        return Evidence(SOURCE, Status.DENIED)
    if rc == 0 and said == b"absent\n":
        return Evidence(SOURCE, Status.ABSENT, b"", 127)
    body = said.removesuffix(b"end\n")
    if rc != 0 or body == said or not body or any(_ANSWER.fullmatch(line + b"\n") is None for line in body[:-1].split(b"\n")):
        return Evidence(SOURCE, Status.FAILED, b"", rc or 1)
    return Evidence(SOURCE, Status.OK, body[:-1])


@cache
def guests() -> tuple[bytes, bytes]:
    """The program in Python and in Perl."""
    folder = resources.files("tutela.collect") / "guest"
    return (folder / "guess.py").read_bytes(), (folder / "guess.pl").read_bytes()


def launcher(host: Host) -> str:
    """The shell words that choose the program; nothing secret, nothing from a site."""
    python, perl = (len(text) for text in guests())
    return _LAUNCH % {"pythons": " ".join(host.pythons), "perls": " ".join(host.perls), "python": python, "perl": perl}


def orders(site: Site, today: date, host: Host, *, progress: bool) -> bytes:
    """What the program is to try, in its own format (guest/guess.py)."""
    lines = [
        f"seconds {host.seconds:g}",
        f"limit {MAX_CANDIDATES}",
        f"cores {MAX_CORES}",
        f"progress {int(progress)}",
        f"shadow {host.shadow}",
        f"passwd {host.passwd}",
    ]
    for rule in RULES:
        lines.append(f"rule {rule} {_MOST.get(rule, MAX_CANDIDATES)}")
        lines += _items(rule, site, today)
    lines.append("end")
    # A newline in a site's word would be an order of its own.
    return "".join(line.replace("\n", " ") + "\n" for line in lines).encode("utf-8", "surrogateescape")


def _items(rule: str, site: Site, today: date) -> Iterable[str]:
    years = [str(today.year - back) for back in range(3)]
    if rule == "user-name":
        yield "vary user same {}"
        yield "vary user same {}{}"
        yield from _varied("user", years)
    elif rule == "host-name":
        yield from _varied("host", years)
    elif rule == "personal-name":
        yield from _varied("name", years)
    elif rule == "site-token":
        yield from (f"try {word}" for word in _token_words(site.weak_tokens, years))
    elif rule == "birthdate":
        yield from (f"try {word}" for word in islice(_birthdates(site.birth_years or BIRTH_YEARS), MAX_CANDIDATES))
    else:
        yield from (f"try {word}" for word in _common_words()[rule])


def _varied(source: str, years: list[str]) -> Iterator[str]:
    yield from (f"vary {source} {form} {{}}{suffix}" for suffix, form in _endings(years))


def _endings(years: list[str]) -> Iterator[tuple[str, str]]:
    """Suffix and form, likeliest first: bare, with figures, with the years, then written otherwise."""
    for suffix in _SUFFIXES:
        yield suffix, "same"
        if suffix in ("", "123", "@123", "1234", "123456", "!", "1"):
            yield suffix, "title"
    for year in years:
        yield from ((year, "same"), (f"@{year}", "same"), (year, "title"), (f"@{year}", "title"), (f"#{year}", "title"), (f"{year}!", "title"))
    yield from ((suffix, form) for form in ("upper", "leet", "reversed") for suffix in ("", "123", "@123", "1"))


def _token_words(tokens: tuple[str, ...], years: list[str]) -> Iterator[str]:
    """The site's words, each ending with every word before the next one, so that a long list loses only the rare endings."""
    forms: dict[str, Callable[[str], str]] = {
        "same": str.lower,
        "title": str.capitalize,
        "upper": str.upper,
        "reversed": lambda word: word[::-1],
        "leet": lambda word: word.lower().translate(str.maketrans("aeios", "@310$")),
    }
    for suffix, form in _endings(years):
        for token in tokens:
            yield forms[form](token) + suffix


def _birthdates(years: tuple[int, int]) -> Iterator[str]:
    """A sample of the range: 500 candidates cannot hold every day of fifty years.

    Each year whole and as its first day, then one day of each year after the other until the room is full.
    """
    span = range(years[0], years[1] + 1)
    yield from (str(year) for year in span)
    yield from (f"{year}0101" for year in span)
    days = [
        f"{month:02}{day:02}" for day in (8, 1, 10, 6, 18, 20, 15, 12, 28, 25, 5, 3, 2, 9, 11, 16, 22, 26) for month in (10, 8, 12, 6, 5, 1, 2, 3, 4, 7, 9, 11)
    ]
    for step, day in enumerate(days):
        for year in span:
            yield f"{year}{day}" if step % 3 < 2 else f"{year % 100:02}{day}"


@cache
def _common_words() -> dict[str, tuple[str, ...]]:
    """The lists of guest/words.txt by rule."""
    made: dict[str, list[str]] = {}
    rule = ""
    text = (resources.files("tutela.collect") / "guest" / "words.txt").read_text("utf-8")
    for line in text.split("\n"):
        if line.startswith("[") and line.endswith("]"):
            rule = line[1:-1]
        elif line and not line.startswith("# "):
            made.setdefault(rule, []).append(line)
    return {rule: tuple(words) for rule, words in made.items()}


class _Watch:
    """How far the test is, on standard error, and only when that is a terminal."""

    def __init__(self, subject: str) -> None:
        self.subject = "".join(char if char.isprintable() else "?" for char in subject)
        self.watched = sys.stderr.isatty()

    def hear(self, said: bytes) -> None:
        """Show the newest count; whatever else a host writes there is dropped."""
        counts = re.findall(rb"progress ([0-9]{1,9})/([0-9]{1,9})\n", said)
        if self.watched and counts:
            done, total = (int(word) for word in counts[-1])
            sys.stderr.write(f"\r\x1b[K{self.subject}: {SOURCE} {done}/{total}")
            sys.stderr.flush()

    def close(self) -> None:
        """Take the line away."""
        if self.watched:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
