"""Compute a lower bound for the cost of a training step: operations, bytes, and time on a given device.

Example: python tools/step_cost.py --batch_size 12 --tflops 312 --bandwidth 2.0

The command runs one small batch on the CPU and counts the networks' multiply-accumulates, nearly all of the work.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_help import accepts_options_of
from common.command_line import OptionParser
from common.environment import prepare_environment, run_script
from options import parse_tool_options

BYTES_OF_FLOAT = 4
PASSES = 3  # the forward pass and two backward passes (input and weight gradients) of equal cost


def main() -> None:
    """Parse the options and print one line of JSON."""
    parser = OptionParser(
        description=__doc__,
        epilog=accepts_options_of("train.py", "--batch_size, --height, --width, --depth_network, ..."),
    )
    parser.add_argument("--tflops", type=float, default=790, help="compute rate of a device, TFLOP/s (default: 790)")
    parser.add_argument(
        "--bandwidth", type=float, default=4.3, help="memory bandwidth of a device, TB/s (default: 4.3)"
    )
    parser.add_argument("--link", type=float, default=50, help="link between devices, GB/s per direction (default: 50)")
    parser.add_argument("--devices", type=int, default=8, help="devices in the all-reduce of gradients (default: 8)")
    own, opt = parse_tool_options(parser)
    prepare_environment()
    counted = count(opt.replace(batch_size=1))
    operations = PASSES * counted["operations"] * opt.batch_size
    # Activations are written and read once per direction; weights are read once forward and twice backward.
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
    """Count operations (a multiply-add counts as two) and activation bytes of one sample's forward pass.

    Returns:
        "operations", "activation_bytes" and "parameter_bytes".
    """
    from paddle import nn

    from datasets.batch import prepare_batch
    from networks.cost import count_macs
    from tools.benchmarks.step_benchmark import random_batch
    from training.setup import build_model

    model = build_model(opt)
    counted = {"activation_bytes": 0}

    def add(layer, inputs, output) -> None:
        counted["activation_bytes"] += output.size * BYTES_OF_FLOAT

    for layer in model.sublayers():
        if isinstance(layer, (nn.Conv2D, nn.BatchNorm2D, nn.ReLU, nn.MaxPool2D, nn.Linear, nn.LayerNorm)):
            layer.register_forward_post_hook(add)
    batch = prepare_batch(random_batch(opt), opt.scales)
    operations = 2 * count_macs(model, lambda: model(batch))
    return {
        **counted,
        "operations": operations,
        "parameter_bytes": BYTES_OF_FLOAT * sum(p.size for p in model.parameters()),
    }


if __name__ == "__main__":
    run_script(main)
