"""Inputs of a prediction: images and videos given by path, folder or glob pattern, and cameras."""

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from common.errors import DataError, printable
from common.signatures import media_kind

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
VIDEO_ENDINGS = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"),
)


Note = Callable[[str], None]


def _ignore(note: str) -> None:
    pass


def find_files(inputs: Sequence[str], on_skip: Note = _ignore) -> list[Path]:
    """Find the images and videos of the inputs, without duplicates, in the order of the inputs.

    Args:
        inputs: Image and video files of any extension, folders, or glob patterns such as ``drive/*.jpg``. Files of a
            folder or pattern are sorted naturally: 2 before 10.
        on_skip: Called with a note about the files of a folder or pattern that are skipped, by extension.

    Returns:
        Absolute paths.

    Raises:
        DataError: An input does not exist, contains no image or video, or is a folder without read permission.
    """
    return _find(inputs, "image or video", ENDINGS + VIDEO_ENDINGS, on_skip)


def find_images(inputs: Sequence[str], on_skip: Note = _ignore) -> list[Path]:
    """Find the images of the inputs, as ``find_files`` does; videos in folders and patterns are skipped.

    Raises:
        DataError: As in ``find_files``.
    """
    return _find(inputs, "image", ENDINGS, on_skip)


def _find(inputs: Sequence[str], what: str, endings: Sequence[str], on_skip: Note) -> list[Path]:
    try:
        found = [path for text in inputs for path in _files_of(text, what, endings, on_skip)]
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


def _files_of(text: str, what: str, endings: Sequence[str], on_skip: Note) -> list[Path]:
    """Find the files of one input; files of folders and patterns are selected by extension."""
    path = Path(text)
    if path.is_dir():
        candidates = list(path.iterdir())
        fault = f"the folder {text} contains no {what}"
    elif path.exists():
        return [path]
    else:
        matches = [Path(match) for match in glob.glob(text)]
        if not matches:
            raise DataError(f"{text} not found: expected an {what}, a folder, or a pattern that matches files.")
        folders = [path for path in matches if path.is_dir()]
        candidates = [*matches, *(path for folder in folders for path in folder.iterdir())]
        fault = f"the pattern {text} matches no {what}, and no folder that contains one"
    # Skip hidden files: some systems create one next to every image, with the same extension.
    candidates = [path for path in candidates if not path.name.startswith(".") and path.is_file()]
    files = sorted((path for path in candidates if path.suffix.lower() in endings), key=natural_key)
    chosen = set(files)
    skipped = Counter(path.suffix.lower() or "no extension" for path in candidates if path not in chosen)
    kinds = ", ".join(f"{count} {ending}" for ending, count in skipped.most_common())
    if not files:
        raise DataError(f"{fault} (found: {kinds or 'no file'}; extensions: {', '.join(endings)}).")
    if skipped:
        note = f"Skipping {skipped.total()} files of {text} that are no {what} by their extension: {kinds}"
        on_skip(printable(note))
    return files
