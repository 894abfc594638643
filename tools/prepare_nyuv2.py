"""Extract the labelled test frames of NYU Depth v2 to PNG files, and list them as the split nyuv2.

Example: python tools/prepare_nyuv2.py --mat nyu_depth_v2_labeled.mat --splits splits.mat --out nyuv2
"""

import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image
from tqdm import tqdm

from common.atomic_files import atomic_file, check_writable
from common.command_line import OptionParser
from common.environment import run_script
from datasets.depth_maps import encode_depth_png
from datasets.nyuv2_dataset import (
    DEPTHS,
    IMAGES,
    MILLIMETRES,
    NYUv2Dataset,
    read_labelled_frames,
    read_test_numbers,
)
from tools.kitti.split_by_rule import write_lists


def main() -> None:
    """Parse the command line and extract the frames; existing files are replaced."""
    parser = OptionParser(description=__doc__)
    parser.add_argument("--mat", type=Path, required=True, help="nyu_depth_v2_labeled.mat")
    parser.add_argument("--splits", type=Path, required=True, help="splits.mat, with testNdxs")
    parser.add_argument("--out", type=Path, required=True, help="folder for rgb, depth and splits/nyuv2")
    args = parser.parse_args()
    numbers = read_test_numbers(args.splits)
    for part in (IMAGES, DEPTHS):
        check_writable(args.out / part)
    frames = read_labelled_frames(args.mat, numbers)
    for number, image, depth in tqdm(frames, total=len(numbers), unit=" frames", disable=None):
        content = io.BytesIO()
        Image.fromarray(image).save(content, format="PNG")
        depth_png = encode_depth_png(depth, steps_per_metre=MILLIMETRES)
        for part, data in ((IMAGES, content.getvalue()), (DEPTHS, depth_png)):
            with atomic_file(args.out / part / f"{number:04d}.png") as stream:
                stream.write(data)
    folder = args.out / "splits" / "nyuv2"
    check_writable(folder)
    write_lists(NYUv2Dataset.split_lists(args.out), folder)
    print(f"Extracted {len(numbers)} frames. Saved their list to '{folder}'")


if __name__ == "__main__":
    run_script(main)
