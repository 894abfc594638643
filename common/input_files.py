"""What to predict: images and videos, found by path, folder or pattern, and cameras."""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from common.errors import DataError
from common.signatures import media_kind

ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
VIDEO_ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


def find_files(inputs: Sequence[str]) -> list[Path]:
    """The images and videos that the inputs name, each once, in the order of the inputs.

    Args:
        inputs: images, of any ending, and videos; folders, for what is in them; or patterns such as ``drive/*.jpg``.
            Names of a folder or pattern are sorted naturally: 2 before 10.

    Returns:
        Absolute paths.

    Raises:
        DataError: an input names nothing, no image or video, or a folder that may not be read.
    """
    return _find(inputs, "image or video", ENDINGS + VIDEO_ENDINGS)


def find_images(inputs: Sequence[str]) -> list[Path]:
    """As `find_files`, of images alone: videos in folders and patterns are left out."""
    return _find(inputs, "image", ENDINGS)


def _find(inputs: Sequence[str], what: str, endings: Sequence[str]) -> list[Path]:
    try:
        found = [path for text in inputs for path in _files_of(text, what, endings)]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be looked at: {error.strerror}.") from error
    return list(dict.fromkeys(Path(os.path.abspath(path)) for path in found))


def is_video(path: Path) -> bool:
    """Tells a video from an image by its content; by its name where it is neither, so that the error names that."""
    try:
        kind = media_kind(path)
    except OSError:
        kind = None
    return path.suffix.lower() in VIDEO_ENDINGS if kind is None else kind == "video"


def camera_number(text: str) -> int | None:
    """N where an input reads ``camera:N`` or, for 0, ``camera``, and no file has that name; else None."""
    match = re.fullmatch(r"camera(?::(\d+))?", text)
    return int(match[1] or 0) if match and not os.path.exists(text) else None


def natural_key(path: Path) -> list:
    """What sorts paths by their names with numbers as numbers, small and capital letters alike."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part) if i % 2 else part.lower()) for i, part in enumerate(parts)]


def _files_of(text: str, what: str, endings: Sequence[str]) -> list[Path]:
    """The files, known by their endings, that one input names."""
    path = Path(text)
    if path.is_dir():
        files = _only_known(path.iterdir(), endings)
        fault = f"the folder {text} holds no {what}"
    elif path.exists():
        return [path]
    else:
        matches = [Path(match) for match in glob.glob(text)]
        if not matches:
            raise DataError(f"there is no {what} or folder {text}, and as a pattern it matches nothing.")
        folders = [path for path in matches if path.is_dir()]
        files = _only_known([*matches, *(path for folder in folders for path in folder.iterdir())], endings)
        fault = f"the pattern {text} matches no {what}, and no folder with one"
    if not files:
        raise DataError(f"{fault}; their names end in {', '.join(endings)}.")
    return files


def _only_known(paths: Iterable[Path], endings: Sequence[str]) -> list[Path]:
    # Hidden files are not the user's: some systems leave one beside every image, under the image's ending.
    files = (path for path in paths if path.suffix.lower() in endings and not path.name.startswith("."))
    return sorted((path for path in files if path.is_file()), key=natural_key)
