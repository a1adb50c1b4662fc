"""`tutela collect`: evidence only."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tutela.cli import EXIT_INTERRUPTED, EXIT_KEPT, EXIT_UNPROVEN
from tutela.cli.options import STANDARD, add_looking, look_of, make_folder, place_of, read_site_file, read_targets, refuse_bundles, refuse_output, ssh_options
from tutela.errors import CollectError, UsageError
from tutela.language import Lang, Text
from tutela.report.inert import inert


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the command."""
    parser.add_argument("targets", nargs="*", metavar=Text("目标", "TARGET").in_(lang), help=Text("同 tutela check", "as for tutela check").in_(lang))
    parser.add_argument(
        "--output",
        "-o",
        type=Path,
        metavar=Text("路径", "PATH").in_(lang),
        help=Text("一台主机写文件，多台写文件夹", "a file for one host, a folder for several").in_(lang),
    )
    parser.add_argument(
        "--site",
        type=Path,
        metavar=Text("文件", "FILE").in_(lang),
        help=Text("站点文件（其网段用于 SSH 规则的取样）", "site file (its networks choose the addresses SSH rules are tried with)").in_(lang),
    )
    add_looking(parser, lang)


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Write one bundle for each target; 3 when one could not be looked at."""
    from tutela.cli.clock import now
    from tutela.cli.interrupt import stop_on_interrupt
    from tutela.cli.progress import Progress
    from tutela.collect.archive import write_bundle
    from tutela.collect.fleet import collect_fleet

    site = read_site_file(arguments.site)
    targets = read_targets(arguments.targets, lang)
    refuse_bundles(arguments, targets)
    if len(targets) > 1 and arguments.output is None:
        raise UsageError(Text("多台主机请用 --output 指定文件夹", "name a folder with --output for several hosts"))
    if arguments.output == STANDARD:
        arguments.output = Path("/dev/stdout")
    folder, file = Path(), None
    if arguments.output is not None:
        if len(targets) > 1 or arguments.output.is_dir():
            folder = arguments.output
            make_folder(folder)
        else:
            file = arguments.output
            refuse_output(file)
    written: set[Path] = set()
    lost: list[tuple[str, Text]] = []
    progress = Progress(len(targets), lang)
    with stop_on_interrupt() as running:
        for bundle in collect_fleet(targets, look_of(arguments, site), now, jobs=arguments.jobs, ssh_options=ssh_options(arguments), running=running):
            unreachable = "unreachable" in bundle.meta
            progress.step(unreachable=unreachable)
            if unreachable:
                why = Text(bundle.meta.get("unreachable_zh", bundle.meta["unreachable"]), bundle.meta["unreachable"])
                lost.append((bundle.subject, why))
                continue
            path = file or place_of(folder, bundle, written)
            write_bundle(path, bundle)
            progress.close()
            # Standard output may be where the bundle went.
            print(f"{path}  {bundle.digest}", file=sys.stdout if path.is_file() else sys.stderr)
    progress.close()
    if lost and len(targets) == 1:
        raise KeyboardInterrupt if running.stopped else CollectError(lost[0][1])
    for subject, why in lost:
        print(inert(f"tutela: {subject}: {why.in_(lang)}"), file=sys.stderr)
    if running.stopped:
        return EXIT_INTERRUPTED
    return EXIT_UNPROVEN if lost else EXIT_KEPT
