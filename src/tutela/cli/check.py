"""`tutela check`: look, judge, report."""

from __future__ import annotations

import argparse
import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tutela.cli import EXIT_BROKEN, EXIT_INTERRUPTED, EXIT_KEPT, EXIT_UNPROVEN, said
from tutela.cli.clock import now
from tutela.cli.options import (
    STANDARD,
    add_judging,
    add_looking,
    add_scanning,
    declared,
    look_of,
    make_folder,
    place_of,
    read_rulebook,
    read_site_file,
    read_targets,
    refuse_bundles,
    refuse_output,
    ssh_options,
)
from tutela.cli.terminal import colourful, columns
from tutela.collect.target import BundleTarget, LocalTarget
from tutela.errors import BundleError, CollectError, TutelaError, UsageError
from tutela.language import Lang, Text

if TYPE_CHECKING:
    from tutela.agreement.rulebook import Content, Rulebook
    from tutela.assess import Assessment
    from tutela.cli.anchor import Anchor
    from tutela.cli.elsewhere import Elsewhere
    from tutela.collect.run import Look, Running
    from tutela.collect.target import Target
    from tutela.evidence import Bundle
    from tutela.report import Format, Options
    from tutela.site import Site

MANY = 64
"""From so many recorded bundles on, starting workers is worth it."""
SILENT_S = 0.05
"""When a host has said nothing for so long, what it said so far is judged."""
COLLECT = 256
"""Hosts after which garbage is looked for: some ten megabytes of it."""
FOR_PEOPLE = ("text", "nagios", "checklist.txt")
"""Formats that are read as they are, in whatever encoding the reader's locale has."""
FAIL_ON = ("critical", "high", "medium", "low", "info", "never")


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the command."""
    from tutela.report import FORMATS

    parser.add_argument(
        "targets",
        nargs="*",
        metavar=Text("目标", "TARGET").in_(lang),
        help=Text(
            "不写即本机；ssh://[用户@]主机[:端口]；证据包或其文件夹；@主机清单（Ansible INI/YAML、CSV）",
            "this host when left out; ssh://[user@]host[:port]; a bundle or a folder of them; @inventory (Ansible INI/YAML, CSV)",
        ).in_(lang),
    )
    add_judging(parser, lang)
    add_looking(parser, lang)
    add_scanning(parser, lang)
    group = parser.add_argument_group(Text("报告", "reporting").in_(lang))
    group.add_argument("--format", "-f", choices=tuple(FORMATS), default="text", metavar=Text("格式", "FORMAT").in_(lang), help=", ".join(FORMATS))
    group.add_argument(
        "--output",
        "-o",
        type=Path,
        metavar=Text("文件", "FILE").in_(lang),
        help=Text("写入文件而不是标准输出", "write to a file instead of standard output").in_(lang),
    )
    group.add_argument(
        "--ledger",
        type=Path,
        metavar=Text("文件夹", "DIR").in_(lang),
        help=Text("把证据、评定和协议的摘要记入这本账", "log the digests of evidence, assessment and agreements in this ledger").in_(lang),
    )
    group.add_argument("--keep", type=Path, metavar=Text("文件夹", "DIR").in_(lang), help=Text("同时保存证据包", "keep the bundles too").in_(lang))
    group.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default="low",
        metavar=Text("级别", "SEVERITY").in_(lang),
        help=Text("达到此级别的违约使退出状态为 2（默认 low）", "a failure from this severity on exits with 2 (default low)").in_(lang),
    )
    group.add_argument(
        "--all",
        action="store_true",
        help=Text("不折叠：每一项结果都附细节（机群则附每台主机的报告）", "fold nothing: details of every result, and of every host of a fleet").in_(lang),
    )
    group.add_argument("--color", choices=("auto", "always", "never"), default="auto", help=Text("颜色（默认 auto）", "colour (default auto)").in_(lang))


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Check the targets; see `tutela.cli.main` for the exit status."""
    if arguments.format != "nagios":
        return _checked(arguments, lang)
    try:
        return _checked(arguments, lang)
    except (TutelaError, OSError) as problem:
        # Status 1 is a WARNING there, and what stands on standard error is read by nobody.
        from tutela.report import nagios

        put(nagios.failed(said(problem, lang)))
        return nagios.UNKNOWN


