"""Example inputs of the page: frames of the built-in world, and photos that scikit-image ships."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import skimage

from tools.demo.upload import WIDE_VIEW

PICTURES = Path(__file__).resolve().parent / "pictures"  # drawn by tools/demo/draw_examples.py
PHOTOS = Path(skimage.__file__).resolve().parent / "data"


@dataclass(frozen=True)
class Example:
    """An example input.

    Attributes:
        path: Image or video.
        caption: What it shows.
        field_of_view: Horizontal, degrees; None if unknown.
        credit: Author and licence of a photo.
    """

    path: Path
    caption: str
    field_of_view: float | None = None
    credit: str = ""


EXAMPLES = (
    Example(PICTURES / "street.jpg", "Street", WIDE_VIEW),
    Example(PICTURES / "bend.jpg", "Bend", WIDE_VIEW),
    Example(PICTURES / "parked.jpg", "Parked cars", WIDE_VIEW),
    Example(PICTURES / "drive.mp4", "Drive (video)", WIDE_VIEW),
    Example(PHOTOS / "camera.png", "Lawn (photo)", credit="L. Varshney (CC0)"),
    Example(PHOTOS / "rocket.jpg", "Rocket (photo)", credit="SpaceX (public domain)"),
)


def find_examples() -> list[Example]:
    """Return the examples that exist: scikit-image may be packaged without its photos."""
    return [example for example in EXAMPLES if example.path.is_file()]


def credits_of(examples: Sequence[Example]) -> str:
    """Return a sentence on the origin of the examples."""
    photos = " and ".join(example.credit for example in examples if example.credit)
    return "Streets: the project's built-in world." + (f" Photos: {photos}, from scikit-image." if photos else "")
