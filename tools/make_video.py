"""Render videos of the synthetic streets, with the true depth of each frame and the camera file.

Example: python tools/make_video.py --out data/videos --lens fisheye

The videos serve as a user's own recordings for python tools/import_video.py data/videos/street_01.mp4 ...
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # rendering processes already use all cores

from tqdm import tqdm

from common.atomic_files import check_writable
from common.command_line import OptionParser
from common.environment import run_script
from common.errors import OptionsError, shell_quoted
from common.process_pool import map_in_processes
from tools.synthetic.street_video import LENSES, StreetVideo, lens_camera, write_street_video
from tools.video_import.camera_calibration import write_camera_file


def main() -> None:
    """Parse the options and render the videos."""
    parser = OptionParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument(
        "--videos", type=int, default=3, help="number of videos, one street each (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="seconds per video (default: %(default)s)")
    parser.add_argument("--fps", type=int, default=30, help="frames per second (default: %(default)s)")
    parser.add_argument("--height", type=int, default=192, help="image height, pixels (default: %(default)s)")
    parser.add_argument("--width", type=int, default=320, help="image width, pixels (default: %(default)s)")
    parser.add_argument("--lens", choices=tuple(LENSES), default="none", help="lens distortion (default: %(default)s)")
    parser.add_argument("--fov", type=float, help="horizontal FOV before distortion, degrees (default: KITTI's, 81.5)")
    parser.add_argument("--dashcam", action="store_true", help="draw a bonnet and letterbox bars over the view")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the streets (default: %(default)s)")
    parser.add_argument(
        "--num_workers",
        type=int,
        default=os.cpu_count(),
        help="rendering processes; 0 renders in the main process (default: number of cores)",
    )
    args = parser.parse_args()
    for name, least in (("videos", 1), ("seconds", 1), ("fps", 1), ("height", 32), ("width", 64), ("seed", 0)):
        if getattr(args, name) < least:
            raise OptionsError(f"--{name}: got {getattr(args, name)}, expected at least {least}")
    if args.height % 2 or args.width % 2:
        raise OptionsError(f"--height and --width: got {args.height} and {args.width}, expected even numbers")
    if args.fov is not None and not 15 <= args.fov <= 150:
        raise OptionsError(f"--fov: got {args.fov:g}, expected 15 to 150 degrees")
    camera = lens_camera((args.height, args.width), args.lens, args.fov)
    check_writable(args.out)
    args.out.mkdir(parents=True, exist_ok=True)
    count = round(args.seconds * args.fps)
    with tqdm(total=args.videos * count, unit=" frames", disable=None) as bar:
        for number in range(1, args.videos + 1):
            video = StreetVideo((args.seed, number), count, args.fps, camera, dashcam=args.dashcam)
            views = map_in_processes(video, range(count), args.num_workers)
            for _ in write_street_video(args.out / f"street_{number:02d}", views, args.fps):
                bar.update(1)
    write_camera_file(args.out / "camera.json", camera)
    out = shell_quoted(args.out)
    print(
        f"{args.videos} videos of {count} frames with depth and camera.json ({camera.describe()}). "
        f"Saved to '{args.out}'\n"
        f"To import: python tools/import_video.py {out}/*.mp4 --depth {out}/*_depth --out DIR "
        f"--camera {out}/camera.json"
    )


if __name__ == "__main__":
    run_script(main)
