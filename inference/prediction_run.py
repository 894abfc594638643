"""Predict the inputs of predict.py: read, predict and write them in batches, at the same time."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.atomic_files import atomic_file
from common.background import BackgroundCalls, read_ahead
from common.errors import DataError, printable
from common.images import read_image
from common.progress import Progress
from inference.camera_intrinsics import Intrinsics
from inference.jobs import Job, VideoJob, plan_video
from inference.predict_options import PredictOptions
from inference.road_scale import RoadScale
from inference.writers import WRITERS, PredictedImage

# Modules that import Paddle or PyAV are imported where they are used: neither a mistyped option nor an image must wait.
if TYPE_CHECKING:
    from common.video import TimedFrame
    from inference.depth_predictor import DepthPredictor, Prediction
    from inference.export.engines import ExportedPredictor
    from inference.video_files import Clock, VideoWriter

SECONDS_BETWEEN_LINES = 30.0
READ_AHEAD, WRITE_BEHIND = 2, 1  # batches


@dataclass
class _Item:
    """An image or frame on its way from the reader to the writer.

    Attributes:
        image: uint8 (H, W, 3), RGB; None if it could not be read, or its outputs exist.
        error: Why it could not be read.
        number: Number of the frame.
        seconds: Time of the frame since the start of the video, if known.
        prediction: None until it is predicted.
    """

    job: Job
    image: np.ndarray | None = None
    error: DataError | None = None
    number: int = 0
    seconds: float | None = None
    prediction: "Prediction | None" = None


@dataclass(frozen=True)
class _Batch:
    """Images or frames that are predicted at once.

    Attributes:
        start: Number of the first.
    """

    start: int
    items: list[_Item]


class PredictionRun:
    """Reads, predicts and writes in batches; skips unreadable inputs and records the error.

    Args:
        since: Time from which existing outputs count as done (``open_output_dir``).

    Attributes:
        failures: Errors of the images and videos that could not be read or predicted.
        place: What is being predicted.
        road_scales: Metres per scene unit of each image or frame, where ``--camera_height`` sets them.
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
        self.road_scales: list[float] = []

    def images(self, jobs: Sequence[Job]) -> None:
        """Predict images."""
        if not jobs:
            return
        with self._progress(len(jobs), "images") as progress:
            self._overlap(
                self._read(jobs),
                lambda batch: self._write_images(batch, progress),
                lambda number: f"image {number + 1} of {len(jobs)}",
            )

    def _read(self, jobs: Sequence[Job]) -> Iterator["_Batch"]:
        """Read images in batches."""
        for start in range(0, len(jobs), self._opt.batch_size):
            items = []
            for job in jobs[start : start + self._opt.batch_size]:
                try:
                    image = read_image(job.source)
                    self._K(image)  # implausible intrinsics are refused before the prediction
                    items.append(_Item(job, image))
                except DataError as error:
                    items.append(_Item(job, error=error))
            yield _Batch(start, items)

    def _write_images(self, batch: "_Batch", progress: Progress) -> None:
        """Write the predictions of images, and report those that failed."""
        for item in batch.items:
            with self._collect_failures(progress):
                if item.error:
                    raise item.error
                item.job.write(self._result(item, self._road(keep=False), item.job.source))
        progress.update(len(batch.items))

    def _overlap(
        self, batches: Iterable["_Batch"], write: Callable[["_Batch"], None], place: Callable[[int], str]
    ) -> None:
        """Read, predict and write batches at the same time: this thread predicts the next one while others are written.

        Args:
            batches: Batches to predict, read in a second thread.
            write: Writes a predicted batch, in a third thread.
            place: Return the description of an image or frame, by its number.
        """
        with closing(read_ahead(batches, READ_AHEAD)) as ready, BackgroundCalls(WRITE_BEHIND) as writing:
            for batch in ready:
                self.place = place(batch.start)
                self._predict(batch)
                writing.submit(write, batch)

    def video(self, job: VideoJob) -> None:
        """Predict the frames of a video file."""
        from common.video import open_video
        from inference.video_files import VideoWriter

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

    def camera_job(self, number: int, output_dir: Path) -> VideoJob:
        """Plan the outputs of a live camera."""
        return plan_video(Path(f"camera:{number}"), output_dir / f"camera{number}", self._opt.save)

    def camera(self, number: int, output_dir: Path) -> None:
        """Predict the frames of a live camera until Ctrl-C."""
        from common.video import TimedFrame, open_camera
        from inference.video_files import CAMERA_RATE, Clock, VideoWriter

        job = self.camera_job(number, output_dir)
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
        frames: "Iterator[TimedFrame]",
        job: VideoJob,
        writer: "VideoWriter | None",
        progress: Progress,
        clock: "Clock | None" = None,
    ) -> None:
        """Predict frames; with a clock (live camera) one by one instead of in batches."""
        road = self._road(keep=True)

        def write(batch: _Batch) -> None:
            for item in batch.items:
                if item.prediction is not None:
                    item.job.write(self._result(item, road, f"frame {item.number} of {job.source}"))
                    if writer:
                        times = clock.times() if clock else 1
                        writer.write(item.image, item.prediction.scaled_disp, times, seconds=item.seconds)
            progress.update(len(batch.items))

        def place(number: int) -> str:
            return f"frame {number} of {job.source.name}"

        batches = self._frame_batches(frames, job, always=writer is not None, size=1 if clock else self._opt.batch_size)
        if not clock:
            self._overlap(batches, write, place)
            return
        for batch in batches:  # a frame that waits in memory would be outdated
            self.place = place(batch.start)
            self._predict(batch)
            write(batch)

    def _frame_batches(
        self, frames: "Iterator[TimedFrame]", job: VideoJob, *, always: bool, size: int
    ) -> Iterator["_Batch"]:
        """Read frames in batches; images of frames that are done already are left out, unless ``always``."""
        numbered = enumerate(itertools.islice(frames, self._opt.max_frames))
        while batch := list(itertools.islice(numbered, size)):
            items = []
            for number, (image, seconds) in batch:
                frame = job.frame(number)
                waits = always or not frame.is_done(self._since)
                items.append(_Item(frame, image if waits else None, number=number, seconds=seconds))
            first = next((item.image for item in items if item.image is not None), None)
            if first is not None:
                self._K(first)  # implausible intrinsics are refused before the prediction
            yield _Batch(batch[0][0], items)

    def _predict(self, batch: "_Batch") -> None:
        readable = [item for item in batch.items if item.image is not None]
        mirrored = any(WRITERS[kind].needs_mirrored for kind in self._opt.save)
        images = [item.image for item in readable]
        predictions = self._predictor(images, post_process=self._opt.post_process, uncertainty=mirrored)
        for item, prediction in zip(readable, predictions, strict=True):
            item.prediction = prediction

    def _road(self, keep: bool) -> RoadScale | None:
        return None if self._opt.camera_height is None else RoadScale(self._opt.camera_height, keep)

    def _result(self, item: "_Item", road: RoadScale | None, name: Path | str) -> PredictedImage:
        K, prediction = self._K(item.image), item.prediction
        if road:
            prediction = road(prediction, K, str(name))
            self.road_scales.append(road.last)
        return PredictedImage(item.image, prediction, K)

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
