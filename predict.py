"""Predict depth for images, videos, folders, patterns such as 'drive/*.jpg', or a camera.

Example:
    python predict.py INPUT ... --load_weights_folder DIR --output_dir DIR
"""

import itertools
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.atomic_files import atomic_file, check_writable
from common.environment import prepare_environment, run_script, set_device
from common.errors import DataError, OptionsError, Stopped, printable
from common.images import read_image
from common.input_files import camera_number, find_files
from common.progress import Progress
from common.video import TimedFrame, open_camera, open_video
from inference.camera_intrinsics import Intrinsics, make_intrinsics
from inference.from_options import predictor_from
from inference.jobs import Job, VideoJob, open_output_dir, plan_jobs, plan_video
from inference.predict_options import PredictOptions, parse_predict_options
from inference.road_scale import RoadScale
from inference.video_files import CAMERA_RATE, Clock, VideoWriter
from inference.writers import WRITERS, PredictedImage

# Modules that import Paddle are imported where they are used, to report a mistyped option or path at once.
if TYPE_CHECKING:
    from inference.depth_predictor import DepthPredictor, Prediction
    from inference.export.engines import ExportedPredictor

SECONDS_BETWEEN_LINES = 30.0
IMAGES_WORTH_COMPILING = 100  # compiling takes 30 s once and saves 0.2 s per 640x192 image


def main() -> None:
    """Parse the options and predict; exit with status 1 if an input could not be predicted."""
    if predict(parse_predict_options(description=__doc__)):
        raise SystemExit(1)


def predict(opt: PredictOptions) -> list[DataError]:
    """Predict all inputs without outputs yet, and write the requested files.

    Returns:
        One error for each image or video that could not be read or predicted.

    Raises:
        UserError: Nothing can be predicted: no images, weights that do not fit, or an unwritable output folder.
        Stopped: Ctrl-C.
    """
    cameras = [text for text in opt.inputs if camera_number(text) is not None]
    sources = find_files([text for text in opt.inputs if text not in cameras], print)
    output_dir = Path(opt.output_dir)
    jobs = plan_jobs(sources, output_dir, opt.save)
    intrinsics = make_intrinsics(opt.intrinsics, opt.fov)
    check_writable(output_dir)
    predictor = _load(opt)
    since = open_output_dir(output_dir, _settings(opt, predictor), jobs, opt.max_frames, opt.overwrite)
    waiting = [job for job in jobs if not job.is_done(since)]
    if len(waiting) < len(jobs):
        print(f"Skipping {len(jobs) - len(waiting)} of {len(jobs)} images: already predicted")
    if opt.engine == "paddle":
        _choose_kernels(opt, sum(isinstance(job, Job) for job in waiting), len(waiting) + len(cameras))
    run = _Run(opt, predictor, intrinsics, since)
    try:
        run.images([job for job in waiting if isinstance(job, Job)])
        for job in waiting:
            if isinstance(job, VideoJob):
                run.video(job)
        for text in dict.fromkeys(cameras):
            run.camera(camera_number(text), output_dir)
    except KeyboardInterrupt:
        how = "Run the same command without --overwrite" if opt.overwrite else "Run the same command"
        raise Stopped(signal.SIGINT, f"Stopped at {run.place}. {how} to resume.") from None
    count = len(jobs) + len(cameras)
    what = "images" if all(isinstance(job, Job) for job in jobs) and not cameras else "images and videos"
    print(f"Saved predictions of {count - len(run.failures)} {what} to {output_dir}")
    if run.failures:
        print(f"{len(run.failures)} of {count} {what} could not be predicted:", *run.failures, sep="\n")
    return run.failures


def _choose_kernels(opt: PredictOptions, images: int, sources: int) -> None:
    """Enable the C++ operators if requested, or if the run is long enough to pay for compiling them."""
    from layers.kernels.ops import use_kernels

    is_long = images >= IMAGES_WORTH_COMPILING or sources > images  # videos and cameras have many frames
    use_kernels(opt.kernels if opt.kernels != "auto" or is_long else "off")


