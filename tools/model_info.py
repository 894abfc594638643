"""Print what depth networks cost at a given input size: parameters, multiply-accumulates, memory and time.

Example: python tools/model_info.py resnet18 lite_mono efficientnet_lite0 --height 192 --width 640 --repeat 10
Example: python tools/model_info.py --height 96 --width 320 --train_steps 5
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_line import OptionParser
from common.environment import prepare_environment, run_script
from common.errors import OptionsError
from common.registry import DEPTH_NETWORKS

if TYPE_CHECKING:
    from paddle import nn

MEGABYTE = 1e6
LEGEND = """\
params: millions, without the running statistics of batch norm. GMACs: multiply-accumulates of convolutions, linear
layers and attention for one image. weights, predict, train: megabytes of the weights, of the tensors that a prediction
needs at once, and of those that the forward pass of one image keeps for its backward pass."""


def main() -> None:
    """Parse the command line and print one row per network."""
    parser = OptionParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"(default: all) {', '.join(DEPTH_NETWORKS)}")
    parser.add_argument("--height", type=int, default=192, help="input height, pixels (default: 192)")
    parser.add_argument("--width", type=int, default=640, help="input width, pixels (default: 640)")
    parser.add_argument(
        "--repeat",
        type=int,
        default=0,
        help="also time so many predictions of each network with ONNX Runtime, in turn (default: 0)",
    )
    parser.add_argument(
        "--train_steps",
        type=int,
        default=0,
        help="also time so many training steps of each network, in turn: video, batch size 4 (default: 0)",
    )
    args = parser.parse_args()
    names = args.networks or list(DEPTH_NETWORKS)
    for name in ("repeat", "train_steps"):
        if getattr(args, name) < 0:
            raise OptionsError(f"--{name}: got {getattr(args, name)}, allowed: an integer of at least 0")
    unknown = [name for name in names if name not in DEPTH_NETWORKS]
    if unknown:
        raise OptionsError(f"NETWORK: got {', '.join(unknown)}, allowed: {', '.join(DEPTH_NETWORKS)}")
    prepare_environment()
    from serialization.weights_folder import is_input_size

    if not is_input_size(args.height, args.width):
        raise OptionsError(f"--height and --width: got {args.height} and {args.width}, allowed: multiples of 32")
    print_costs(names, (args.height, args.width), args.repeat, args.train_steps)


def print_costs(names: Sequence[str], size: tuple[int, int], repeat: int, train_steps: int) -> None:
    """Print the table.

    Args:
        names: keys of ``DEPTH_NETWORKS``.
        size: height and width of the image.
        repeat: predictions to time; 0 leaves out the column.
        train_steps: training steps to time; 0 leaves out the column.
    """
    import paddle

    from networks.cost import depth_prediction
    from tools.benchmarks.measure import time_in_turn

    paddle.set_device("cpu")
    predictions = {name: depth_prediction(name, size) for name in names}
    costs = {name: cost_row(network, run) for name, (network, run) in predictions.items()}
    times = {}  # header -> network -> time
    if repeat:
        seconds = time_in_turn({name: fast_prediction(name, size) for name in names}, repeat)
        times["ms/image"] = {name: f"{1e3 * min(each):8.1f}" for name, each in seconds.items()}
    if train_steps:
        seconds = time_in_turn({name: training_step(name, size) for name in names}, train_steps)
        times["s/step"] = {name: f"{min(each):6.2f}" for name, each in seconds.items()}
    width = max(map(len, names))
    print("  ".join([f"{size[1]}x{size[0]}\n{'network':<{width}}", "params  GMACs  weights  predict  train", *times]))
    for name in names:
        print("  ".join([f"{name:<{width}}", costs[name], *(column[name] for column in times.values())]))
    print(LEGEND)


def cost_row(network: "nn.Layer", run: Callable[[], object]) -> str:
    """Count the operations and memory of one prediction, and format them."""
    import paddle

    from networks.cost import count_macs, count_parameters

    parameters = count_parameters(network)
    with paddle.no_grad():
        macs = count_macs(network, run)
        predict = peak_memory(run)[0]
    train = peak_memory(run)[1]
    return (
        f"{parameters / 1e6:6.1f}  {macs / 1e9:5.1f}  {4 * parameters / MEGABYTE:7.1f}  {predict / MEGABYTE:7.1f}  "
        f"{train / MEGABYTE:5.0f}"
    )


def peak_memory(run: Callable[[], object]) -> tuple[int, int]:
    """Return the most bytes of tensors in a call, and the bytes that it keeps with its result."""
    from paddle.base import core

    before = core.host_memory_stat_current_value("Allocated", 0)
    core.host_memory_stat_reset_peak_value("Allocated", 0)
    result = run()
    kept = core.host_memory_stat_current_value("Allocated", 0) - before
    peak = core.host_memory_stat_peak_value("Allocated", 0) - before
    del result
    return peak, kept


def fast_prediction(name: str, size: tuple[int, int]) -> Callable[[], object]:
    """Translate a depth network for ONNX Runtime, and return a function that predicts one image with it."""
    import numpy as np

    from inference.depth_predictor import DepthPredictor
    from inference.export.engines import onnx_session
    from inference.export.onnx_graph import to_onnx
    from inference.export.traced_network import CoreModel
    from networks.monodepth import Monodepth

    networks = CoreModel(DepthPredictor(Monodepth.for_depth(depth_network=name), size))
    networks.eval()
    run = onnx_session(to_onnx(networks, size), "cpu")
    image = np.zeros((1, 3, *size), np.float32)
    return lambda: run(image)


def training_step(name: str, size: tuple[int, int]) -> Callable[[], object]:
    """Build a model with a depth network, and return a function that trains it by one step on video."""
    from options import parse_options
    from tools.benchmarks.step_benchmark import make_step

    words = f"--depth_network {name} --height {size[0]} --width {size[1]} --batch_size 4 --weights_init scratch"
    return make_step("ours", parse_options(f"{words} --device cpu --kernels on".split()))


if __name__ == "__main__":
    run_script(main)
