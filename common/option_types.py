"""Definition, parsing and validation of a single option. Module ``options`` lists all options."""

import argparse
import dataclasses
import difflib
import math
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, get_args

from common.errors import OptionsError, printable
from common.text_files import abbreviate, fault_of, read_text
from common.yaml_files import parse_yaml

Fields = Mapping[str, dataclasses.Field]  # option name -> definition
LONGEST_NAME = 60  # characters of a name to search for and to show


@dataclasses.dataclass(frozen=True)
class Alias:
    """An alternative name for an option.

    Attributes:
        name: The name without dashes.
        values: Value of the alias -> value of the option.
    """

    name: str
    values: Mapping[Any, Any]


class _AliasAction(argparse.Action):
    """Store the option's value that corresponds to the alias's value."""

    def __init__(self, *args, values: Mapping[Any, Any], **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._values = values

    def __call__(self, parser, namespace, value, option_string=None):
        setattr(namespace, self.dest, self._values[value])


def option(
    group: str,
    default: Any,
    text: str,
    *,
    choices: Collection | None = None,
    at_least: int | None = None,
    above: float | None = None,
    below: float | None = None,
    alias: Alias | None = None,
) -> Any:
    """Define an option as a dataclass field.

    The annotation of the field is the option's type: str, int, float, bool, or a tuple of one of these, which accepts
    one or more distinct values. Only an option with the default None may be None. ``choices``, ``at_least``, ``above``
    and ``below`` apply to each item of a tuple.

    Args:
        group: Section of the help text.
        default: Default value.
        text: Help text.
        choices: Allowed values.
        at_least: Smallest allowed value.
        above: Exclusive lower bound.
        below: Exclusive upper bound.
        alias: Alternative name for the option.
    """
    limits = {"at_least": at_least, "above": above, "below": below}
    about = {"group": group, "text": text, "choices": choices, **limits, "alias": alias}
    return dataclasses.field(default=default, metadata=about)


def value_type(field: dataclasses.Field) -> type:
    """Return the type of one value: int for ``int``, ``int | None`` and ``tuple[int, ...]``."""
    return (get_args(field.type) or (field.type,))[0]


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


class OptionParser(argparse.ArgumentParser):
    """An argument parser that raises ``OptionsError`` where argparse would exit."""

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
        f"unknown option {_shown_name(flag)}; the nearest is {nearest(flag, known)} (--help lists all options)"
    )


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the entry of ``names`` with the spelling closest to ``name``."""
    return difflib.get_close_matches(name[:LONGEST_NAME], list(names), n=1, cutoff=0.0)[0]


def _shown_name(name: Any) -> str:
    """Show an unknown name as it is written, unless it is long or unprintable."""
    is_plain = isinstance(name, str) and name.isprintable() and len(name) <= LONGEST_NAME
    return name if is_plain else abbreviate(name)


def checked(field: dataclasses.Field, value: Any, where: str = "") -> Any:
    """Validate a value and convert it to the option's type.

    Args:
        field: Definition of the option.
        value: The value.
        where: Prefix of the error message, for example the config file.

    Raises:
        OptionsError: The value has the wrong type or is not allowed.
    """
    if field.default is None and value is None:
        return None
    if not isinstance(field.default, tuple):
        return _checked_item(field, value, where)
    if not isinstance(value, list | tuple) or not value:
        raise OptionsError(
            f"{where}{field.name}: got {abbreviate(value)}, allowed: a list, each value {_allowed(field)}"
        )
    items = tuple(_checked_item(field, item, where) for item in value)
    if len(set(items)) != len(items):
        raise OptionsError(f"{where}{field.name}: got {abbreviate(value)}, allowed: each value once")
    return items


def _checked_item(field: dataclasses.Field, value: Any, where: str) -> Any:
    about, kind = field.metadata, value_type(field)
    item = value
    if kind is float and type(item) in (int, str):
        with suppress(ValueError, OverflowError):  # YAML parses 1e-4, without a decimal point, as text
            item = float(item)
    # Not isinstance, which accepts True as an integer.
    fits = type(item) is kind and item != "" and (kind is not float or math.isfinite(item))
    fits = fits and (about["choices"] is None or item in about["choices"])
    fits = fits and (about["at_least"] is None or item >= about["at_least"])
    fits = fits and (about["above"] is None or item > about["above"])
    fits = fits and (about["below"] is None or item < about["below"])
    if not fits:
        raise OptionsError(f"{where}{field.name}: got {abbreviate(value)}, allowed: {_allowed(field)}")
    return item


def _allowed(field: dataclasses.Field) -> str:
    """Describe the allowed values."""
    about = field.metadata
    if about["choices"] is not None:
        return "one of " + ", ".join(map(str, about["choices"]))
    words = {bool: "true or false", int: "an integer", float: "a number", str: "text (a number in quotes)"}
    limit = "" if about["at_least"] is None else f" of at least {about['at_least']}"
    limit += "" if about["above"] is None else f" above {about['above']}"
    limit += "" if about["below"] is None else f" and below {about['below']}"
    return words[value_type(field)] + limit


def checked_mapping(fields: Fields, content: Any, source: str) -> dict[str, Any]:
    """Validate the options of a file and convert them to their types.

    Args:
        fields: Options that a file may set.
        content: Parsed content of the file.
        source: Name of the file, used as the prefix of error messages.

    Raises:
        OptionsError: ``content`` is not a mapping, a key is unknown, or a value is not allowed.
    """
    if not isinstance(content, Mapping):
        raise OptionsError(f"{source}: got {type(content).__name__}, expected a mapping of options to values")
    content = dict(_without_aliases(fields, content, source))
    for name in content:
        if name not in fields:
            raise OptionsError(
                f"{source}: unknown key {_shown_name(name)}; the nearest is {nearest(str(name), fields)}"
            )
    return {name: checked(fields[name], value, f"{source}: ") for name, value in content.items()}


def _without_aliases(fields: Fields, content: Mapping, source: str) -> Iterator[tuple[Any, Any]]:
    """Yield the items of ``content``, with aliases resolved to their options."""
    aliases = {field.metadata["alias"].name: field for field in fields.values() if field.metadata["alias"]}
    for name, value in content.items():
        if name not in aliases:
            yield name, value
            continue
        field = aliases[name]
        values = field.metadata["alias"].values
        if type(value) is bool or not isinstance(value, (int, str)) or value not in values:
            raise OptionsError(
                f"{source}: {name}: got {abbreviate(value)}, allowed: one of {', '.join(map(str, values))}"
            )
        yield field.name, values[value]


def read_config(fields: Fields, path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a YAML config and its ``base``, whose options it overrides. ``base`` is relative to the config's folder.

    Args:
        fields: Options that a file may set.
        path: The config file.
        above: Resolved paths of the configs that lead to this one through ``base``.

    Raises:
        OptionsError: A file cannot be read, is its own base, is not a mapping, or has an unknown key or an invalid
            value.
    """
    resolved = path.resolve()
    if resolved in above:
        raise OptionsError(f"{path} is its own base: {' -> '.join(map(str, (*above, resolved)))}")
    try:
        content = parse_yaml(read_text(path))
    except (OSError, ValueError) as error:
        raise OptionsError(f"the config {printable(path)} {fault_of(error)}") from error
    if content is None:  # an empty file
        content = {}
    base = content.pop("base", None) if isinstance(content, dict) else None
    values = checked_mapping(fields, content, str(path))
    if base is None:
        return values
    if not isinstance(base, str):
        raise OptionsError(f"{path}: base: got {abbreviate(base)}, allowed: a path relative to this file's folder")
    return {**read_config(fields, path.parent / base, (*above, resolved)), **values}
