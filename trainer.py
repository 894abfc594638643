"""The training loop. The mathematics is in ``layers`` and ``networks``, the parts of the loop are in ``training``."""

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import paddle
from paddle import Tensor

from common.atomic_files import write_json
from common.errors import DataError, OutputError, Stopped, TrainingError, UserError
from common.folder_lock import FolderLock
from datasets.batch import prepare_batch, split_batch
from datasets.splits import fingerprint
from layers.kernels.ops import use_kernels
from options import Options
from serialization.checkpoint import (
    AVERAGE_FILE,
    OPTIONS_FILE,
    RunState,
    read_average,
    restore_checkpoint,
    write_checkpoint,
)
from serialization.optimizer_state import schedule_state
from training.averaged_weights import SUFFIX
from training.checkpoints import Checkpoints, bytes_to_write, check_space, find_checkpoint
from training.distributed import training_command
from training.distributed_context import DistributedContext
from training.forward_pass import ForwardPass, ForwardResult
from training.frozen_layers import freeze_statistics
from training.initial_weights import initialise_weights
from training.kept_weights import KeptWeights
from training.metrics_writer import drop_scalars_from
from training.optimizer import set_position
from training.optimizer_step import OptimizerStep, check_amp
from training.resume import check_resumable, resumed_options
from training.run_lock import check_still_there, lock_run
from training.run_metadata import RunMetadata
from training.setup import (
    Components,
    build_components,
    compile_mode,
    kernels_mode,
    seed_everything,
    weights_info,
    with_weights_size,
)
from training.stop_signals import StopSignals
from training.training_logger import TrainingLogger, describe_run
from training.validation import Validation, describe_intrinsics, validate, validation_protocols


