"""What a training step costs at least: operations, bytes, and the time that a device and its links need for them.

``python tools/step_cost.py [--batch_size 12 ...]`` takes train.py's options, computes one small batch on the CPU, and
counts the networks' convolutions, which are nearly all of the work. Limits of a device are given by hand.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.environment import prepare_environment, run_script
from common.option_types import OptionParser
from options import parse_options

BYTES_OF_FLOAT = 4
PASSES = 3  # forward, and a backward pass by inputs and one by weights, each as large


def main() -> None:
    """Parses the options and prints one line of JSON."""
    parser = OptionParser(
        description="Counts the operations and bytes of a training step, and the least time that they take.",
        epilog="Further options are those of train.py, with the same meaning.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--tflops", type=float, default=790, help="the device's 1e12 operations a second (default: 790)"
    )
    parser.add_argument("--bandwidth", type=float, default=4.3, help="of its memory, TB/s (default: 4.3)")
    parser.add_argument("--link", type=float, default=50, help="between devices, GB/s each way (default: 50)")
    parser.add_argument("--devices", type=int, default=8, help="that share the gradients (default: 8)")
    own, others = parser.parse_known_args()
    opt = parse_options(others)
    prepare_environment()
    counted = count(opt.replace(batch_size=1))
    operations = PASSES * counted["operations"] * opt.batch_size
    # Each activation is written and read once forward and once backward; each weight once forward, twice backward.
    moved = 4 * counted["activation_bytes"] * opt.batch_size + PASSES * counted["parameter_bytes"]
    all_reduce = 2 * (own.devices - 1) / own.devices * counted["parameter_bytes"]
    line = {
        "batch_size": opt.batch_size,
        "size": f"{opt.width}x{opt.height}",
        "frames": list(opt.all_frames),
        "parameters": counted["parameter_bytes"] // BYTES_OF_FLOAT,
        "step_tera_operations": round(operations / 1e12, 3),
        "step_gigabytes": round(moved / 1e9, 2),
        "compute_ms": round(1e3 * operations / (own.tflops * 1e12), 2),
        "memory_ms": round(1e3 * moved / (own.bandwidth * 1e12), 2),
        "all_reduce_megabytes": round(all_reduce / 1e6, 1),
        "all_reduce_ms": round(1e3 * all_reduce / (own.link * 1e9), 2),
    }
    least = max(line["compute_ms"], line["memory_ms"])
    line["samples_a_second_at_most"] = round(1e3 * opt.batch_size / least)
    print(json.dumps(line))


def count(opt) -> dict[str, int]:
    """Operations (a product and a sum are two) and bytes of activations of a sample's forward pass, and of weights."""
    from paddle import nn

    from datasets.batch import prepare_batch
    from tools.benchmarks.step_benchmark import random_batch
    from training.setup import build_model

    model = build_model(opt)
    counted = {"operations": 0, "activation_bytes": 0}

    def add(layer, inputs, output) -> None:
        counted["activation_bytes"] += output.size * BYTES_OF_FLOAT
        if isinstance(layer, nn.Conv2D):
            counted["operations"] += 2 * output.size * layer.weight.size // layer.weight.shape[0]

    for layer in model.sublayers():
        if isinstance(layer, (nn.Conv2D, nn.BatchNorm2D, nn.ReLU, nn.MaxPool2D)):
            layer.register_forward_post_hook(add)
    batch = prepare_batch(random_batch(opt), opt.scales)
    model(batch)
    return {**counted, "parameter_bytes": BYTES_OF_FLOAT * sum(p.size for p in model.parameters())}


if __name__ == "__main__":
    run_script(main)
