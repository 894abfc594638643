"""Split the imported sequences by time or by sequence, and write the lists and the manifest of the dataset.

The manifest records the parts of each sequence. They never change: frames used for training are not tested on after
further sequences are added.
"""

from pathlib import Path
from typing import Any

from common.atomic_files import atomic_file, write_json
from common.errors import DataError
from common.image_motion import TARGET_MOTION
from common.text_files import list_folder
from datasets.frame_table import FRAMES, kept_numbers
from datasets.splits import SplitLine
from serialization.opening import read_json
from tools.video_import.sequence import read_record

MANIFEST = "manifest.json"
SPLIT = "folder"
PARTS = ("train", "val", "test")
WHOLE_SEQUENCES = 8  # so many new sequences are split by sequence: of every eight, one for val and one for test
HELD_OUT = 0.1  # share of a sequence split by time, each for val and test
GAP = 20  # unused frames between the parts of a sequence, at most
MIN_GAP = 2  # so that lines of different parts share no neighbouring frame

Ranges = dict[str, list[int]]  # part -> first and last number


def write_lists(out: Path) -> dict[str, Any]:
    """Split the new sequences, and rewrite the lists and the manifest.

    Returns:
        The manifest.

    Raises:
        DataError: If no sequence is complete, or the manifest cannot be read.
    """
    folders = [out / name for name in list_folder(out)]
    records = {folder.name: record for folder in folders if (record := _record_of(folder))}
    if not records:
        raise DataError(f"{out} contains no complete sequence. Nothing was imported.")
    before = _read_manifest(out)
    known = {
        name: entry["parts"]
        for name, entry in before.items()
        if name in records and entry["plan"] == records[name]["plan"]
    }
    new = [name for name in records if name not in known]
    sequences: dict[str, Any] = {}
    lines: dict[str, list[SplitLine]] = {part: [] for part in PARTS}
    for name, record in records.items():
        numbers = kept_numbers(out / name / FRAMES)
        present = set(numbers)
        targets = [number for number in numbers if {number - 1, number + 1} <= present]
        parts = known.get(name) or _split(targets, new.index(name), len(new))
        sequences[name] = {**record, "parts": parts}
        for part, (first, last) in parts.items():
            sides = "lr" if record.get("baseline") and part == "train" else "l"
            inside = [number for number in targets if first <= number <= last]
            lines[part] += [SplitLine(name, number, side) for number in inside for side in sides]
    for part in PARTS:
        with atomic_file(out / "splits" / SPLIT / f"{part}_files.txt") as stream:
            stream.write("".join(f"{line}\n" for line in lines[part]).encode())
    height, width = next(iter(records.values()))["plan"]["size"]
    manifest = {
        "version": 1,
        "height": height,
        "width": width,
        "target_motion": TARGET_MOTION,
        "lines": {part: len(lines[part]) for part in PARTS},
        "sequences": sequences,
    }
    write_json(out / MANIFEST, manifest)
    return manifest


def _record_of(folder: Path) -> dict[str, Any] | None:
    return read_record(folder) if folder.is_dir() else None


def _read_manifest(out: Path) -> dict[str, Any]:
    """Read the entries of the sequences that are in the lists already, name -> record with its parts."""
    path, advice = out / MANIFEST, "Choose another --out."
    if not path.exists():
        return {}
    content = read_json(path, advice, DataError)
    sequences = content.get("sequences", {}) if isinstance(content, dict) else None
    if not isinstance(sequences, dict) or not all(map(_has_parts, sequences.values())):
        raise DataError(f"{path} is damaged: expected plan and parts of each of 'sequences'. {advice}")
    return sequences


def _has_parts(entry: Any) -> bool:
    parts = entry.get("parts") if isinstance(entry, dict) and "plan" in entry else None
    return isinstance(parts, dict) and all(
        part in PARTS and isinstance(ends, list) and [type(end) for end in ends] == [int, int]
        for part, ends in parts.items()
    )


def _split(targets: list[int], place: int, count: int) -> Ranges:
    """Split the target frames of new sequence number ``place`` of ``count`` into parts."""
    if not targets:
        return {}
    first, last = targets[0], targets[-1]
    if count >= WHOLE_SEQUENCES:
        part = {WHOLE_SEQUENCES - 2: "val", WHOLE_SEQUENCES - 1: "test"}.get(place % WHOLE_SEQUENCES, "train")
        return {part: [first, last]}
    held_out = max(1, round(HELD_OUT * len(targets)))
    gap = min(GAP, max(MIN_GAP, len(targets) // 20))
    starts = len(targets) - 2 * held_out - gap, len(targets) - held_out
    train, val, test = (targets[: starts[0] - gap], targets[starts[0] : starts[1] - gap], targets[starts[1] :])
    parts = {"train": train, "val": val, "test": test}
    return {part: [numbers[0], numbers[-1]] for part, numbers in parts.items() if numbers}