class Trainer:
    """Train networks on a split: ``Trainer.from_options(opt).train()``.

    Writes to ``log_dir/model_name``: ``models/opt.json``, ``models/weights_N`` (N counts epochs from 0),
    ``models/weights_best``, with ``--ema_decay`` the same of the averaged weights as ``models/weights_N_ema`` and
    ``models/weights_best_ema``, ``checkpoints/step_N``, the logs of ``training.metrics_writer``, and ``run.json`` of
    ``training.run_metadata``.

    Args:
        opt: the options; frozen.
        context: the processes that train together, each on its own batches; the main one logs and saves.
        components: data, model, loss and optimizer, from ``build_components``.

    Attributes:
        step: steps done, including those before a resume.
        epoch: current epoch, from 0.
        samples_done: samples done in the current epoch, by all processes together.
        weights: what is validated and saved: the weights and, with ``--ema_decay``, their average.
        forward_pass: forward pass and loss of a batch; set by ``prepare_steps``.
        kernels: whether steps use the C++ operators of ``layers.kernels``.
    """

    forward_pass: ForwardPass

    def __init__(self, opt: Options, context: DistributedContext, components: Components) -> None:
        self.opt, self.context = opt, context
        self.train_loader, self.val_loader = components.train_loader, components.val_loader
        self.model, self.compute_loss = components.model, components.compute_loss
        self.optimizer, self.scheduler = components.optimizer, components.scheduler
        self.optimizer_step = OptimizerStep(self.optimizer, opt.amp)
        self.stop = StopSignals(context)
        self.checkpoints = Checkpoints(opt.run_dir, opt.keep_checkpoints)
        self.metadata = RunMetadata(opt.run_dir, self.global_batch_size)
        self.logger = TrainingLogger(opt, context, self.metadata)
        self.step, self.epoch, self.samples_done = 0, 0, 0
        self.weights = KeptWeights(self.model, opt, context)
        self.intrinsics: tuple[float, ...] | None = None
        self.kernels = False
        self._lock: FolderLock | None = None

    @classmethod
    def from_options(cls, opt: Options, context: DistributedContext | None = None) -> "Trainer":
        """Build a new run, or restore the run to resume.

        Args:
            opt: the options. With ``resume``, the options of the resumed run replace them.
            context: the processes of the run; this one alone by default.

        Raises:
            DataError: the split cannot be used, or the processes read different data.
            WeightsError: the initial weights or the checkpoint cannot be used.
            OptionsError: the options contradict those of the run to resume.
            UserError: the device does not support the options, the run's folder already contains a run, or another
                process trains there.
        """
        context = context or DistributedContext()
        check_amp(opt.amp)
        checkpoint = find_checkpoint(opt.resume, opt.run_dir)
        opt = with_weights_size(opt) if checkpoint is None else resumed_options(opt, checkpoint)
        trainer = cls(opt, context, build_components(opt, context))
        state = None
        if checkpoint is not None:
            state = trainer.restore_state(checkpoint)
        elif matched := initialise_weights(trainer.model, opt):
            print("\n".join(matched))
        trainer.check_processes()
        trainer.prepare_steps(state)
        return trainer

    def restore_state(self, checkpoint: Path) -> RunState:
        """Restore networks, optimizer and counters from a checkpoint.

        Raises:
            WeightsError: the checkpoint does not fit the networks.
            DataError: the split has a different number of samples, hence a different order.
            UserError: the run's folder has newer checkpoints.
        """
        state = restore_checkpoint(checkpoint, self.model.networks(), self.model, self.optimizer)
        check_resumable(self.opt, checkpoint, state, len(self.train_loader.dataset))
        self.step, self.epoch, self.samples_done = state.step, state.epoch, state.samples_done
        self._set_learning_rate()  # the number of processes may have changed
        if self.weights.average:
            self.weights.average.restore(read_average(checkpoint), checkpoint / AVERAGE_FILE)
        self.optimizer_step.loss_scale = state.loss_scale
        stored = {"": state.best, SUFFIX: state.best_ema}
        self.weights.best |= {suffix: stored[suffix] for suffix in self.weights.best if stored[suffix] is not None}
        self.metadata.resume(state.seconds, checkpoint.absolute().parents[1])
        self.logger.from_start = False
        print(f"Resuming from {checkpoint}: step {self.step}, epoch {self.epoch}")
        return state

    def check_processes(self) -> None:
        """Check that all processes are at the same step of the same data.

        Raises:
            DataError: they differ.
        """
        train, val = (fingerprint(loader.dataset.lines) for loader in (self.train_loader, self.val_loader))
        self.context.assert_consistent(step=self.step, training_lines=train, validation_lines=val)

    def prepare_steps(self, state: RunState | None = None) -> None:
        """Choose whether steps use C++ operators and a static graph.

        Both change rounding, so a resumed run keeps the choice of the original run.

        Args:
            state: state of the resumed run; None for a new run.
        """
        self.kernels = use_kernels(kernels_mode(self.opt, self.total_steps, state and state.kernels))
        mode = compile_mode(self.opt, self.total_steps, self.kernels, state and state.compiled)
        self.forward_pass = ForwardPass(self.model, self.compute_loss, mode, self.context, self.opt.amp)

    @property
    def global_batch_size(self) -> int:
        """Samples per step of all processes together."""
        return self.train_loader.batch_sampler.global_batch_size

    @property
    def steps_left_of_epoch(self) -> int:
        """Remaining steps of the current epoch."""
        return self.train_loader.batch_sampler.rounds(self.samples_done)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; those before a resume may have had another batch size."""
        later_epochs = self.opt.num_epochs - 1 - self.epoch
        steps = self.step + self.steps_left_of_epoch + later_epochs * len(self.train_loader)
        return min(steps, self.opt.max_steps or steps)

    def train(self) -> None:
        """Train to the last step; validate after each epoch, and save weights every ``save_frequency`` epochs.

        Raises:
            TrainingError: the loss is not finite, or the watchdog ends the run.
            UserError: another process trains in the run's folder, the folder cannot be written or was deleted during
                training, its disk has too little free space, or standard output is closed.
            Stopped: SIGTERM or Ctrl-C was received; a checkpoint has been saved.
        """
        with contextlib.ExitStack() as stack:
            if self.context.is_main:
                self._lock = stack.enter_context(lock_run(self.opt.run_dir))
                self._prepare_folder()
            sizes = [len(loader.dataset) for loader in (self.train_loader, self.val_loader)]
            print(describe_run(self.opt, self.model, *sizes, self.total_steps, self.context.size), flush=True)
            started, first_step = time.monotonic(), self.step
            self._train()
        if self.intrinsics:
            print(describe_intrinsics(self.intrinsics, self.opt.height, self.opt.width))
        minutes = (time.monotonic() - started) / 60
        print(
            f"{self.step - first_step} steps in {minutes:.1f} min. Best weights: {self.weights.folder / 'weights_best'}"
        )

    def _train(self) -> None:
        """Run the remaining epochs; where the run ends early, save what can be saved and say how to resume."""
        done = self.epoch * len(self.train_loader) * self.global_batch_size + self.samples_done
        self.logger.open(done, done + (self.total_steps - self.step) * self.global_batch_size)
        command = training_command(self.context)
        try:
            with self.stop:
                # samples_done: a run resumed at its last step, within an epoch, still has to validate.
                while self.step < self.total_steps or self.samples_done:
                    self._run_epoch()
                    self._finish_epoch()
        except Stopped as stop:
            self._save_checkpoint()
            message = f"Stopped after step {self.step} of {self.total_steps}."
            raise Stopped(stop.signum, message + self.checkpoints.resume_hint(command)) from None
        except (DataError, OutputError) as error:
            if self.context.size == 1:  # with several, the others are in a step that all must finish together
                self._save_checkpoint()
            raise type(error)(f"{error}{self.checkpoints.resume_hint(command)}") from error
        except TrainingError:  # no resume hint: it would recur
            raise
        except UserError as error:
            raise UserError(f"{error}{self.checkpoints.resume_hint(command)}") from error
        finally:
            self.logger.close()
            self.train_loader.close()
            self.val_loader.close()

    def _prepare_folder(self) -> None:
        self.checkpoints.check_newest(self.step)  # another process may have trained since the checkpoint was found
        try:
            write_json(self.weights.folder / OPTIONS_FILE, self.opt.as_dict())
        except UserError as error:
            raise UserError(f"the run cannot start: {error} Pass another --log_dir.") from error
        self.checkpoints.clear_leftovers()
        drop_scalars_from(self.opt.run_dir, self.step, keep_validation=not self.samples_done)
        epochs_left = self.opt.num_epochs - self.epoch
        if self.opt.max_steps:
            epochs_left = min(epochs_left, math.ceil((self.total_steps - self.step) / len(self.train_loader)))
        kept = epochs_left // self.opt.save_frequency
        needed = bytes_to_write(self.model, kept, self.opt.keep_checkpoints, averaged=self.weights.average is not None)
        check_space(self.opt.run_dir, needed)

    def _run_epoch(self) -> None:
        """Train on the remaining batches of the current epoch, up to the last step of the run."""
        later_steps = self.total_steps - self.step - self.steps_left_of_epoch  # --max_steps can cut epochs off
        later_epochs = max(0, math.ceil(later_steps / len(self.train_loader)))
        self.logger.start_epoch(self.epoch, self.epoch + later_epochs + 1)
        if self.step >= self.total_steps:
            return
        self.train_loader.batch_sampler.set_epoch(self.epoch, self.samples_done)
        self._set_training_mode()
        for raw in self.metadata.waiting(self.train_loader):
            # All randomness of a step depends on its number: checkpoints need no random state.
            seed_everything(self.opt.seed, self.step, self.context.rank)
            with self.metadata.step():
                batch, result = self._run_step(raw)
            # Counted before it is logged: if the output is closed, the checkpoint that is saved contains this step.
            step, last = self.step, self.total_steps - 1
            scalars = self.optimizer_step.scalars()
            if self.weights.average:
                self.weights.average.update(step)
            self.step += 1
            self.samples_done += self.global_batch_size
            self._set_learning_rate()
            self.logger.step(step, last, batch, result, self.compute_loss, scalars)
            if self.step == self.total_steps:
                break
            if self.step % self.opt.checkpoint_frequency == 0 and self.steps_left_of_epoch:
                self._save_checkpoint()
            self.stop.check()

    def _run_step(self, raw: dict) -> tuple[Mapping, ForwardResult]:
        """Run forward and backward passes of all accumulated batches, then update the weights.

        Returns:
            The last of these batches, prepared for the networks, and its result.
        """
        parts = split_batch(raw, self.opt.grad_accumulation)
        for i, part in enumerate(parts):
            batch = prepare_batch(part, self.opt.scales, self.opt.v1_multiscale)
            more_to_come = i + 1 < len(parts)
            with self.forward_pass.no_sync() if more_to_come else contextlib.nullcontext():
                result = self.forward_pass(batch)
                self._check_loss(result.losses["loss"], batch["name"])
                self.optimizer_step.backward(result.losses["loss"], 1 / len(parts))
        self.optimizer_step.apply()
        return batch, result

    def _check_loss(self, loss: Tensor, names: Sequence[str]) -> None:
        """Check that the loss is finite; on a GPU, where this waits for the device, only before logging or saving.

        Raises:
            TrainingError: the loss is not finite.
        """
        saves = (self.step + 1) % self.opt.checkpoint_frequency == 0 or self.steps_left_of_epoch == 1
        if paddle.get_device() != "cpu" and not (saves or self.logger.wants(self.step, self.total_steps - 1)):
            return
        # By all processes, before the backward pass: gloo waits only 30 s for gradients of a late process.
        own_failure = None if math.isfinite(loss.item()) else (loss.item(), list(names))
        if failures := [failure for failure in self.context.gather(own_failure) if failure]:
            self.logger.report_failures(self.step, ["not_finite"])
            message = self._describe_failure(*failures[0])
            self.context.barrier()  # until the main process has saved
            raise TrainingError(message)

    def _set_training_mode(self) -> None:
        self.model.train()
        self.compute_loss.train()
        freeze_statistics(self.model, everywhere=self.opt.freeze_bn)

    def _set_learning_rate(self) -> None:
        """Set the learning rate of the next step."""
        steps = self.samples_done // self.global_batch_size
        set_position(self.scheduler, self.opt, self.epoch, steps, len(self.train_loader))

    def _finish_epoch(self) -> None:
        """Validate, save the best weights and those of the epoch if due, set the learning rate.

        An epoch that ``--max_steps`` cuts short is validated, too, but its checkpoint is saved before the validation. A
        run resumed from it with more steps is identical to one that was not cut short.
        """
        whole = not self.steps_left_of_epoch
        if not whole:
            self._save_checkpoint()
        with self.metadata.validation():
            self.weights.average_statistics()
            results = {suffix: self._validate(suffix) for suffix in self.weights.best}
        self.intrinsics = results[""].intrinsics
        is_due = self.step == self.total_steps or (self.epoch + 1) % self.opt.save_frequency == 0
        improved = self.weights.save_validated(results, self.epoch, is_due=is_due)
        self.logger.validation(self.step, self.epoch, results, improved)
        if self.context.is_main:
            self.metadata.save(compiled=self.forward_pass.compiled, kernels=self.kernels)
        self.epoch += 1
        self.samples_done = 0
        # After the epoch: epochs 0 to scheduler_step_size - 1 run at the full rate.
        self._set_learning_rate()
        if whole:
            self._save_checkpoint()

    def _validate(self, suffix: str) -> Validation:
        """Validate the weights of this suffix (``training.kept_weights``)."""
        with self.weights.selected(suffix):
            batches = self.stop.until_stopped(self.val_loader, len(self.val_loader))
            return validate(self.model, self.compute_loss, batches, validation_protocols(self.opt), self.context)

    def _save_checkpoint(self) -> None:
        self.weights.average_statistics()
        if self.context.is_main:
            self._write_checkpoint()
        self.context.barrier()

    def _write_checkpoint(self) -> None:
        state = RunState(
            step=self.step,
            epoch=self.epoch,
            samples_done=self.samples_done,
            samples=len(self.train_loader.dataset),
            best=_finite(self.weights.best[""]),
            schedule=schedule_state(self.optimizer),
            compiled=self.forward_pass.compiled,
            kernels=self.kernels,
            loss_scale=self.optimizer_step.loss_scale,
            seconds=self.metadata.totals(),
            best_ema=_finite(self.weights.best.get(SUFFIX, math.inf)),
        )
        info = weights_info(self.opt, self.intrinsics)
        networks, options = self.model.networks(), self.opt.as_dict()
        average = self.weights.average.arrays() if self.weights.average else None
        self.checkpoints.save(
            self.step,
            lambda folder: write_checkpoint(
                folder, networks, info, self.model, self.optimizer, state, options, average
            ),
        )
        self.metadata.save(compiled=self.forward_pass.compiled, kernels=self.kernels)
        if self._lock is not None:
            check_still_there(self._lock, self.opt.run_dir)

    def _describe_failure(self, loss: float, names: Sequence[str]) -> str:
        """Describe the batch and the latest usable weights."""
        dataset = self.train_loader.dataset
        paths = [dataset.image_path(line, 0, line.side) for line in dataset.lines if str(line) in names]
        batch = "\n  ".join(["The batch:", *paths])
        rescued = self.weights.rescue(self.intrinsics)
        return f"the loss is {loss} at step {self.step} (epoch {self.epoch}). {batch}\n{rescued}"


def _finite(metric: float) -> float | None:
    """Return a metric as ``RunState`` stores it: None before the first validation."""
    return metric if math.isfinite(metric) else None
