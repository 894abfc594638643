"""Check whether frames to be scored are among the training frames of the weights.

A weights folder in its run has the run's ``opt.json``, which names the split. The check compares the frames to score
with the training lines of that split, including the neighbours and the other camera that training saw. It follows
``load_weights_folder`` to the run that the weights were fine-tuned from, as long as that run is still in place.

Not covered:

- weights outside a run, and ImageNet weights;
- split lists that were edited after training;
- frames with two names: KITTI's odometry sequences are drives of KITTI raw.

Lines that training dropped because images were missing count as training frames.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.atomic_files import resolve_complete_dir
from common.errors import DataError, OptionsError
from datasets.mono_dataset import OTHER_SIDE
from datasets.splits import SplitLine, find_split, read_split_lines
from options import Options

_OPTIONS_FILE = "opt.json"


@dataclass(frozen=True)
class TrainingOverlap:
    """Result of the comparison.

    Attributes:
        seen: Lines that were trained on.
        known: Names of the training splits that were compared.
        unknown: Reason why there may be more training frames; "" if all are known.
    """

    seen: tuple[SplitLine, ...]
    known: tuple[str, ...]
    unknown: str


def training_overlap(weights: str | Path, lines: Sequence[SplitLine], opt: Options) -> TrainingOverlap:
    """Compare lines with the training frames of a weights folder.

    Args:
        weights: The weights folder.
        lines: Frames to score.
        opt: Options of the evaluation; ``data_path`` is searched if the run's own split has moved.
    """
    seen: set[SplitLine] = set()
    known: list[str] = []
    unknown = ""
    visited: set[Path] = set()
    following: str | Path | None = weights
    while following is not None and not unknown:
        folder = resolve_complete_dir(Path(following).absolute())
        if folder in visited:
            break
        visited.add(folder)
        try:
            trained = _options_of(folder)
            if (trained.dataset == "kitti_odom") == (opt.dataset == "kitti_odom"):
                roots = [trained.data_path, opt.data_path]
                frames = {_normalised(line, roots) for line in _frames_seen(trained, opt.data_path)}
                seen |= {line for line in lines if _normalised(line, roots) in frames}
            known.append(trained.split_name)
            following = trained.load_weights_folder
        except (DataError, OptionsError) as error:
            unknown = str(error).splitlines()[0]
    return TrainingOverlap(tuple(line for line in lines if line in seen), tuple(known), unknown)


def check_leakage(opt: Options, lines: Sequence[SplitLine]) -> None:
    """Refuse to score training frames; print a note if not all training frames of the weights are known.

    Raises:
        DataError: Lines were trained on, and ``--eval_trained_frames`` is not set.
    """
    overlap = training_overlap(str(opt.load_weights_folder), lines, opt)
    if overlap.seen:
        message = (
            f"{len(overlap.seen)} of the {len(lines)} frames to score are training frames of these weights "
            f"(split {', '.join(overlap.known)}), for example {overlap.seen[0]}"
        )
        if not opt.eval_trained_frames:
            raise DataError(
                f"{message}. Their scores do not measure generalisation. Choose another --eval_split, or pass "
                "--eval_trained_frames to score them anyway."
            )
        print(f"Note: {message}.")
    if overlap.unknown:
        print(f"Note: not all training frames of these weights are known: {overlap.unknown}")


def _options_of(weights: Path) -> Options:
    """Load the options of the run, from next to the weights folder or from inside it, as in a checkpoint."""
    for path in (weights / _OPTIONS_FILE, weights.parent / _OPTIONS_FILE):
        if path.is_file():
            return Options.load(path)
    raise DataError(f"{weights} is not in a run folder ({_OPTIONS_FILE} not found).")


def _normalised(line: SplitLine, data_paths: Sequence[str]) -> SplitLine:
    """Return a line with one spelling of its folder, below one of the data paths where it is there."""
    folder = os.path.normpath(line.folder)
    if folder.isdecimal():  # a sequence of odometry
        return line._replace(folder=folder.zfill(2))
    roots = [os.path.abspath(path) for path in data_paths]
    if folder.startswith(os.pardir):
        folder = os.path.normpath(os.path.join(roots[0], folder))
    inside = (root for root in roots if folder.startswith(root + os.sep))
    return line._replace(folder=next((os.path.relpath(folder, root) for root in inside), folder))


def _frames_seen(trained: Options, data_path: str) -> set[SplitLine]:
    """Return every image that training sees."""
    try:
        split = find_split(trained.split, trained.data_path)
    except DataError:
        split = find_split(trained.split, data_path)
    frames = set()
    for line in read_split_lines(split, "train"):
        frames.update(line._replace(frame=line.frame + offset) for offset in trained.frame_ids)
        if trained.use_stereo:
            frames.add(line._replace(side=OTHER_SIDE[line.side]))
    return frames
