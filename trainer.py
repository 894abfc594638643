"""The training loop: batches in, weights and logs out. The mathematics lies in ``layers`` and ``networks``."""

import math
import random
import time
from collections.abc import Mapping

import numpy as np
import paddle
from paddle import nn

from datasets.batch import prepare_batch
from datasets.build import DATASETS
from errors import TrainingError, UserError
from options import Options
from serialization.weights_folder import save_weights
from training.build import build_data, build_loss, build_model, initialise_weights
from training.event_log import EventLog
from training.pictures import batch_pictures
from training.progress import Progress
from training.run_record import RunRecord
from training.step import StepResult, TrainingStep
from training.validation import Validation, validate

LEARNING_RATE_DECAY = 0.1
# Tracing took 5 s and saved 0.34 s a step at 320x96 on two cores: some 15 steps to break even.
STEPS_WORTH_COMPILING = 50


class Trainer:
    """One training run, from options to ``weights_best``.

    Writes to ``log_dir/model_name``: ``models/opt.json``, ``models/weights_N`` (N counts epochs from 0),
    ``models/weights_best``, the logs of ``training.event_log``, and the ``training.run_record``.

    Args:
        opt: the options; frozen.

    Raises:
        DataError: the split cannot be used.
        WeightsError: the weights to start from cannot be used.
    """

    def __init__(self, opt: Options) -> None:
        self.opt = opt
        self.models_dir = opt.run_dir / "models"
        self.train_loader = build_data(opt, "train")
        self.val_loader = build_data(opt, "val")
        self.epoch = 0
        self.step = 0
        self.best: float = math.inf
        self.record = RunRecord(opt.run_dir, opt.batch_size)
        _seed_everything(opt.seed)
        self.model = build_model(opt)
        self.compute_loss = build_loss(opt)
        for line in initialise_weights(self.model, opt):
            print(line)
        short = opt.compile == "auto" and self.total_steps < STEPS_WORTH_COMPILING
        self.training_step = TrainingStep(self.model, self.compute_loss, "off" if short else opt.compile)
        self.scheduler = paddle.optimizer.lr.StepDecay(
            opt.learning_rate, step_size=opt.scheduler_step_size, gamma=LEARNING_RATE_DECAY
        )
        self.optimizer = paddle.optimizer.Adam(self.scheduler, parameters=self.model.parameters())

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        steps = self.opt.num_epochs * len(self.train_loader)
        return min(steps, self.opt.max_steps or steps)

    def train(self) -> None:
        """Runs to the last step; each epoch ends with validation, and with weights as often as asked.

        Raises:
            TrainingError: the loss is not finite.
            UserError: the run's folder cannot be written.
        """
        self._prepare_folder()
        self._announce()
        self.log = EventLog(self.opt.run_dir)
        self.progress = Progress(self.total_steps * self.opt.batch_size)
        started = time.monotonic()
        try:
            while self.step < self.total_steps:
                self._run_epoch()
                self._finish_epoch()
        finally:
            self.progress.close()
            self.log.close()
            self.train_loader.close()
            self.val_loader.close()
        minutes = (time.monotonic() - started) / 60
        print(f"{self.step} steps in {minutes:.1f} min. Best weights: {self.models_dir / 'weights_best'}")

    def _prepare_folder(self) -> None:
        if self.models_dir.exists():
            print(
                f"Note: {self.opt.run_dir} holds an earlier run. Weights of the same names are replaced, its logs go "
                "on; --model_name or --log_dir keeps them apart."
            )
        try:
            self.models_dir.mkdir(parents=True, exist_ok=True)
            self.opt.save(self.models_dir / "opt.json")
        except OSError as error:
            raise UserError(
                f"the run cannot be written to {self.models_dir}: {error}; name another --log_dir"
            ) from error

    def _announce(self) -> None:
        """What is about to run, and where its results go."""
        opt = self.opt
        parameters = sum(p.size for p in self.model.parameters())
        print(
            f"{opt.type}, ResNet{opt.num_layers}, {parameters / 1e6:.1f} M parameters, at {opt.width}x{opt.height}; "
            f"frames {' '.join(map(str, opt.all_frames))}\n"
            f"split {opt.split_name}: {len(self.train_loader.dataset)} samples to train on, "
            f"{len(self.val_loader.dataset)} to validate on; {self.total_steps} steps of batch {opt.batch_size}\n"
            f"results in {opt.run_dir}",
            flush=True,
        )

    def _run_epoch(self) -> None:
        """Every batch of one epoch, or fewer where the run ends before."""
        self.progress.start_epoch(self.epoch, self.opt.num_epochs)
        self.train_loader.batch_sampler.set_epoch(self.epoch)
        self._set_training_mode()
        for raw in self.record.waiting(self.train_loader):
            with self.record.step():
                batch = prepare_batch(raw, self.opt.scales)
                result = self._run_step(batch)
            self._log_step(batch, result)
            self.step += 1
            if self.step == self.total_steps:
                break

    def _run_step(self, batch: Mapping) -> StepResult:
        """Forward, backward, update."""
        result = self.training_step(batch)
        loss = result.losses["loss"]
        if not math.isfinite(loss.item()):
            raise TrainingError(self._describe_failure(batch, loss.item()))
        loss.backward()
        self.optimizer.step()
        self.optimizer.clear_grad(set_to_zero=False)
        return result

    def _set_training_mode(self) -> None:
        self.model.train()
        self.compute_loss.train()
        if self.opt.freeze_bn:
            for layer in self.model.sublayers():
                if isinstance(layer, nn.BatchNorm2D):
                    layer.eval()

    def _log_step(self, batch: Mapping, result: StepResult) -> None:
        """Counts the step; now and then reads the loss, and more rarely draws pictures."""
        draw = self.step % self.opt.visualdl_frequency == 0
        report = self.step % self.opt.log_frequency == 0 or self.step + 1 == self.total_steps
        self.progress.update(self.opt.batch_size, result.losses["loss"].item() if report else None)
        if draw:
            self.log.pictures("train", self.step, batch_pictures(batch, result.outputs, result.maps))
        if draw or report:
            scalars = {name: value.item() for name, value in result.losses.items()}
            self.log.scalars("train", self.step, {**scalars, "learning_rate": self.optimizer.get_lr()})

    def _finish_epoch(self) -> None:
        """Validates, keeps the best weights, saves those of the epoch where due, decays the learning rate."""
        stereo_factor = DATASETS[self.opt.dataset].STEREO_SCALE_FACTOR if self.opt.use_stereo else None
        with self.record.validation():
            result = validate(self.model, self.compute_loss, self.val_loader, stereo_factor)
        self.log.scalars("val", self.step, result.scalars)
        self.log.pictures("val", self.step, result.pictures)
        improved = result.criterion < self.best
        self.progress.note(self._describe_validation(result) + (" (best so far)" if improved else ""))
        if improved:
            self.best = result.criterion
            self._save("weights_best")
        last = self.step == self.total_steps
        if last or (self.epoch + 1) % self.opt.save_frequency == 0:
            self._save(f"weights_{self.epoch}")
        self.record.save(compiled=self.training_step.compiled)
        self.epoch += 1
        # After the epoch: epochs 0 to scheduler_step_size - 1 run at the full rate.
        self.scheduler.step()

    def _describe_validation(self, result: Validation) -> str:
        scalars = result.scalars
        line = f"epoch {self.epoch}: validation loss {scalars['loss']:.4f}"
        if result.depth_frames:
            line += f", abs_rel {scalars['abs_rel']:.3f} on {result.depth_frames} frames with ground truth"
        if "stereo/abs_rel" in scalars:
            line += f" ({scalars['stereo/abs_rel']:.3f} by the stereo scale)"
        shares = [f"{name[7:]} {share:.0%}" for name, share in scalars.items() if name.startswith("source/")]
        return f"{line}; pixels explained by source {', '.join(shares)}"

    def _save(self, name: str) -> None:
        """Writes the weights, with what must be known to use them."""
        info = {"height": self.opt.height, "width": self.opt.width, "use_stereo": self.opt.use_stereo}
        save_weights(self.models_dir / name, self.model.networks(), info)

    def _describe_failure(self, batch: Mapping, loss: float) -> str:
        """What was in the batch, and which weights are good; keeps the present ones if they are."""
        dataset = self.train_loader.dataset
        lines = [line for line in dataset.lines if str(line) in batch["name"]]
        message = f"the loss is {loss} at step {self.step} (epoch {self.epoch}). The batch:\n  "
        message += "\n  ".join(dataset.image_path(line, 0, line.side) for line in lines)
        if all(bool(p.isfinite().all()) for p in self.model.parameters()):
            self._save("weights_last_good")
            return f"{message}\nThe weights before this step are finite: {self.models_dir / 'weights_last_good'}"
        kept = sorted(path.name for path in self.models_dir.glob("weights_*"))
        return (
            f"{message}\nThe weights are no longer finite. "
            f"Saved before in {self.models_dir}: {', '.join(kept) or 'none yet'}. Try a lower --learning_rate."
        )


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    paddle.seed(seed)
