"""One option: how it is defined, and how its value is read and checked. `options` says which there are."""

import argparse
import dataclasses
import difflib
import math
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, get_args

import yaml

from common.errors import OptionsError

Fields = Mapping[str, dataclasses.Field]  # name of an option -> its definition


@dataclasses.dataclass(frozen=True)
class Alias:
    """Another name for an option.

    Attributes:
        name: without dashes.
        values: each value of the alias -> the option's value.
    """

    name: str
    values: Mapping[Any, Any]


class _AliasAction(argparse.Action):
    """Stores the option's value for the alias's."""

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
    alias: Alias | None = None,
) -> Any:
    """A dataclass field that is one option: the group and text of its help, its default, and what is allowed.

    The annotation is the option's type: str, int, float, bool, or a tuple of one of them, which takes one or
    more values, each once. An option whose default is None may be None. ``choices``, ``at_least`` and
    ``above`` hold for each value. ``alias`` is another name for the option.
    """
    about = {"group": group, "text": text, "choices": choices, "at_least": at_least, "above": above, "alias": alias}
    return dataclasses.field(default=default, metadata=about)


def value_type(field: dataclasses.Field) -> type:
    """The type of one value: int for `int`, `int | None` and `tuple[int, ...]`."""
    return (get_args(field.type) or (field.type,))[0]


def add_argument(group: Any, field: dataclasses.Field) -> None:
    """Adds the option to a group of an argument parser; it is None where the command line does not set it."""
    how: dict[str, Any] = {"type": value_type(field), "choices": field.metadata["choices"]}
    if value_type(field) is bool:
        how = {"action": argparse.BooleanOptionalAction}
    elif isinstance(field.default, tuple):
        how["nargs"] = "+"
    text, default = field.metadata["text"], field.default
    if default is not None:
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        text += f" (default: {'off' if default is False else shown})"
    group.add_argument(f"--{field.name}", help=text, **how)
    alias: Alias | None = field.metadata["alias"]
    if alias is not None:
        first, value = next(iter(alias.values.items()))
        group.add_argument(
            f"--{alias.name}",
            **{"action": _AliasAction, "values": alias.values, "dest": field.name},
            **{"type": type(first), "choices": tuple(alias.values)},
            help=f"another name: --{alias.name} {first} is --{field.name} {value}",
        )