def _checked(arguments: argparse.Namespace, lang: Lang) -> int:
    from tutela.cli.interrupt import stop_on_interrupt
    from tutela.report import FORMATS

    form = FORMATS[arguments.format]
    if arguments.output == STANDARD:
        arguments.output = None
    if form.binary and arguments.output is None and sys.stdout.isatty():
        raise UsageError(Text(f"{form.name} 不是文本，请用 --output 指定文件", f"{form.name} is no text: name a file with --output"))
    anchor = anchor_of(arguments.ledger)
    site_file = read_site_file(arguments.site)
    targets = read_targets(arguments.targets, lang)
    refuse_bundles(arguments, targets)
    if arguments.output is not None:
        refuse_output(arguments.output)
    if arguments.keep is not None:
        make_folder(arguments.keep)
    with stop_on_interrupt() as running, without_delay(targets):
        looking = Looking(
            targets, look_of(arguments, site_file), ssh_options(arguments), arguments.jobs, running, elsewhere_of(arguments, targets, site_file, running)
        )
        # Else the numbers of the last look would stay in the file that Prometheus reads.
        looking.tells_unreachable = form.name == "prometheus"
        try:
            from tutela.library import load_content

            content = load_content(tuple(arguments.content))
            site = declared(site_file)
            rulebook = read_rulebook(arguments.profile, site, content)
            import_rest(rulebook, form)
            return _Run(arguments, lang, form, site, content, rulebook, anchor).over(looking)
        finally:
            looking.end()


@contextmanager
def without_delay(targets: list[Target]) -> Iterator[None]:
    """Most runs are done in a fraction of a second, and then the program ends."""
    turn = sys.getswitchinterval()
    # Collecting garbage takes a tenth of the time and finds next to nothing.
    gc.disable()
    if len(targets) == 1:
        # The thread that talks to the probe works for moments only, and the probe waits for it.
        sys.setswitchinterval(turn / 10)
    try:
        yield
    finally:
        # As if it had been looked at already: else the next step would be to look for garbage among all that was made meanwhile.
        gc.freeze()
        gc.unfreeze()
        gc.enable()
        sys.setswitchinterval(turn)


def anchor_of(folder: Path | None) -> Anchor | None:
    """Who logs what is found; None when nobody was asked to."""
    if folder is None:
        return None
    from tutela.cli.anchor import Anchor

    return Anchor(folder)


def elsewhere_of(arguments: argparse.Namespace, targets: list[Target], site: Site | None, running: Running) -> Elsewhere | None:
    """Who looks from elsewhere; None when nobody was asked to."""
    if not arguments.scan and not arguments.scan_from:
        if arguments.udp or arguments.scanner:
            raise UsageError(Text("--udp 和 --scanner 需要 --scan", "--udp and --scanner need --scan"))
        return None
    from tutela.cli.elsewhere import Elsewhere, read_places, refuse_bundles
    from tutela.exposure.client import resident_of

    refuse_bundles(targets)
    places, resident = read_places(arguments.scan_from), resident_of(arguments.scanner)
    return Elsewhere(places, look_of(arguments, site), declared(site), ssh_options(arguments), now, running, resident=resident, udp=arguments.udp)


def import_rest(rulebook: Rulebook, form: Format) -> None:
    """Import what judging and reporting need, while the first host is still being looked at."""
    import tutela.assess
    import tutela.cli.last
    import tutela.collect.archive  # noqa: F401
    from tutela.facts.registry import parser

    for check in rulebook.checks.values():
        for fact in check.facts:
            parser(fact)
    if form.needs is None:
        form.load()