def _load(opt: PredictOptions) -> "DepthPredictor | ExportedPredictor":
    """Load the predictor and print notes about its weights."""
    prepare_environment()
    import paddle

    from inference.export.engines import ExportedPredictor

    set_device(opt.device)
    if opt.engine == "paddle":
        predictor = predictor_from(opt)
    else:
        device = paddle.device.get_device().partition(":")[0]
        predictor = ExportedPredictor(opt.load_weights_folder, opt.engine, device, opt.scale)
    if predictor.left_out:
        print(f"Skipping parameters that the networks do not have: {', '.join(predictor.left_out)}")
    if predictor.scale is None and opt.camera_height is None:
        refused = [kind for kind in opt.save if WRITERS[kind].needs_metres]
        if refused:
            raise OptionsError(
                f"--save {' '.join(refused)} needs depth in metres, but the weights in {opt.load_weights_folder} have "
                "no metric scale. Pass --scale METRES_PER_UNIT or --camera_height METRES, or set the scale with "
                "tools/set_scale.py. To save depth in scene units, pass --save depth_npy."
            )
        if {"depth_npy", "ply"} & set(opt.save):
            print(
                "Depth is in scene units: these weights have no metric scale. Pass --scale or --camera_height, or set "
                "the scale with tools/set_scale.py."
            )
    return predictor


def _settings(opt: PredictOptions, predictor: "DepthPredictor | ExportedPredictor") -> dict[str, dict[str, Any]]:
    """Collect everything that the outputs of each kind depend on, as JSON-compatible values."""
    network = {
        "checksum of the weights": predictor.checksum(),
        "engine": opt.engine,
        "height and width": list(predictor.size),
        "least and greatest depth": list(predictor.depth_range),
        "post_process": opt.post_process,
    }
    scale = {"metres in a scene unit": predictor.scale, "camera height": opt.camera_height}
    camera = {"intrinsics or field of view": opt.intrinsics or opt.fov}
    settings = {}
    for kind in opt.save:
        writer = WRITERS[kind]
        settings[kind] = {
            **network,
            **(scale if writer.has_depth else {}),
            **(camera if writer.needs_intrinsics or (writer.has_depth and opt.camera_height) else {}),
        }
    return settings


