"""Benchmark of depth prediction on batches of random images at network size, with random weights; no file is read.

The first line times the predictor with its default engine, as ``predict.py`` runs it. The others time exported models,
end to end (with resizing) and networks only ("_bare"). The baseline is PyTorch in eager mode (networks only) if it is
installed; otherwise exported models are compared with the predictor. Exported models and PyTorch run in separate
processes because thread pools of several libraries in one process compete for cores.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from common.errors import UserError
from options import Options
from tools.benchmarks.measure import result_line, time_in_turn

BATCH_SIZE = 4
BARE = "_bare"  # suffix: networks only
ROOT = Path(__file__).resolve().parents[2]


def run(opt: Options, repeat: int) -> Iterator[dict]:
    """Yield a result line for the predictor, then one per engine and kind of exported model."""
    import paddle

    from inference.depth_predictor import DepthPredictor
    from inference.export.engines import ENGINES
    from inference.export.model_writers import can_write_onnx
    from networks.monodepth import Monodepth
    from serialization.weights_folder import save_weights

    batch_size = opt.batch_size if "batch_size" in opt.explicitly_set else BATCH_SIZE
    paddle.seed(0)
    model = Monodepth.for_depth(depth_network=opt.depth_network)
    predictor = DepthPredictor(model, (opt.height, opt.width), engine="auto")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch_size, opt.height, opt.width, 3), dtype=np.uint8)

    def run_ours() -> np.ndarray:
        return np.stack([prediction.depth for prediction in predictor(list(images))])

    about = {"batch_size": batch_size, "size": f"{opt.width}x{opt.height}", "depth_network": opt.depth_network}
    has_torch = importlib.util.find_spec("torch") is not None and opt.depth_network == "resnet18"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "images.npy", images)
        np.save(folder / "depth.npy", run_ours())
        info = {"height": opt.height, "width": opt.width, "use_stereo": False}
        save_weights(folder / "weights", model.networks(), info)
        _export(predictor, folder)
        engines = [name for name, (kind, _) in ENGINES.items() if kind != "onnx" or can_write_onnx()]
        exported = [name + ending for ending in ("", BARE) for name in engines]
        others = {name: _Process(name, folder) for name in (*exported, *(["torch"] if has_torch else []))}
        try:
            runs = {name: process.run for name, process in others.items()}
            seconds = time_in_turn({"predict": run_ours, **runs}, repeat)
        finally:
            for process in others.values():
                process.close()
    torch = {"baseline": "PyTorch, eager", "baseline_seconds": seconds["torch"]} if has_torch else {}
    ours = {"baseline": "predict", "baseline_seconds": seconds["predict"]}
    yield result_line("predict", "ms/image", seconds["predict"], batch_size, **torch, **about)
    about["differences"] = {name: process.difference for name, process in others.items()}
    for name in exported:
        yield result_line(f"predict_{name}", "ms/image", seconds[name], batch_size, **(torch or ours), **about)


def _export(predictor: "DepthPredictor", folder: Path) -> None:  # noqa: F821  (imported in run)
    """Export the predictor to ``folder`` end to end, and to its subfolder ``BARE`` as networks only."""
    from inference.export.exported_folder import FILES, MODEL
    from inference.export.model_writers import can_write_onnx, write_onnx, write_paddle
    from inference.export.traced_network import CoreModel, EndToEndModel

    for make, place, sizes in (
        (EndToEndModel, folder, "batch height width 3"),
        (CoreModel, folder / BARE, "batch 3 height width"),
    ):
        place.mkdir(exist_ok=True)
        write_paddle(make(predictor), place / MODEL)
        if can_write_onnx():
            write_onnx(place / MODEL, place / FILES["onnx"][0], {"input": sizes, "output": "depth"})


class _Process:
    """A process that predicts the images on request.

    Args:
        name: Engine, with or without ``BARE``, or "torch".
        folder: Folder with the images, the expected depth, the weights and the exported models.

    Attributes:
        difference: Maximum relative difference between its depth and the predictor's.
    """

    def __init__(self, name: str, folder: Path) -> None:
        command = [sys.executable, "-m", "tools.benchmarks.predict_benchmark", name, str(folder)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.difference = float(self.run())

    def run(self) -> str:
        """Predict the images once and return the reply.

        Raises:
            UserError: The process exited unexpectedly.
        """
        print(file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise UserError("A benchmark process exited unexpectedly. Its error message is above.")
        return answer

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()


def _serve(name: str, folder: Path) -> None:
    """Predict the images once per line on stdin, and reply with the maximum relative difference in depth."""
    images, expected = np.load(folder / "images.npy"), np.load(folder / "depth.npy")
    predict = _torch(folder) if name == "torch" else _engine(name, folder)
    for _ in sys.stdin:
        print(float(np.abs(predict(images) / expected - 1).max()), flush=True)


def _engine(name: str, folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    from common.environment import prepare_environment

    prepare_environment()
    from inference.export.engines import ENGINES

    if not name.endswith(BARE):
        return ENGINES[name][1](folder, "cpu")
    run = ENGINES[name.removesuffix(BARE)][1](folder / BARE, "cpu")
    return lambda images: 1 / run(images.transpose(0, 3, 1, 2).astype(np.float32) / 255)


def _torch(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return PyTorch's networks with the same pre- and post-processing as the predictor."""
    import torch

    from serialization.naming import to_pytorch
    from serialization.pdparams import read_pdparams
    from tools.benchmarks.torch_network import DepthNetwork, load_arrays

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    network = DepthNetwork().eval()
    arrays = [to_pytorch(read_pdparams(folder / f"weights/{role}.pdparams")) for role in ("encoder", "depth")]
    load_arrays(network, {**arrays[0], **arrays[1]})

    @torch.inference_mode()
    def predict(images: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        return (1 / (0.01 + 9.99 * network(x)[0]))[:, 0].numpy()

    return predict


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
