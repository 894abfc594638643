"""Draw the example pictures and the example video of the page, frames of the built-in world, again.

Run: python -m tools.demo.draw_examples
"""

from pathlib import Path

from PIL import Image

from common.video_writer import Mp4Writer
from tools.demo.examples import PICTURES
from tools.synthetic.world import World

SEED = 5
SIZE = (192, 640)
IMAGES = {"street": 2, "bend": 14, "parked": 8}  # name -> frame number in its drive
VIDEO_FRAMES = 20


def draw_examples(folder: Path, size: tuple[int, int] = SIZE, video_frames: int = VIDEO_FRAMES) -> None:
    """Render three images, each of its own street, and a video.

    Args:
        folder: Where to write them.
        size: (height, width) of the images and the video.
        video_frames: Length of the video, at 10 frames per second.
    """
    folder.mkdir(parents=True, exist_ok=True)
    world = World(*size, frames=20 * len(IMAGES), seed=SEED)
    for drive, (name, frame) in enumerate(IMAGES.items()):
        renderer = world.renderer(drive)
        pixels = renderer.render(frame, renderer.street.poses[frame]).color
        Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=90)
    renderer = World(*size, frames=3 * VIDEO_FRAMES, seed=SEED).renderer(0)
    with Mp4Writer(folder / "drive.mp4", rate=10, crf=23) as writer:
        for frame in range(video_frames):
            writer.write(renderer.render(frame, renderer.street.poses[frame]).color)


if __name__ == "__main__":
    draw_examples(PICTURES)
