"""Whether frames to be scored are among those that the weights were trained on.

A folder of weights in its run tells by the run's ``opt.json``, which names the split: its training lines, and of each
the neighbours and the other camera that training saw, are compared with the lines to score. So are those of the run
that it was finetuned from, as long as that is where it was.

What this cannot know: what weights outside a run were trained on, or ImageNet weights; that a split's lists were others
when the run was made; that frames have other names elsewhere, as KITTI's odometry sequences have, which are drives of
KITTI raw. Lines that training dropped, since images were missing, count as trained on.
"""

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
    """What is known of the training.

    Attributes:
        seen: those of the lines that were trained on.
        known: split names of the trainings that were compared.
        unknown: why there may be more, "" where nothing is missing.
    """

    seen: tuple[SplitLine, ...]
    known: tuple[str, ...]
    unknown: str


def training_overlap(weights: str | Path, lines: Sequence[SplitLine], opt: Options) -> TrainingOverlap:
    """Compares lines with what the weights in a folder were trained on.

    Args:
        weights: the folder.
        lines: frames to score.
        opt: of the evaluation; its data_path is looked in, should the run's have moved.
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
                frames = _frames_seen(trained, opt.data_path)
                seen |= {line for line in lines if line in frames}
            known.append(trained.split_name)
            following = trained.load_weights_folder
        except (DataError, OptionsError) as error:
            unknown = str(error).splitlines()[0]
    return TrainingOverlap(tuple(line for line in lines if line in seen), tuple(known), unknown)


def check_leakage(opt: Options, lines: Sequence[SplitLine]) -> None:
    """Prints what is not known of the training of ``load_weights_folder``.

    Raises:
        DataError: lines were trained on, and ``--eval_trained_frames`` does not allow it.
    """
    overlap = training_overlap(str(opt.load_weights_folder), lines, opt)
    if overlap.seen:
        message = (
            f"{len(overlap.seen)} of the {len(lines)} frames to score were trained on by these weights "
            f"(split {', '.join(overlap.known)}), for example {overlap.seen[0]}"
        )
        if not opt.eval_trained_frames:
            raise DataError(
                f"{message}: scores on them say nothing about new frames. Choose another --eval_split, or add "
                "--eval_trained_frames to score them all the same."
            )
        print(f"Note: {message}.")
    if overlap.unknown:
        print(f"Note: not all that these weights were trained on is known: {overlap.unknown}")


def _options_of(weights: Path) -> Options:
    """The options of the run: beside the weights' folder, or in it, as in a checkpoint."""
    for path in (weights / _OPTIONS_FILE, weights.parent / _OPTIONS_FILE):
        if path.is_file():
            return Options.load(path)
    raise DataError(f"{weights} lies in no run that would tell (no {_OPTIONS_FILE}).")


def _frames_seen(trained: Options, data_path: str) -> set[SplitLine]:
    """Every image that training sees."""
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