class _Run:
    """Reads, predicts and writes in batches; skips unreadable inputs and records the error.

    Args:
        since: Time from which existing outputs count as done (``open_output_dir``).

    Attributes:
        failures: Errors of the images and videos that could not be read or predicted.
        place: What is being predicted.
    """

    def __init__(
        self,
        opt: PredictOptions,
        predictor: "DepthPredictor | ExportedPredictor",
        intrinsics: Intrinsics | None,
        since: int,
    ) -> None:
        self._opt, self._predictor, self._intrinsics, self._since = opt, predictor, intrinsics, since
        self.failures: list[DataError] = []
        self.place = "the start"

    def images(self, jobs: Sequence[Job]) -> None:
        """Predict images."""
        if not jobs:
            return
        with self._progress(len(jobs), "images") as progress:
            for start in range(0, len(jobs), self._opt.batch_size):
                self.place = f"image {start + 1} of {len(jobs)}"
                batch = jobs[start : start + self._opt.batch_size]
                readable: list[tuple[Job, np.ndarray]] = []
                for job in batch:
                    with self._collect_failures(progress):
                        image = read_image(job.source)
                        self._K(image)  # implausible intrinsics are refused before the prediction
                        readable.append((job, image))
                predictions = self._predict([image for _, image in readable])
                for (job, image), prediction in zip(readable, predictions, strict=True):
                    with self._collect_failures(progress):
                        job.write(self._result(image, prediction, self._road(keep=False), job.source))
                progress.update(len(batch))

    def video(self, job: VideoJob) -> None:
        """Predict the frames of a video file."""
        with ExitStack() as stack:
            # Outside the progress bar: a file that is not a video has no frame count.
            stack.enter_context(self._collect_failures())
            video = stack.enter_context(open_video(job.source))
            print(f"{printable(job.source.name)}: {video.rate:.4g} frames per second")
            count = min(filter(None, (video.expected, self._opt.max_frames)), default=None)
            progress = stack.enter_context(self._progress(count, "frames"))
            writer = None
            if not job.has_video(self._since):
                stream = stack.enter_context(atomic_file(job.video))
                sound = job.source if video.has_sound else None
                cut_sound = self._opt.max_frames is not None
                writer = stack.enter_context(VideoWriter(stream, video.rate, sound, cut_sound))
            self._frames(video.frames, job, writer, progress)

    def camera(self, number: int, output_dir: Path) -> None:
        """Predict the frames of a live camera until Ctrl-C."""
        job = plan_video(Path(f"camera:{number}"), output_dir / f"camera{number}", self._opt.save)
        there = [path for path in (job.video, job.folder) if path is not None and path.exists()]
        if there and not self._opt.overwrite:
            raise DataError(f"{there[0]} already exists. Choose another --output_dir, or pass --overwrite.")
        with ExitStack() as stack:
            frames = stack.enter_context(open_camera(number))
            progress = stack.enter_context(self._progress(self._opt.max_frames, "frames"))
            writer = None
            if job.video is not None:
                stream = stack.enter_context(atomic_file(job.video))
                writer = stack.enter_context(VideoWriter(stream, CAMERA_RATE))
            with suppress(KeyboardInterrupt):
                self._frames((TimedFrame(pixels, None) for pixels in frames), job, writer, progress, Clock())

    def _frames(
        self,
        frames: Iterator[TimedFrame],
        job: VideoJob,
        writer: VideoWriter | None,
        progress: Progress,
        clock: Clock | None = None,
    ) -> None:
        """Predict frames; with a clock (live camera) one by one instead of in batches."""
        numbered = enumerate(itertools.islice(frames, self._opt.max_frames))
        road = self._road(keep=True)
        while batch := list(itertools.islice(numbered, 1 if clock else self._opt.batch_size)):
            self.place = f"frame {batch[0][0]} of {job.source.name}"
            waiting = [(i, frame) for i, frame in batch if writer or not job.frame(i).is_done(self._since)]
            if waiting:
                self._K(waiting[0][1].pixels)  # implausible intrinsics are refused before the prediction
            predictions = self._predict([frame.pixels for _, frame in waiting])
            for (i, (image, seconds)), prediction in zip(waiting, predictions, strict=True):
                job.frame(i).write(self._result(image, prediction, road, f"frame {i} of {job.source}"))
                if writer:
                    writer.write(image, prediction.scaled_disp, clock.times() if clock else 1, seconds=seconds)
            progress.update(len(batch))

    def _predict(self, images: Sequence[np.ndarray]) -> list["Prediction"]:
        return self._predictor(images, post_process=self._opt.post_process)

    def _road(self, keep: bool) -> RoadScale | None:
        return None if self._opt.camera_height is None else RoadScale(self._opt.camera_height, keep)

    def _result(
        self, image: np.ndarray, prediction: "Prediction", road: RoadScale | None, name: Path | str
    ) -> PredictedImage:
        K = self._K(image)
        return PredictedImage(image, road(prediction, K, str(name)) if road else prediction, K)

    def _K(self, image: np.ndarray) -> np.ndarray | None:
        return None if self._intrinsics is None else self._intrinsics(image.shape[:2])

    @contextmanager
    def _progress(self, total: int | None, unit: str) -> Iterator[Progress]:
        progress = Progress(total, unit=unit, seconds=SECONDS_BETWEEN_LINES)
        try:
            yield progress
        finally:
            progress.close()

    @contextmanager
    def _collect_failures(self, progress: Progress | None = None) -> Iterator[None]:
        """Record and print a data error in the block, then continue after it."""
        try:
            yield
        except DataError as error:
            self.failures.append(error)
            (progress.note if progress else print)(str(error))


if __name__ == "__main__":
    run_script(main)
