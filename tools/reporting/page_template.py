"""HTML pages from the templates of this folder, which share the head and the style of ``page.html``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).resolve().parent


def render_page(template: str, values: Mapping[str, Any], filters: Mapping[str, Callable] | None = None) -> str:
    """Render a self-contained page. Values are escaped; one that is missing is an error.

    Args:
        template: File name of a template that extends ``page.html``.
        values: Variables of the template.
        filters: Filters of the template.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= filters or {}
    return environment.get_template(template).render(values, css=(HERE / "page.css").read_text(encoding="utf-8"))
