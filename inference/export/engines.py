"""Run exported models with Paddle Inference or ONNX Runtime, and predict with them as with the networks."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from common.environment import cpu_threads
from common.errors import OptionsError, UserError, WeightsError
from inference.depth_predictor import GIVEN_SCALE, Prediction, combine_mirrored
from inference.export.exported_folder import FILES, INFO_FILE, MODEL, read_info
from serialization.manifest import check_manifest

Run = Callable[[np.ndarray], np.ndarray]  # the model's input -> its output


def open_inference(folder: Path, device: str) -> Run:
    """Open a model with Paddle Inference; on the CPU with oneDNN kernels."""
    from paddle import inference

    config = inference.Config(str(folder / f"{MODEL}.json"), str(folder / f"{MODEL}.pdiparams"))
    if device == "gpu":
        config.enable_use_gpu(256, 0)
    else:
        config.disable_gpu()
        config.enable_mkldnn()
        config.set_cpu_math_library_num_threads(cpu_threads())
    config.disable_glog_info()
    predictor = inference.create_predictor(config)
    images = predictor.get_input_handle(predictor.get_input_names()[0])
    output = predictor.get_output_handle(predictor.get_output_names()[0])

    def run(batch: np.ndarray) -> np.ndarray:
        images.copy_from_cpu(np.ascontiguousarray(batch))
        predictor.run()
        return output.copy_to_cpu()

    return run


def open_onnx(folder: Path, device: str) -> Run:
    """Open a model with ONNX Runtime.

    Raises:
        UserError: As for ``onnx_session``.
    """
    return onnx_session(str(folder / f"{MODEL}.onnx"), device)


def onnx_session(model: str | bytes, device: str) -> Run:
    """Open a model with ONNX Runtime.

    Args:
        model: Path or content of a model with one input and one output.
        device: "cpu" or "gpu".

    Raises:
        UserError: ONNX Runtime is not installed, has no CUDA support, or cannot open the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("ONNX Runtime is not installed. Run pip install onnxruntime.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu_threads()
    # Spinning threads would compete with those that read and write images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = ["CUDAExecutionProvider"] if device == "gpu" else []
    if not set(wanted) <= set(onnxruntime.get_available_providers()):
        raise UserError("This ONNX Runtime has no CUDA support. Install onnxruntime-gpu, or pass --device cpu.")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[*wanted, "CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class
        raise UserError(f"ONNX Runtime cannot open the model: {str(error).splitlines()[0]}") from error
    (images,) = session.get_inputs()
    return lambda batch: session.run(None, {images.name: batch})[0]


# Engine -> format of its models, and function that opens one.
ENGINES: dict[str, tuple[str, Callable[[Path, str], Run]]] = {
    "inference": ("paddle", open_inference),
    "onnx": ("onnx", open_onnx),
}


class ExportedPredictor:
    """Depth predictor of an exported model, with the interface of ``DepthPredictor``.

    Args:
        folder: Output of ``tools/export_model.py`` without ``--bare``.
        engine: Key of ``ENGINES``.
        device: "cpu" or "gpu".
        scale: Metres per scene unit; None uses that of the model.

    Attributes:
        info: Description of the model.
        size, depth_range, scale, scale_source: As in ``DepthPredictor``.

    Raises:
        WeightsError: The folder contains no such model, or it is damaged.
        OptionsError: The model contains only the networks.
        UserError: The runtime is not installed.
    """

    left_out: tuple[str, ...] = ()

    def __init__(self, folder: str | Path, engine: str, device: str = "cpu", scale: float | None = None) -> None:
        folder = Path(folder).absolute()
        self.info = read_info(folder)
        kind, open_engine = ENGINES[engine]
        missing = [name for name in FILES[kind] if not (folder / name).is_file()]
        if missing:
            raise WeightsError(
                f"{missing[0]}, which --engine {engine} needs, not found in {folder}. Export the model with "
                f"--format {kind}."
            )
        check_manifest(folder, (INFO_FILE, *FILES[kind]))
        if self.info.bare:
            raise OptionsError(f"The model in {folder} was exported with --bare. Export it without --bare.")
        self.size = self.info.height, self.info.width
        self.depth_range = self.info.min_depth, self.info.max_depth
        self.scale = self.info.scale if scale is None else scale
        stored = "" if self.scale is None else "scale of the exported model"
        self.scale_source = stored if scale is None else GIVEN_SCALE
        # Unit of the model's own depth output.
        self._unit = np.float32(1.0 if self.info.scale is None else self.info.scale)
        self._run = open_engine(folder, device)

    def checksum(self) -> str:
        """Return the checksum of the exported weights, as ``DepthPredictor.checksum`` computes it."""
        return self.info.weights

    def __call__(
        self,
        images: np.ndarray | Sequence[np.ndarray],
        *,
        post_process: bool = False,
        uncertainty: bool = False,
    ) -> Prediction | list[Prediction]:
        """Predict disparity and depth of images as ``DepthPredictor`` does; images of equal size form a batch."""
        if isinstance(images, np.ndarray):
            return self([images], post_process=post_process, uncertainty=uncertainty)[0]
        predictions: dict[int, Prediction] = {}
        for shape in dict.fromkeys(image.shape for image in images):
            chosen = [i for i, image in enumerate(images) if image.shape == shape]
            batch = np.stack([images[i] for i in chosen])
            scaled_disps, doubts = self._unit / self._run(batch), [None] * len(chosen)
            if post_process or uncertainty:
                mirrored = self._unit / self._run(np.ascontiguousarray(batch[:, :, ::-1]))
                scaled_disps, disagreement = combine_mirrored(scaled_disps, mirrored[:, :, ::-1], post_process)
                doubts = list(disagreement) if uncertainty else doubts
            predictions.update(zip(chosen, map(self._prediction, scaled_disps, doubts), strict=True))
        return [predictions[i] for i in range(len(images))]

    def _prediction(self, scaled_disp: np.ndarray, uncertainty: np.ndarray | None) -> Prediction:
        unit = np.float32(1.0 if self.scale is None else self.scale)
        return Prediction(scaled_disp, unit / scaled_disp, self.scale is not None, uncertainty)
