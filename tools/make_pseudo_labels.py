"""Make pseudo-labels for --pseudo_labels: the inverse depth that trained networks predict for the frames of a split.

Example: python tools/make_pseudo_labels.py --weights logs/teacher/models/weights_best --data_path kitti --out labels

A small network then learns from a large one: python train.py --depth_network lite_mono --pseudo_labels labels ...
Each prediction is averaged with that of the mirrored image. Where the weights have an average (NAME_ema), it is used.
Labels that exist are kept, so that an interrupted run continues when it is repeated.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from common.atomic_files import atomic_file, check_writable
from common.command_help import accepts_options_of
from common.command_line import OptionParser
from common.environment import prepare_environment, run_script, set_device
from common.images import open_image
from common.progress import Progress
from datasets.build import build_loader, dataset_from
from datasets.checks import check_split
from datasets.depth_maps import encode_depth_png
from datasets.map_files import map_path
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine, find_split, read_split_lines
from options import Options, parse_tool_options

if TYPE_CHECKING:
    from inference.depth_predictor import DepthPredictor

PARTS = ("train", "val")
SECONDS_BETWEEN_LINES = 30.0


def main() -> None:
    """Parse the options and make the labels."""
    parser = OptionParser(
        description=__doc__,
        epilog=accepts_options_of(
            "train.py", "--data_path, --split, --dataset, --png, --batch_size, --num_workers, ..."
        ),
    )
    parser.add_argument("--weights", required=True, metavar="FOLDER", help="weights that predict, or published ones")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the labels (default: pseudo_labels in --data_path)"
    )
    own, opt = parse_tool_options(parser)
    prepare_environment()
    make_labels(opt, own.weights, own.out or Path(opt.data_path) / "pseudo_labels")


def make_labels(opt: Options, weights: str, folder: Path) -> int:
    """Predict the missing labels of the training and validation lines of ``split``; return their number.

    Raises:
        DataError: The split has no usable line, or an image is damaged.
        UserError: The folder cannot be written.
        WeightsError: The weights are missing or damaged.
    """
    from inference.from_options import predictor_from
    from training.averaged_weights import SUFFIX

    check_writable(folder)
    average = Path(f"{weights.rstrip('/')}{SUFFIX}")
    chosen = str(average) if average.is_dir() else weights
    split = find_split(opt.split, opt.data_path)
    lines = list(dict.fromkeys(line for part in PARTS for line in read_split_lines(split, part)))
    set_device(opt.device)
    predictor = predictor_from(opt, load_weights_folder=chosen)
    dataset = dataset_from(opt, lines, frame_ids=predictor.model.depth_frames)
    check = check_split(dataset.replace(height=predictor.size[0], width=predictor.size[1]), "train")
    paths = {line: _path(dataset, line, folder) for line in check.kept}
    missing = [line for line in check.kept if not paths[line].is_file()]
    height, width = predictor.size
    print(
        f"{len(missing)} labels to make at {width}x{height} with {chosen}, {len(paths) - len(missing)} found, "
        f"{len(check.dropped)} lines skipped for lack of an image"
    )
    if missing:
        _predict(opt, predictor, dataset.replace(lines=missing, height=height, width=width), paths)
    print(f"Saved to '{folder}'. Train with --pseudo_labels {folder}")
    return len(missing)


def _predict(opt: Options, predictor: "DepthPredictor", dataset: MonoDataset, paths: Mapping[SplitLine, Path]) -> None:
    """Predict and write the label of every line."""
    loader = build_loader(
        dataset, batch_size=opt.batch_size, shuffle=False, num_workers=opt.num_workers, seed=opt.seed, drop_last=False
    )
    progress, lines = Progress(len(dataset), "frames", SECONDS_BETWEEN_LINES), iter(dataset.lines)
    try:
        for batch in loader:
            for disp in predictor.predict_all([batch], post_process=True):
                line = next(lines)
                with atomic_file(paths[line]) as stream:
                    stream.write(encode_label(_in_shape_of(dataset.frame_paths(line)[0], disp)))
                progress.update(1)
    finally:
        progress.close()
        loader.close()


def _in_shape_of(image_path: str, disp: np.ndarray) -> np.ndarray:
    """Stretch a prediction (H, W), which may be squeezed, to the aspect ratio of its image; H remains."""
    with open_image(image_path) as image:
        width = round(len(disp) * image.width / image.height)
    return cv2.resize(disp, (width, len(disp)), interpolation=cv2.INTER_LINEAR)


def encode_label(disp: np.ndarray) -> bytes:
    """Encode inverse depth (H, W) as a 16-bit PNG: its smallest value as 0, its largest as 65535."""
    low, high = float(disp.min()), float(disp.max())
    return encode_depth_png((disp - low) / max(high - low, 1e-12) * 65535, steps_per_metre=1)


def _path(dataset: MonoDataset, line: SplitLine, folder: Path) -> Path:
    return Path(f"{map_path(folder, dataset.image_path(line, 0, line.side), dataset.data_path)}.png")


if __name__ == "__main__":
    run_script(main)
