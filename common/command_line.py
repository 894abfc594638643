"""Command lines: parsers of options, and the values that a command line and its config set."""

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from common.command_help import EPILOG, CommandHelp
from common.errors import OptionsError
from common.option_types import Alias, Fields, nearest, read_config, shown_name, value_type


class _AliasAction(argparse.Action):
    """Store the option's value that corresponds to the alias's value."""

    def __init__(self, *args, values: Mapping[Any, Any], **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._values = values

    def __call__(self, parser, namespace, value, option_string=None):
        setattr(namespace, self.dest, self._values[value])


class OptionParser(argparse.ArgumentParser):
    """An argument parser that raises ``OptionsError`` where argparse would exit.

    It prints the description and the epilog as they are written, and accepts no abbreviated options.
    """

    def __init__(self, *args, **kwargs) -> None:
        own = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
        super().__init__(*args, **{**own, **kwargs})

    def parse_args(self, args=None, namespace=None):
        """Parse the command line; report a mistyped option before a missing required one.

        Raises:
            OptionsError: An option is unknown, missing or invalid.
        """
        words = sys.argv[1:] if args is None else list(args)
        flags = [word for word in words if word.startswith("--") and word != "--"]
        unknown = [flag for flag in flags if flag.split("=")[0] not in self._option_string_actions]
        if unknown:
            refuse_unknown(unknown, self._option_string_actions)
        return super().parse_args(words, namespace)

    def names(self) -> list[str]:
        """Return the names of all options, with dashes."""
        return [name for name in self._option_string_actions if name.startswith("--")]

    def error(self, message: str) -> NoReturn:
        """Raise the message as an ``OptionsError``.

        Raises:
            OptionsError: Always.
        """
        raise OptionsError(f"{message} (--help lists all options)")


def refuse_unknown(words: list[str], known: Iterable[str]) -> NoReturn:
    """Reject the first unknown word of a command line, and suggest the nearest known option.

    Args:
        words: Words that the parser did not recognise.
        known: Names of all options, with dashes.

    Raises:
        OptionsError: Always.
    """
    flag = next((word for word in words if word.startswith("-")), None)
    if flag is None:
        raise OptionsError(f"unexpected argument {words[0]}: no option accepts it (--help lists all options)")
    flag = flag.split("=")[0]
    raise OptionsError(
        f"unknown option {shown_name(flag)}; the nearest is {nearest(flag, known)} (--help lists all options)"
    )


def add_argument(group: Any, field: dataclasses.Field, *, default_text: str | None = None, shown: bool = True) -> None:
    """Add the option to a group of an argument parser; it is None unless the command line sets it.

    Args:
        group: The group, or the parser.
        field: Definition of the option.
        default_text: Default as shown in the help; None shows the option's own.
        shown: Whether the help lists the option.
    """
    how: dict[str, Any] = {"type": value_type(field), "choices": field.metadata["choices"]}
    if value_type(field) is bool:
        how = {"action": argparse.BooleanOptionalAction}
    elif isinstance(field.default, tuple):
        how["nargs"] = "+"
    text, default = field.metadata["text"], field.default
    if default_text is None and default is not None:
        default_text = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
        default_text = "off" if default is False else default_text
    if default_text is not None:
        text = f"{text.partition(' (default:')[0]} (default: {default_text})"
    group.add_argument(f"--{field.name}", help=text if shown else argparse.SUPPRESS, **how)
    alias: Alias | None = field.metadata["alias"]
    if alias is not None:
        first, value = next(iter(alias.values.items()))
        group.add_argument(
            f"--{alias.name}",
            **{"action": _AliasAction, "values": alias.values, "dest": field.name},
            **{"type": type(first), "choices": tuple(alias.values)},
            help=f"alias of --{field.name}: --{alias.name} {first} is --{field.name} {value}"
            if shown
            else argparse.SUPPRESS,
        )


def given_values(
    fields: Fields,
    argv: Sequence[str] | None = None,
    description: str | None = None,
    command: CommandHelp | None = None,
    tool: OptionParser | None = None,
) -> dict[str, Any]:
    """Return the values that the command line sets, on top of those of the file given by ``--config``.

    Args:
        fields: All options.
        argv, description, command: As for ``options.parse_options``.
        tool: Parser of further options, which were parsed before and may be the nearest to a mistyped one.

    Raises:
        OptionsError: As for ``options.parse_options``.
    """
    parser = _parser_of(fields, description, command)
    namespace, unknown = parser.parse_known_args(sys.argv[1:] if argv is None else list(argv))
    if unknown:
        refuse_unknown(unknown, [*(f"--{name}" for name in fields), "--no_cuda", *(tool.names() if tool else ())])
    values = {name: value for name, value in vars(namespace).items() if value is not None}
    if "config" in values:
        in_file = {name: field for name, field in fields.items() if name != "config"}
        values = {**read_config(in_file, Path(values["config"])), **values}
    return values


def _parser_of(fields: Fields, description: str | None, command: CommandHelp | None) -> OptionParser:
    """Build a parser whose help lists the options by their groups."""
    parser = OptionParser(
        usage="%(prog)s [--OPTION VALUE ...]", description=description, epilog=EPILOG if command else None
    )
    groups: dict[str, Any] = {}
    for field in fields.values():
        title = field.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        add_argument(
            groups[title],
            field,
            default_text="the weights' own" if command and field.name in command.from_weights else None,
            shown=command is None or command.shows(field.name, title),
        )
    shown = command is None or command.shows("device", "run")
    groups["run"].add_argument(
        "--no_cuda",
        **{"action": "store_const", "const": "cpu", "dest": "device"},
        help="the same as --device cpu" if shown else argparse.SUPPRESS,
    )
    return parser
