"""YAML that users write, parsed within bounded time and memory."""

from typing import Any

import yaml

MAX_CHARACTERS = 500_000  # takes PyYAML some seconds
MAX_VALUES = 200_000  # of a file, with every alias counted as often as it is used
MAX_DIGITS = 400  # of a number; no float has more before its decimal point


def parse_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Parse one YAML document.

    Aliases may make a small file refer to billions of values, and Python converts long integers in quadratic time, so
    both are counted before any value is built.

    Args:
        text: The document.
        loader: The loader.

    Raises:
        ValueError: The text is not valid YAML, or exceeds a limit. The message is one line.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"it has {len(text)} characters, expected at most {MAX_CHARACTERS}")
    try:
        parser = loader(text)
        node = parser.get_single_node()
        if node is None:  # an empty file
            return None
        if _count(node, {}) > MAX_VALUES:
            raise ValueError(f"its aliases stand for more than {MAX_VALUES} values")
        return parser.construct_document(node)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    except yaml.YAMLError as error:
        raise ValueError(_one_line(error)) from error


def _count(node: yaml.Node, counts: dict[int, float]) -> float:
    """Count the values that a node stands for; a node that contains itself is infinite."""
    if id(node) in counts:
        return counts[id(node)]
    if isinstance(node, yaml.ScalarNode):
        if len(node.value) > MAX_DIGITS and node.tag.rpartition(":")[2] in ("int", "float"):
            raise ValueError(f"it contains a number of {len(node.value)} digits")
        return 1
    counts[id(node)] = float("inf")  # until it is counted
    parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
    counts[id(node)] = 1 + sum(_count(part, counts) for part in parts)
    return counts[id(node)]


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    if problem and mark:
        return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
    return str(error).splitlines()[0]