class Looking:
    """Bundles of the targets. A single target is looked at from the start, while the program is still reading its content."""

    def __init__(self, targets: list[Target], look: Look, options: tuple[str, ...], jobs: int, running: Running, elsewhere: Elsewhere | None = None) -> None:
        self.elsewhere = elsewhere
        self.targets, self.look, self.options, self.jobs, self.running = targets, look, options, jobs, running
        self.tells_unreachable = False
        """A single target that cannot be reached is reported as one of many is, instead of being an error."""
        self._first: Bundle | BaseException | None = None
        self._answer: list[bytes] = []
        self._thread = threading.Thread(target=self._begin, daemon=True)
        self._keeping: threading.Thread | None = None
        if len(targets) == 1:
            from tutela.collect.one import collect

            self._collect = collect
            self._thread.start()
            if elsewhere is not None:
                elsewhere.begin(targets[0])

    def _begin(self) -> None:
        try:
            self._first = self._collect(self.targets[0], self.look, now, ssh_options=self.options, running=self.running, answer=self._answer)
        except BaseException as problem:  # noqa: BLE001 - handed to the thread that waits
            self._first = problem

    def so_far(self) -> Iterator[Bundle]:
        """What a single target has said up to now, whenever it falls silent and is not done."""
        from tutela.collect.one import so_far

        read = 0
        while self._thread.is_alive():
            came = len(self._answer)
            self._thread.join(SILENT_S)
            if read < came == len(self._answer) and self._thread.is_alive():
                read = came
                with suppress(BundleError):
                    # What is wrong with it is told when it is whole.
                    yield so_far(self.targets[0], self.look, self._answer, now())

    def bundles(self) -> Iterator[Bundle]:
        """The bundles as they come.

        Raises CollectError or BundleError for a single target; one of many that fails is a bundle that says why.
        """
        named = {target.name: target for target in self.targets}
        for seen in self._collected():
            bundle = seen if self.elsewhere is None else self.elsewhere.added(seen, named.get(seen.subject, LocalTarget()))
            if len(self.targets) == 1 and isinstance(self.targets[0], LocalTarget):
                from tutela.cli.last import keep_last

                # Written while the bundle is judged: the disk takes its time.
                self._keeping = threading.Thread(target=keep_last, args=(bundle,))
                self._keeping.start()
            yield bundle

    def _collected(self) -> Iterator[Bundle]:
        if len(self.targets) != 1:
            from tutela.collect.fleet import collect_fleet

            yield from collect_fleet(self.targets, self.look, now, jobs=self.jobs, ssh_options=self.options, running=self.running)
            return
        self._thread.join()
        if self.tells_unreachable and isinstance(self._first, CollectError) and not self.running.stopped:
            from tutela.collect.answer import unseen

            yield unseen(self.targets[0].name, now(), self._first.message, {})
            return
        if isinstance(self._first, BaseException):
            raise KeyboardInterrupt if self.running.stopped else self._first
        assert self._first is not None
        yield self._first

    def end(self) -> None:
        """Leave no process behind."""
        if self.elsewhere is not None:
            self.elsewhere.end()
        if self._thread.is_alive():
            self.running.stop()
        if self._keeping is not None:
            self._keeping.join()


