"""Predict depth for images, videos, folders, patterns such as 'drive/*.jpg', or a camera.

Example:
    python predict.py PHOTO
    python predict.py INPUT ... --load_weights_folder WEIGHTS --output_dir DIR
"""

import dataclasses
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.atomic_files import check_writable
from common.environment import prepare_environment, run_script, set_device
from common.errors import DataError, OptionsError, Stopped
from common.input_files import camera_number, find_files
from inference.camera_intrinsics import make_intrinsics
from inference.from_options import predictor_from
from inference.jobs import Job, VideoJob, count_outputs, open_output_dir, plan_jobs
from inference.predict_options import LAYER_ENGINES, PredictOptions, parse_predict_options
from inference.prediction_run import PredictionRun
from inference.scale_message import describe_unit
from inference.writers import WRITERS
from serialization.weights_download import default_weights

# Modules that import Paddle are imported where they are used, to report a mistyped option or path at once.
if TYPE_CHECKING:
    from inference.depth_predictor import DepthPredictor
    from inference.export.engines import ExportedPredictor

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
    if opt.load_weights_folder is None:
        opt = dataclasses.replace(opt, load_weights_folder=default_weights())
    predictor = _load(opt)
    since = open_output_dir(output_dir, _settings(opt, predictor), jobs, opt.max_frames, opt.overwrite)
    waiting = [job for job in jobs if not job.is_done(since)]
    if len(waiting) < len(jobs):
        print(f"Skipping {len(jobs) - len(waiting)} of {len(jobs)} images: already predicted")
    if opt.engine in LAYER_ENGINES and predictor.fast_network is None:
        _choose_kernels(opt, sum(isinstance(job, Job) for job in waiting), len(waiting) + len(cameras))
    run = PredictionRun(opt, predictor, intrinsics, since)
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
    jobs += [run.camera_job(camera_number(text), output_dir) for text in dict.fromkeys(cameras)]
    count, saved = len(jobs), len(jobs) - len(run.failures)
    if saved:
        files = ", ".join(f"{number} *{ending}" for ending, number in count_outputs(jobs).items())
        print(f"Saved predictions of {saved} {_noun(jobs, saved)} to {output_dir}{': ' if files else ''}{files}")
        print(describe_unit(predictor, opt.camera_height, run.road_scales))
    if run.failures:
        print(f"{len(run.failures)} of {count} {_noun(jobs, count)} could not be predicted:", *run.failures, sep="\n")
    return run.failures


def _noun(jobs: Sequence[Job | VideoJob], count: int) -> str:
    """Return what the jobs predict, for a sentence about ``count`` of them."""
    images = sum(isinstance(job, Job) for job in jobs)
    noun = "image" if images == len(jobs) else "input" if images else "video"
    return noun if count == 1 else f"{noun}s"


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
    if opt.engine in LAYER_ENGINES:
        # Whoever requests the operators wants the layers that use them.
        predictor = predictor_from(opt, engine="paddle" if opt.kernels == "on" else opt.engine)
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
        if any(WRITERS[kind].has_depth for kind in opt.save):
            print(
                "Depth is in scene units: these weights have no metric scale. Pass --scale or --camera_height, or set "
                "the scale with tools/set_scale.py."
            )
    return predictor


def _settings(opt: PredictOptions, predictor: "DepthPredictor | ExportedPredictor") -> dict[str, dict[str, Any]]:
    """Collect everything that the outputs of each kind depend on, as JSON-compatible values."""
    network = {
        "checksum of the weights": predictor.checksum(),
        "engine": "paddle" if opt.engine in LAYER_ENGINES else opt.engine,  # the same results up to rounding
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


if __name__ == "__main__":
    run_script(main)