class OptionParser(argparse.ArgumentParser):
    """A parser that raises OptionsError for what argparse would exit with."""

    def parse_args(self, args=None, namespace=None):
        """As argparse's, but a mistyped option is told by itself, before that one is missing."""
        words = sys.argv[1:] if args is None else list(args)
        flags = [word for word in words if word.startswith("--") and word != "--"]
        unknown = [flag for flag in flags if flag.split("=")[0] not in self._option_string_actions]
        if unknown:
            refuse_unknown(unknown, self._option_string_actions)
        return super().parse_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises the message."""
        raise OptionsError(f"{message} (--help lists all options)")


def refuse_unknown(words: list[str], known: Iterable[str]) -> NoReturn:
    """Raises OptionsError for the first of the words that a parser did not know, with the nearest of the ``known``."""
    flag = next((word for word in words if word.startswith("-")), None)
    if flag is None:
        raise OptionsError(f"unexpected argument {words[0]}: it follows no option (--help lists all)")
    flag = flag.split("=")[0]
    raise OptionsError(f"unknown option {flag}; the nearest is {nearest(flag, known)} (--help lists all)")


def nearest(name: str, names: Iterable[str]) -> str:
    """The one of ``names`` that is written most like ``name``."""
    return difflib.get_close_matches(name, list(names), n=1, cutoff=0.0)[0]


def checked(field: dataclasses.Field, value: Any, where: str = "") -> Any:
    """``value`` as the option's own type.

    Raises:
        OptionsError: it has another type or is not allowed; ``where`` begins the message.
    """
    if field.default is None and value is None:
        return None
    if not isinstance(field.default, tuple):
        return _checked_item(field, value, where)
    if not isinstance(value, list | tuple) or not value:
        raise OptionsError(f"{where}{field.name}: got {value!r}, allowed: a list, each value {_allowed(field)}")
    items = tuple(_checked_item(field, item, where) for item in value)
    if len(set(items)) != len(items):
        raise OptionsError(f"{where}{field.name}: got {value!r}, allowed: each value once")
    return items


def _checked_item(field: dataclasses.Field, value: Any, where: str) -> Any:
    about, kind = field.metadata, value_type(field)
    item = value
    if kind is float and type(item) in (int, str):
        with suppress(ValueError):  # YAML reads 1e-4 as text: a number needs a point there
            item = float(item)
    # isinstance would take True for an integer
    fits = type(item) is kind and item != "" and (kind is not float or math.isfinite(item))
    fits = fits and (about["choices"] is None or item in about["choices"])
    fits = fits and (about["at_least"] is None or item >= about["at_least"])
    fits = fits and (about["above"] is None or item > about["above"])
    if not fits:
        raise OptionsError(f"{where}{field.name}: got {value!r}, allowed: {_allowed(field)}")
    return item


def _allowed(field: dataclasses.Field) -> str:
    """What one value may be, in words."""
    about = field.metadata
    if about["choices"] is not None:
        return "one of " + ", ".join(map(str, about["choices"]))
    words = {bool: "true or false", int: "an integer", float: "a number", str: "text (a number in quotes)"}
    limit = "" if about["at_least"] is None else f" of at least {about['at_least']}"
    limit += "" if about["above"] is None else f" above {about['above']}"
    return words[value_type(field)] + limit


def checked_mapping(fields: Fields, content: Any, source: str) -> dict[str, Any]:
    """The options that a file sets, each as its own type.

    Args:
        fields: the options that a file may set.
        content: what the file holds.
        source: the file's name, which begins each message.

    Raises:
        OptionsError: ``content`` is no mapping, a key is unknown (the nearest is named), or a value is not
            allowed.
    """
    if not isinstance(content, Mapping):
        raise OptionsError(f"{source}: got {type(content).__name__}, expected options and their values")
    content = dict(_without_aliases(fields, content, source))
    for name in content:
        if name not in fields:
            raise OptionsError(f"{source}: unknown key {name}; the nearest is {nearest(str(name), fields)}")
    return {name: checked(fields[name], value, f"{source}: ") for name, value in content.items()}


def _without_aliases(fields: Fields, content: Mapping, source: str) -> Iterator[tuple[Any, Any]]:
    """Yield the items of ``content``, aliases replaced by the options that they stand for."""
    aliases = {field.metadata["alias"].name: field for field in fields.values() if field.metadata["alias"]}
    for name, value in content.items():
        if name not in aliases:
            yield name, value
            continue
        field = aliases[name]
        values = field.metadata["alias"].values
        if type(value) is bool or not isinstance(value, (int, str)) or value not in values:
            raise OptionsError(f"{source}: {name}: got {value!r}, allowed: one of {', '.join(map(str, values))}")
        yield field.name, values[value]


def read_config(fields: Fields, path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The options of a YAML file, over those of the file that it names as `base`, relative to its own folder.

    Args:
        fields: the options that a file may set.
        path: the file.
        above: the files, resolved, of which this one is a base.

    Raises:
        OptionsError: a file cannot be read or is its own base, or as in `checked_mapping`.
    """
    resolved = path.resolve()
    if resolved in above:
        raise OptionsError(f"{path} is its own base: {' -> '.join(map(str, (*above, resolved)))}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise OptionsError(f"cannot read the config {path}: {error}") from error
    if content is None:  # an empty file
        content = {}
    base = content.pop("base", None) if isinstance(content, dict) else None
    values = checked_mapping(fields, content, str(path))
    if base is None:
        return values
    if not isinstance(base, str):
        raise OptionsError(f"{path}: base: got {base!r}, allowed: a path relative to this file's folder")
    return {**read_config(fields, path.parent / base, (*above, resolved)), **values}
