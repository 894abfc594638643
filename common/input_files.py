"""Inputs of a prediction: images and videos given by path, folder or glob pattern, and cameras."""

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
    """Find the images and videos of the inputs, without duplicates, in the order of the inputs.

    Args:
        inputs: Image and video files of any extension, folders, or glob patterns such as ``drive/*.jpg``. Files of a
            folder or pattern are sorted naturally: 2 before 10.

    Returns:
        Absolute paths.

    Raises:
        DataError: An input does not exist, contains no image or video, or is a folder without read permission.
    """
    return _find(inputs, "image or video", ENDINGS + VIDEO_ENDINGS)


def find_images(inputs: Sequence[str]) -> list[Path]:
    """Find the images of the inputs, as ``find_files`` does; videos in folders and patterns are skipped.

    Raises:
        DataError: As in ``find_files``.
    """
    return _find(inputs, "image", ENDINGS)


def _find(inputs: Sequence[str], what: str, endings: Sequence[str]) -> list[Path]:
    try:
        found = [path for text in inputs for path in _files_of(text, what, endings)]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return list(dict.fromkeys(Path(os.path.abspath(path)) for path in found))


def is_video(path: Path) -> bool:
    """Return whether a file is a video by its content, or by its extension if the content is unknown or unreadable."""
    try:
        kind = media_kind(path)
    except OSError:
        kind = None
    return path.suffix.lower() in VIDEO_ENDINGS if kind is None else kind == "video"


def camera_number(text: str) -> int | None:
    """Return N for the input ``camera:N`` (0 for ``camera``), or None for any other input or an existing file."""
    match = re.fullmatch(r"camera(?::(\d+))?", text)
    return int(match[1] or 0) if match and not os.path.exists(text) else None


def natural_key(path: Path) -> list:
    """Return a sort key that compares digits as numbers and ignores case."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part) if i % 2 else part.lower()) for i, part in enumerate(parts)]


def _files_of(text: str, what: str, endings: Sequence[str]) -> list[Path]:
    """Find the files of one input; files of folders and patterns are selected by extension."""
    path = Path(text)
    if path.is_dir():
        files = _only_known(path.iterdir(), endings)
        fault = f"the folder {text} contains no {what}"
    elif path.exists():
        return [path]
    else:
        matches = [Path(match) for match in glob.glob(text)]
        if not matches:
            raise DataError(f"{text} not found: expected an {what}, a folder, or a pattern that matches files.")
        folders = [path for path in matches if path.is_dir()]
        files = _only_known([*matches, *(path for folder in folders for path in folder.iterdir())], endings)
        fault = f"the pattern {text} matches no {what}, and no folder that contains one"
    if not files:
        raise DataError(f"{fault} (extensions: {', '.join(endings)}).")
    return files


def _only_known(paths: Iterable[Path], endings: Sequence[str]) -> list[Path]:
    # Skip hidden files: some systems create one next to every image, with the same extension.
    files = (path for path in paths if path.suffix.lower() in endings and not path.name.startswith("."))
    return sorted((path for path in files if path.is_file()), key=natural_key)