class _Run:
    """One run of the command."""

    def __init__(
        self, arguments: argparse.Namespace, lang: Lang, form: Format, site: Site, content: Content, rulebook: Rulebook, anchor: Anchor | None
    ) -> None:
        self.arguments, self.lang, self.form, self.site, self.content, self.rulebook = arguments, lang, form, site, content, rulebook
        self.anchor = anchor
        self.statuses: set[int] = set()
        self.kept: set[Path] = set()
        self.unkept: list[CollectError] = []

    def over(self, looking: Looking) -> int:
        """Judge what is looked at, write the report, and log what was asked to be logged."""
        status = self._reported(looking)
        if self.anchor is not None:
            self.anchor.finish(self.lang)
        if self.unkept:
            raise self.unkept[0]
        return status

    def _reported(self, looking: Looking) -> int:
        targets = looking.targets
        assessments = self._assessments(looking)
        if self.form.name == "jsonl" and len(targets) > MANY and self.anchor is None and all(isinstance(target, BundleTarget) for target in targets):
            self._write(self._replayed([target.path for target in targets if isinstance(target, BundleTarget)], looking.running))
        elif self.form.name == "jsonl":
            # Line by line, as they come: memory stays flat and nothing that is done can be lost.
            self._write(self._lines(assessments))
        else:
            from tutela.report.findings import sort_key

            together = sorted(assessments, key=lambda one: sort_key(one.subject))
            self._write(self.form.render(together, self.lang, self._options()))
            if self.form.name == "nagios":
                # Monitoring has exit codes of its own.
                from tutela.report.nagios import status

                return status(together, self._options())
        if looking.running.stopped:
            return EXIT_INTERRUPTED
        return next((status for status in (EXIT_BROKEN, EXIT_UNPROVEN) if status in self.statuses), EXIT_KEPT)

    def _lines(self, assessments: Iterator[Assessment]) -> Iterator[str | bytes]:
        from tutela.report.json import Lines

        # One for all: what the hosts have in common is written out once.
        written = Lines()
        raw = self._takes_utf8()
        for assessment in assessments:
            line = written.line(assessment)
            yield line if raw else line.decode()

    def _takes_utf8(self) -> bool:
        """Whether what is written is UTF-8: what programs read always is, and says so itself; people and terminals get their own encoding."""
        if self.arguments.output is not None or str(sys.stdout.encoding).lower() == "utf-8":
            return True
        return self.form.name not in FOR_PEOPLE and not sys.stdout.isatty()

    def _replayed(self, paths: list[Path], running: Running) -> Iterator[str | bytes]:
        from tutela.assess import assess
        from tutela.cli.progress import Progress
        from tutela.cli.replay import replay
        from tutela.collect.answer import unseen
        from tutela.collect.archive import read_bundle
        from tutela.errors import BundleError
        from tutela.evidence.bundle import Frames
        from tutela.facts.memory import Memory
        from tutela.report.json import Lines

        # Each worker has its own of these; they change nothing but the time it takes.
        memory, frames, written = Memory(), Frames(), Lines()

        def judge(path: Path) -> tuple[bytes, int]:
            try:
                bundle = read_bundle(path, frames)
            except BundleError as problem:
                bundle = unseen(BundleTarget(path).name, now(), problem.message, {})
            assessment = assess(bundle, self.rulebook, self.site, memory=memory)
            return written.line(assessment), exit_status(assessment, self.arguments.fail_on)

        raw = self._takes_utf8()
        progress = Progress(len(paths), self.lang)
        try:
            for lines, statuses, count in replay(paths, judge, lambda: running.stopped):
                self.statuses |= statuses
                progress.step(count)
                yield lines if raw else lines.decode()
        finally:
            progress.close()
        if running.stopped:
            # They still lie there, so the rest has no lines of its own, as hosts have that were not looked at.
            print(
                Text(
                    f"tutela: 已中断：已判定 {progress.done}/{len(paths)} 份证据包", f"tutela: interrupted: {progress.done} of {len(paths)} bundles were judged"
                ).in_(self.lang),
                file=sys.stderr,
            )

    def _assessments(self, looking: Looking) -> Iterator[Assessment]:
        from tutela.assess import assess
        from tutela.cli.progress import Progress
        from tutela.facts.memory import Memory

        progress = Progress(len(looking.targets), self.lang)
        memory = Memory() if len(looking.targets) > 1 or not self.arguments.quick else None
        try:
            for bundle in looking.so_far() if memory is not None else ():
                # A slow part of the host is still being looked at. What is judged now stays remembered, and need not be judged when it has come.
                assess(bundle, self.rulebook, self.site, memory=memory)
            for number, bundle in enumerate(looking.bundles(), 1):
                if number % COLLECT == 0:
                    gc.collect()
                if self.arguments.keep is not None and "unreachable" not in bundle.meta:
                    try:
                        self._keep(bundle)
                    except CollectError as problem:
                        # A full disk must not cost the report on three hundred hosts.
                        self.unkept.append(problem)
                assessment = assess(bundle, self.rulebook, self.site, memory=memory)
                self.statuses.add(exit_status(assessment, self.arguments.fail_on))
                if self.anchor is not None:
                    self.anchor.add(assessment)
                progress.step(unreachable="unreachable" in bundle.meta)
                yield assessment
        finally:
            progress.close()

    def _keep(self, bundle: Bundle) -> None:
        from tutela.collect.archive import write_bundle

        write_bundle(place_of(self.arguments.keep, bundle, self.kept), bundle)

    def _options(self) -> Options:
        from tutela.report import Options

        wanted, to_terminal = self.arguments.color, self.arguments.output is None
        colour = wanted == "always" or (wanted == "auto" and to_terminal and colourful())
        width = columns() if to_terminal else 80
        return Options(colour=colour, width=width, details=self.arguments.all, tables=self.content.tables, fail_on=self.arguments.fail_on)

    def _write(self, pieces: Iterator[str] | Iterator[bytes] | Iterator[str | bytes]) -> None:
        if self.arguments.output is None:
            utf8 = self._takes_utf8()
            for piece in pieces:
                put(piece.encode("utf-8", "backslashreplace") if utf8 and isinstance(piece, str) else piece)
            return
        from tutela.collect.archive import write_whole

        write_whole(self.arguments.output, (piece if isinstance(piece, bytes) else piece.encode("utf-8", "backslashreplace") for piece in pieces))


def put(piece: str | bytes) -> None:
    """Write to standard output, all of it.

    With PYTHONUNBUFFERED a signal may cut a write short, and Python's text layer drops the rest.
    """
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:
        sys.stdout.write(str(piece))
        return
    sys.stdout.flush()
    rest = memoryview(piece if isinstance(piece, bytes) else piece.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
    while rest:
        rest = rest[stream.write(rest) or 0 :]


def exit_status(assessment: Assessment, fail_on: str) -> int:
    """0 all kept, 2 broken at or above `fail_on`, 3 nothing broken so far but something unproven, or broken below `fail_on`."""
    from tutela.assess import Standing
    from tutela.checks import Severity
    from tutela.report.findings import duties

    binding = duties(assessment)
    broken = [one.severity for one in binding if one.standing is Standing.BROKEN]
    worst = max((severity.rank for severity in broken), default=-1)
    if fail_on != "never" and worst >= Severity(fail_on).rank:
        return EXIT_BROKEN
    unproven = any(one.standing is Standing.UNPROVEN for one in binding)
    return EXIT_UNPROVEN if unproven or broken else EXIT_KEPT
