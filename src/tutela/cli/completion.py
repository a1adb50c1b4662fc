"""`tutela completion`: completion scripts, made from the same parser as the commands."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from tutela.language import Lang, Text


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the command."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help=Text("shell 名称", "your shell").in_(lang))


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Print the script."""
    print({"bash": bash, "zsh": zsh, "fish": fish}[arguments.shell](lang), end="")
    return 0


def commands(lang: Lang) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, one line about it, and parser of every command; an action of a command is `command action`, and follows it."""
    from tutela.cli import COMMANDS
    from tutela.cli.parser import build

    for name, command in actions(build(lang)).items():
        yield name, COMMANDS[name].in_(lang), command
        for action, parser in actions(command).items():
            yield f"{name} {action}", parser.description or "", parser


def actions(command: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """What may follow a command, by its word; nothing for most."""
    found = next((one for one in command._actions if isinstance(one, argparse._SubParsersAction)), None)  # noqa: SLF001 - argparse offers no other way
    return found.choices if found else {}


def options(command: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Options of a command, as argparse keeps them."""
    for action in command._actions:  # noqa: SLF001
        if action.option_strings and action.help is not argparse.SUPPRESS:
            yield action


def _values(action: argparse.Action) -> list[str] | None:
    """What may stand behind an option; None: a file."""
    if action.choices:
        return [str(word) for word in action.choices]
    if "--profile" in action.option_strings:
        from tutela.library import load_content

        return list(load_content().profiles)
    # What has a type of its own is a number.
    return None if action.type in (None, Path) else []


def _words(command: argparse.ArgumentParser) -> str:
    positional = [str(word) for action in command._actions if not action.option_strings and action.choices for word in action.choices]  # noqa: SLF001
    return " ".join([*(word for action in options(command) for word in action.option_strings), *positional])


def bash(lang: Lang) -> str:
    """Script for bash."""
    lines = ["_tutela() {", "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words="]
    lines.append(
        '\tif [ "$COMP_CWORD" -eq 1 ]; then words="' + " ".join([name for name, _, _ in commands(lang) if " " not in name] + ["--help", "--version"]) + '"'
    )
    lines.append('\telse case "${COMP_WORDS[1]} ${COMP_WORDS[2]} " in')
    # An action's own pattern comes before that of its command.
    for name, _, command in sorted(commands(lang), key=lambda one: " " not in one[0]):
        lines.append(f'\t"{name} "*)')
        lines.append("\t\tcase $prev in")
        for action in options(command):
            if action.nargs == 0:
                continue
            values = _values(action)
            offered = "-f" if values is None else f'-W "{" ".join(values)}"'
            lines.append(f'\t\t{"|".join(action.option_strings)}) COMPREPLY=($(compgen {offered} -- "$cur")); return ;;')
        lines.append("\t\tesac")
        lines.append(f'\t\twords="{_words(command)}" ;;')
    lines += [
        "\tesac; fi",
        '\tCOMPREPLY=($(compgen -W "$words" -- "$cur"))',
        '\t[ "$COMP_CWORD" -eq 1 ] || [ "${cur#-}" != "$cur" ] || COMPREPLY+=($(compgen -f -- "$cur"))',
        "}",
        "complete -o filenames -F _tutela tutela",
        "",
    ]
    return "\n".join(lines)


def _quoted(words: str) -> str:
    return "'" + words.replace("'", "'\\''") + "'"


def zsh(lang: Lang) -> str:
    """Script for zsh."""
    listed = " ".join(_quoted(f"{name}:{about}") for name, about, _ in commands(lang) if " " not in name)
    lines = [
        "#compdef tutela",
        "_tutela() {",
        "\tif (( CURRENT == 2 )); then",
        f"\t\tlocal -a names=({listed})",
        "\t\t_describe command names; return",
        "\tfi",
        '\tcase "$words[2] $words[3] " in',
    ]
    for name, _, command in sorted(commands(lang), key=lambda one: " " not in one[0]):
        if actions(command):
            lines.append(f'\t"{name} "*) _values action {" ".join(actions(command))} ;;')
            continue
        specs = []
        for action in options(command):
            about = (action.help or "").replace("[", "(").replace("]", ")").replace(":", " ").replace("%%", "%")
            values = _values(action)
            value = "" if action.nargs == 0 else ":value:_files" if values is None else f":value:({' '.join(values)})" if values else ":value: "
            specs += [_quoted(f"{word}[{about}]{value}") for word in action.option_strings]
        before = len(name.split())
        lines.append(f"""\t"{name} "*) shift {before} words; (( CURRENT -= {before} )); _arguments {" ".join(specs)} '*:target:_files' ;;""")
    return "\n".join([*lines, "\tesac", "}", "compdef _tutela tutela", ""])


def fish(lang: Lang) -> str:
    """Script for fish."""
    lines = []
    for name, about, command in commands(lang):
        above, _, word = name.rpartition(" ")
        seen = " ".join(f"; and __fish_seen_subcommand_from {one}" for one in name.split())[6:]
        first = f"'__fish_seen_subcommand_from {above}'" if above else "__fish_use_subcommand"
        lines.append(f"complete -c tutela -n {first} -f -a {word} -d {_quoted(about)}")
        if actions(command):
            continue
        for action in options(command):
            words = [f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}" for word in action.option_strings]
            values = _values(action)
            value = "" if action.nargs == 0 else " -r" if values is None else " -x -a " + _quoted(" ".join(values)) if values else " -x"
            lines.append(f"complete -c tutela -n '{seen}' {' '.join(words)}{value} -d {_quoted((action.help or '').replace('%%', '%'))}")
    return "\n".join([*lines, ""])
