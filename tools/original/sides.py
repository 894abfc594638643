"""The two sides of the comparison, each in a process of its own: a framework, a thread count, a peak memory.

Run as ``python -m tools.original.sides KIND SETTINGS``; ``comparison`` asks the questions. The original's side imports
neither Paddle nor the packages of this project that have names of the original's.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.environment import prepare_environment, run_script
from common.errors import UserError, printable
from tools.benchmarks.measure import peak_memory_mb
from tools.benchmarks.step_process import answer_questions
from tools.original.checkout import Checkout, check_torch


class OriginalSide:
    """The original's trainer and evaluation.

    Args:
        checkout: Folder of the checkout.
        arguments: Command line of the original.
        threads: CPU threads of PyTorch.
        seed: Seed of the initial weights.
        perturb: Change every initial weight by one unit in the last place, up or down.
    """

    def __init__(self, checkout: str, arguments: list[str], threads: int, seed: int, perturb: bool = False) -> None:
        check_torch()
        self._code = Checkout(Path(checkout))
        self._torch = self._code.trainer.torch
        self._torch.set_num_threads(threads)
        self._torch.manual_seed(seed)
        self._options = self._code.parsed_options(arguments)
        with tempfile.TemporaryDirectory() as folder:  # where the trainer writes its options
            self._options.log_dir = folder
            self._trainer = _guarded("Trainer", self._code.trainer.Trainer)(self._options)
        self._trainer.set_train()
        if perturb:
            self._perturb()

    def answers(self) -> dict[str, Callable[..., Any]]:
        """Return the questions of ``comparison``."""
        answers = {"write_weights": self.write_weights, "step": self.step, "evaluate": self.evaluate}
        return {name: _guarded(name, answer) for name, answer in answers.items()} | {
            "peak_memory_mb": peak_memory_mb,
            "version": lambda: self._torch.__version__,
        }

    def _perturb(self) -> None:
        torch = self._torch
        with torch.no_grad():
            for weights in self._trainer.parameters_to_train:
                towards = torch.where(torch.rand_like(weights) < 0.5, -torch.inf, torch.inf)
                weights.copy_(torch.nextafter(weights, towards))

    def write_weights(self, folder: str) -> str:
        """Write the weights with the original's own code, and return their folder."""
        self._trainer.log_path, self._trainer.epoch = folder, 0
        self._trainer.save_model()
        return str(Path(folder) / "models" / "weights_0")

    def step(self, batch_file: str) -> tuple[float, float]:
        """Run a training step; return its loss and its seconds."""
        from tools.benchmarks.torch_step import prepare_batch

        raw = {key: self._torch.from_numpy(array) for key, array in read_batch(batch_file).items()}
        started = time.perf_counter()
        batch = prepare_batch(raw, self._options.scales, self._options.v1_multiscale)
        _, losses = self._trainer.process_batch({_original_key(key): value for key, value in batch.items()})
        self._trainer.model_optimizer.zero_grad()
        losses["loss"].backward()
        self._trainer.model_optimizer.step()
        return losses["loss"].item(), time.perf_counter() - started

    def evaluate(self, disparities: str, splits: str, split: str, mode: str) -> list[list[float]]:
        """Score disparities with the original's own code.

        Args:
            disparities: ``.npy`` file, (N, h, w).
            splits: Folder with ``SPLIT/gt_depths.npz``.
            split: "eigen" for the Eigen crop, "eigen_benchmark" for all pixels.
            mode: "mono" for median scaling, "stereo" for the factor 5.4.

        Returns:
            N lists of seven metrics.
        """
        code, rows = self._code.evaluation, []
        compute_errors = code.compute_errors

        def recorded(*depths: np.ndarray) -> Any:
            rows.append([float(error) for error in compute_errors(*depths)])
            return rows[-1]

        code.splits_dir, code.compute_errors = splits, recorded
        try:
            arguments = ["--ext_disp_to_eval", disparities, "--eval_split", split, f"--eval_{mode}"]
            code.evaluate(self._code.parsed_options(arguments))
        finally:
            code.compute_errors = compute_errors
        return rows


class OurSide:
    """This project's training step.

    Args:
        options: ``Options.as_dict()``.
        weights: Weights folder of the original, loaded unchanged.
        total_steps: Steps of the comparison.
    """

    def __init__(self, options: Mapping[str, Any], weights: str, total_steps: int) -> None:
        prepare_environment()
        import paddle

        from common.environment import set_device
        from common.option_types import checked_mapping
        from options import OPTION_FIELDS, Options
        from serialization.weights_folder import load_weights
        from tools.benchmarks.our_step import OurStep

        self._opt = Options(**checked_mapping(OPTION_FIELDS, options, "the options of the comparison"))
        set_device(self._opt.device)
        self._step = OurStep(self._opt, total_steps)
        networks = self._step.model.networks()
        load_weights(weights, networks, networks)
        self._step.compute_loss.terms["reprojection"].tie_breaking_noise = 0.0
        self._version = paddle.__version__

    def answers(self) -> dict[str, Callable[..., Any]]:
        """Return the questions of ``comparison``."""
        return {
            "step": self.step,
            "write_weights": self.write_weights,
            "peak_memory_mb": peak_memory_mb,
            "version": lambda: f"{self._version}, C++ operators {'on' if self._step.kernels_on else 'off'}",
        }

    def step(self, batch_file: str) -> tuple[float, float]:
        """Run a training step; return its loss and its seconds."""
        raw = read_batch(batch_file)
        started = time.perf_counter()
        loss = self._step(raw)
        return loss, time.perf_counter() - started

    def write_weights(self, folder: str) -> str:
        """Write the weights, and return their folder."""
        from serialization.weights_folder import save_weights
        from training.setup import weights_info

        save_weights(folder, self._step.model.networks(), weights_info(self._opt, None))
        return folder


def write_batch(path: Path, batch: Mapping[str, Any]) -> None:
    """Write the arrays of a batch in the loader's format; both sides read the same file."""
    np.savez(path, **{key: value for key, value in batch.items() if isinstance(value, np.ndarray)})


def read_batch(path: str | Path) -> dict[str, np.ndarray]:
    """Read a batch of ``write_batch``."""
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _original_key(key: str) -> Any:
    """Convert a key of this project's batches to the original's: "color/-1/0" to ("color", -1, 0)."""
    parts = key.split("/")
    return key if len(parts) == 1 else tuple(part if part[-1:].isalpha() else int(part) for part in parts)


def _guarded(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    """Turn any exception of the original's code into a ``UserError`` of one sentence."""

    def guarded(*arguments: Any) -> Any:
        try:
            return run(*arguments)
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            reason = printable(f"{type(error).__name__}: {error}".strip().splitlines()[0])
            raise UserError(
                f"The original's code failed ({name}: {reason}). Choose options that it supports, or an unmodified "
                "checkout."
            ) from error

    return guarded


SIDES = {"original": OriginalSide, "ours": OurSide}


def main(kind: str, settings: str) -> None:
    """Answer questions until stdin ends.

    Args:
        kind: A key of ``SIDES``.
        settings: Its keyword arguments, as JSON.
    """
    answer_questions(lambda: SIDES[kind](**json.loads(settings)).answers())


if __name__ == "__main__":
    run_script(partial(main, *sys.argv[1:]))
