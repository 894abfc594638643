"""Predicts depth for images, folders of images, or patterns.

``python predict.py INPUT ... --load_weights_folder DIR --output_dir DIR``
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from environment import prepare_environment, run_script, set_device
from errors import DataError, OptionsError
from prediction.inputs import find_images, read_image
from prediction.options import PredictOptions, parse_predict_options
from prediction.outputs import WRITERS, Job, claim_folder, common_folder, plan_jobs
from training.progress import Progress

# What imports Paddle is imported where it is used, so that a mistyped option or path is told at once.
if TYPE_CHECKING:
    from inference import DepthPredictor

SECONDS_BETWEEN_LINES = 30.0


def main() -> None:
    """Parses the options and predicts; the exit status is 1 where an image could not be read."""
    if predict(parse_predict_options()):
        raise SystemExit(1)


def predict(opt: PredictOptions) -> list[DataError]:
    """Predicts all images whose outputs are not there yet, and writes what is asked for.

    Returns:
        What was wrong with the images that could not be read.

    Raises:
        UserError: nothing can be predicted: no images, weights that do not fit, outputs that cannot be written.
    """
    sources = find_images(opt.inputs)
    output_dir = Path(opt.output_dir)
    jobs = plan_jobs(sources, output_dir, opt.save)
    predictor = _load(opt)
    since = claim_folder(output_dir, _settings(opt, predictor, common_folder(sources)), opt.overwrite)
    waiting = [job for job in jobs if not job.is_done(since)]
    if len(waiting) < len(jobs):
        print(f"{len(jobs) - len(waiting)} of {len(jobs)} images are predicted already")
    failures = _run(waiting, predictor, opt) if waiting else []
    print(f"Predictions of {len(jobs) - len(failures)} images in {output_dir}")
    if failures:
        print(f"{len(failures)} of {len(jobs)} images could not be read:", *failures, sep="\n")
    return failures


def _load(opt: PredictOptions) -> "DepthPredictor":
    """The predictor, with what the user should know about it printed."""
    prepare_environment()
    from inference import DepthPredictor

    set_device(opt.device)
    predictor = DepthPredictor.from_folder(
        opt.load_weights_folder,
        num_layers=opt.num_layers,
        height=opt.height,
        width=opt.width,
        min_depth=opt.min_depth,
        max_depth=opt.max_depth,
        scale=opt.scale,
        dataset=opt.dataset,
    )
    if predictor.left_out:
        print(f"Not in the networks, left out: {', '.join(predictor.left_out)}")
    if predictor.scale is None:
        refused = [kind for kind in opt.save if WRITERS[kind].needs_metres]
        if refused:
            raise OptionsError(
                f"--save {' '.join(refused)} needs depth in metres, but {opt.load_weights_folder} does not say that "
                "stereo pairs set its scale: find the scale by tools/set_scale.py, give the metres in a scene unit by "
                "--scale, or save depth_npy"
            )
        if "depth_npy" in opt.save:
            print(
                "Depth is in scene units: these weights do not know their scale, which tools/set_scale.py finds, and "
                "--scale gives"
            )
    return predictor


def _settings(opt: PredictOptions, predictor: "DepthPredictor", folder: Path) -> dict[str, Any]:
    """All that a prediction depends on, as JSON can hold it."""
    return {
        "folder of the images": str(folder),
        "checksum of the weights": predictor.checksum(),
        "height and width": list(predictor.size),
        "least and greatest depth": list(predictor.depth_range),
        "metres in a scene unit": predictor.scale,
        "post_process": opt.post_process,
    }


def _run(jobs: Sequence[Job], predictor: "DepthPredictor", opt: PredictOptions) -> list[DataError]:
    """Reads, predicts and writes by batches; images that cannot be read are told and passed over."""
    failures: list[DataError] = []
    progress = Progress(len(jobs), unit="images", seconds=SECONDS_BETWEEN_LINES)
    try:
        for start in range(0, len(jobs), opt.batch_size):
            batch = jobs[start : start + opt.batch_size]
            readable: list[tuple[Job, np.ndarray]] = []
            for job in batch:
                try:
                    readable.append((job, read_image(job.source)))
                except DataError as error:
                    failures.append(error)
                    progress.note(str(error))
            predictions = predictor([image for _, image in readable], post_process=opt.post_process)
            for (job, image), prediction in zip(readable, predictions, strict=True):
                job.write(image, prediction)
            progress.update(len(batch))
    finally:
        progress.close()
    return failures


if __name__ == "__main__":
    run_script(main)
