"""Definition and validation of a single option, and config files. Module ``options`` lists all options."""

import dataclasses
import difflib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

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


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the entry of ``names`` with the spelling closest to ``name``."""
    return difflib.get_close_matches(name[:LONGEST_NAME], list(names), n=1, cutoff=0.0)[0]


def shown_name(name: Any) -> str:
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
            raise OptionsError(f"{source}: unknown key {shown_name(name)}; the nearest is {nearest(str(name), fields)}")
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
