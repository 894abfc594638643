"""Films the built-in driving world, as somebody's own camera would: videos, the true depth of each frame, the camera.

``python tools/make_video.py --out data/videos``, then ``python tools/import_video.py data/videos/street_01.mp4 ...``
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the processes that draw fill the cores

import cv2
import numpy as np
from tqdm import tqdm

from common.environment import run_script
from common.errors import OptionsError
from common.option_types import OptionParser
from common.process_pool import map_in_processes
from common.video import Mp4Writer
from datasets.cameras import BROWN, FISHEYE, Camera, rescale_and_validate
from datasets.depth_maps import FAST, encode_depth_png
from tools.synthetic import render
from tools.synthetic.street import Street
from tools.synthetic.textures import build_atlas
from tools.video_import.camera_calibration import write_camera_file

QUALITY = 16  # of H.264: hardly to be told from the drawing
LENSES = {  # of a wide lens for action; coefficients as in `layers.camera_models`
    "none": [BROWN, 0, 0, 0, 0, 0, 0, 0, 0],
    "brown": [BROWN, -0.28, 0.09, 0.0008, -0.0006, -0.012, 0, 0, 0],
    "fisheye": [FISHEYE, -0.02, 0.006, -0.003, 0.0005, 0, 0, 0, 0],
}


def main() -> None:
    """Parses the options and films."""
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, help="folder that gets the videos")
    parser.add_argument("--videos", type=int, default=3, help="how many streets are filmed (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each (default %(default)s)")
    parser.add_argument("--fps", type=int, default=30, help="frames a second (default %(default)s)")
    parser.add_argument("--height", type=int, default=192, help="of the images (default %(default)s)")
    parser.add_argument("--width", type=int, default=320, help="of the images (default %(default)s)")
    parser.add_argument("--lens", choices=tuple(LENSES), default="none", help="of the camera (default %(default)s)")
    parser.add_argument("--fov", type=float, help="horizontal FOV, degrees, without the lens (default: KITTI's, 81.5)")
    parser.add_argument("--seed", type=int, default=0, help="another one, other streets (default %(default)s)")
    parser.add_argument("--num_workers", type=int, default=os.cpu_count(), help="processes that draw; 0: the main one")
    args = parser.parse_args()
    for name, least in (("videos", 1), ("seconds", 1), ("fps", 1), ("height", 32), ("width", 64), ("seed", 0)):
        if getattr(args, name) < least:
            raise OptionsError(f"--{name}: got {getattr(args, name)}, expected at least {least}")
    if args.height % 2 or args.width % 2:
        raise OptionsError(f"--height and --width: got {args.height} and {args.width}, expected even numbers")
    if args.fov is not None and not 15 <= args.fov <= 150:
        raise OptionsError(f"--fov: got {args.fov:g}, expected 15 to 150 degrees")
    camera = lens_camera((args.height, args.width), args.lens, args.fov)
    args.out.mkdir(parents=True, exist_ok=True)
    count = round(args.seconds * args.fps)
    with tqdm(total=args.videos * count, unit=" frames", disable=None) as bar:
        for number in range(1, args.videos + 1):
            video = StreetVideo((args.seed, number), count, args.fps, camera)
            views = map_in_processes(video, range(count), args.num_workers)
            for _ in write_street_video(args.out / f"street_{number:02d}", views, args.fps):
                bar.update(1)
    write_camera_file(args.out / "camera.json", camera)
    print(
        f"{args.videos} videos of {count} frames, their depth, and camera.json in {args.out}: {camera.describe()}\n"
        f"To import: python tools/import_video.py {args.out}/*.mp4 --depth {args.out}/*_depth --out DIR "
        f"--camera {args.out}/camera.json"
    )


def lens_camera(size: tuple[int, int], lens: str, degrees: float | None = None) -> Camera:
    """A pinhole with this field of view across, by default KITTI's, behind a lens."""
    K = render.PinholeCamera.like_kitti(*size).K
    if degrees is not None:
        K[0, 0] = K[1, 1] = Camera.from_view(degrees, size, "").K[0, 0]
    return rescale_and_validate(Camera(K, size, np.array(LENSES[lens], float), f"lens {lens}"), size, "the video")


class StreetVideo:
    """Draws the frames of a street as a camera with a lens sees them: called with a number, gives colours and depth.

    Args:
        seed: of the street.
        count: frames.
        fps: a second.
        camera: what films it.
    """

    def __init__(self, seed: tuple[int, ...], count: int, fps: float, camera: Camera) -> None:
        self.street = Street(seed, count, frame_seconds=1 / fps)
        pinhole, self._maps = render.PinholeCamera(*camera.size, camera.K), None
        if camera.has_distortion:
            pinhole, self._maps = _behind(camera)
        self._renderer = render.StreetRenderer(self.street, build_atlas(seed[0]), pinhole)

    def __call__(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Colours, uint8 (H, W, 3), and depth along the axis in metres, float32 (H, W), 0 for the sky."""
        view = self._renderer.render(frame, self.street.poses[frame])
        if self._maps is None:
            return view.color, view.depth
        color, depth = (
            cv2.remap(image, *self._maps, how)
            for image, how in ((view.color, cv2.INTER_CUBIC), (view.depth, cv2.INTER_NEAREST))
        )
        return color, depth


def _behind(camera: Camera) -> tuple[render.PinholeCamera, tuple[np.ndarray, np.ndarray]]:
    """A pinhole camera that sees all that a lens sees, and where in its images the pixels behind the lens look."""
    height, width = camera.size
    y, x = np.mgrid[:height, :width]
    rays = camera.rays(np.stack([x.ravel(), y.ravel()], axis=1).astype(float))
    K = np.array([[camera.K[0, 0], 0, 0], [0, camera.K[1, 1], 0], [0, 0, 1]])
    pixels = rays * np.diag(K)[:2]
    K[:2, 2] = 2 - pixels.min(axis=0)  # a pixel or two around, which are interpolated with
    pixels = (pixels + K[:2, 2]).reshape(height, width, 2).astype(np.float32)
    seen_width, seen_height = (np.ceil(pixels.reshape(-1, 2).max(axis=0)) + 3).astype(int).tolist()
    return render.PinholeCamera(seen_height, seen_width, K), (pixels[..., 0], pixels[..., 1])


def write_street_video(path: Path, views: Iterator[tuple[np.ndarray, np.ndarray]], fps: int) -> Iterator[None]:
    """PATH.mp4, and PATH_depth/FRAME.png as in `datasets.depth_maps`; yields after each frame."""
    depths = path.with_name(f"{path.name}_depth")
    depths.mkdir(exist_ok=True)
    with Mp4Writer(path.with_suffix(".mp4"), fps, crf=QUALITY) as writer:
        for number, (color, depth) in enumerate(views):
            writer.write(color)
            (depths / f"{number:06d}.png").write_bytes(encode_depth_png(depth, compress_level=FAST))
            yield


if __name__ == "__main__":
    run_script(main)
