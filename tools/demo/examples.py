"""Example inputs of the page: synthetic scenes, rendered when the page starts."""

from pathlib import Path

from PIL import Image

from common.video_writer import Mp4Writer
from tools.synthetic.world import World

SEED = 5
IMAGES = {"street": 2, "bend": 14, "parked": 8}  # name -> frame number in its drive
IMAGE_SIZE = (192, 640)
VIDEO_SIZE = (128, 416)
VIDEO_FRAMES = 20


def draw_examples(folder: Path) -> list[Path]:
    """Render three images and a video into ``folder``.

    Returns:
        Their paths; the video is last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    world = World(*IMAGE_SIZE, frames=20 * len(IMAGES), seed=SEED)
    paths = []
    for drive, (name, frame) in enumerate(IMAGES.items()):
        renderer = world.renderer(drive)
        path = folder / f"{name}.jpg"
        Image.fromarray(renderer.render(frame, renderer.street.poses[frame]).color).save(path, quality=95)
        paths.append(path)
    renderer = World(*VIDEO_SIZE, frames=3 * VIDEO_FRAMES, seed=SEED).renderer(0)
    video = folder / "drive.mp4"
    with Mp4Writer(video, rate=10, crf=23) as writer:
        for frame in range(VIDEO_FRAMES):
            writer.write(renderer.render(frame, renderer.street.poses[frame]).color)
    return [*paths, video]
