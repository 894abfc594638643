"""Output of a run: progress line, logs, and the watchdog's warnings."""

from collections.abc import Collection, Mapping, Sequence

from paddle import nn

from common.errors import TrainingError
from common.progress import Progress
from layers.self_supervised_loss import SelfSupervisedLoss
from networks.cost import count_parameters
from options import Options
from training.diagnostics import compute_diagnostics
from training.distributed_context import DistributedContext
from training.forward_pass import ForwardResult
from training.log_images import batch_pictures
from training.metrics_writer import MetricsWriter
from training.run_metadata import RunMetadata
from training.validation import Validation
from training.watchdog import FAILURE_MODES, Watchdog


def describe_run(
    opt: Options, model: nn.Layer, train_samples: int, val_samples: int, steps: int, processes: int
) -> str:
    """Describe the run and the folder of its results, in three lines."""
    millions = count_parameters(model) / 1e6
    return (
        f"{opt.type}, {opt.depth_network}, {millions:.1f} M parameters, at {opt.width}x{opt.height}; "
        f"frames {' '.join(map(str, opt.all_frames))}\n"
        f"split {opt.split_name}: {train_samples} training and {val_samples} validation samples; {steps} steps, "
        f"batch size {opt.batch_size}{f' x {opt.grad_accumulation}' if opt.grad_accumulation > 1 else ''}"
        f"{f' on each of {processes} processes' if processes > 1 else ''}\n"
        f"results in {opt.run_dir}"
    )


class TrainingLogger:
    """Print the progress of a run, and log it to its folder.

    With several processes, all compute the means over processes, and the main one writes.

    Args:
        opt: the options of the run.
        context: the processes of the run.
        metadata: measures the time spent waiting for data.

    Attributes:
        from_start: whether the run starts with untrained networks, for the watchdog; set before ``open``.
    """

    def __init__(self, opt: Options, context: DistributedContext, metadata: RunMetadata) -> None:
        self._opt, self._context, self._metadata = opt, context, metadata
        self.from_start = opt.load_weights_folder is None

    def open(self, samples_done: int, samples: int) -> None:
        """Start the progress line, and open the logs.

        Args:
            samples_done: samples trained on before, including earlier epochs.
            samples: samples of the whole run.

        Raises:
            UserError: the run's folder cannot be written.
        """
        self._progress = Progress(samples, done=samples_done)
        self._watchdog = Watchdog(self._opt.watchdog, from_start=self.from_start)
        self._writer = MetricsWriter(self._opt.run_dir) if self._context.is_main else None

    def start_epoch(self, epoch: int, num_epochs: int) -> None:
        """Show the epoch, counted from 0, and the number of epochs of the run in the progress line."""
        self._progress.start_epoch(epoch, num_epochs)

    def wants(self, step: int, last: int) -> bool:
        """Whether the progress line shows the loss of a step, counted from 0; ``last`` is the run's last step."""
        return step % self._opt.log_frequency == 0 or step == last

    def step(
        self,
        step: int,
        last: int,
        batch: Mapping,
        result: ForwardResult,
        compute_loss: SelfSupervisedLoss,
        more: Mapping[str, float],
    ) -> None:
        """Update the progress; log scalars every ``log_frequency`` steps, images every ``visualdl_frequency`` steps.

        Args:
            step, last: as for ``wants``.
            batch: input of the forward pass.
            result: output of the forward pass.
            compute_loss: the loss.
            more: further scalars of this process to log.

        Raises:
            TrainingError: the watchdog has detected a failure, and ``--watchdog stop`` is set.
        """
        draw, report = step % self._opt.visualdl_frequency == 0, self.wants(step, last)
        if draw or report:
            scalars = self._mean_scalars(batch, result, compute_loss)
            if self._writer:
                self._writer.scalars("train", step, {**scalars, **more})
                if draw:
                    self._writer.pictures("train", step, batch_pictures(batch, result.outputs, result.maps))
            self._watch(step, scalars)
        news = (scalars["loss"], self._metadata.waiting_share()) if report else ()
        self._progress.update(self._metadata.batch_size, *news)

    def _mean_scalars(
        self, batch: Mapping, result: ForwardResult, compute_loss: SelfSupervisedLoss
    ) -> dict[str, float]:
        """Return losses and diagnostics of a step, averaged over processes."""
        scalars = {name: value.item() for name, value in result.losses.items()}
        if self._watchdog.mode != "off":
            scalars |= compute_diagnostics(batch, result.outputs, compute_loss)
        return dict(zip(scalars, self._context.mean(list(scalars.values())), strict=True))

    def validation(self, step: int, epoch: int, results: Mapping[str, Validation], improved: Collection[str]) -> None:
        """Log and print a validation.

        Args:
            step, epoch: the step and epoch of the run.
            results: "" -> result of the weights; with an average, ``averaged_weights.SUFFIX`` -> its result, logged as
                ``ema/NAME``.
            improved: keys of the results that are the best so far.
        """
        if self._writer:
            prefixes = {suffix: f"{suffix.lstrip('_')}/" if suffix else "" for suffix in results}
            scalars = {prefixes[suffix] + name: v for suffix, r in results.items() for name, v in r.scalars.items()}
            self._writer.scalars("val", step, scalars)
            self._writer.pictures("val", step, results[""].pictures)
        for suffix, result in results.items():
            which = ", averaged weights" if suffix else ""
            self._progress.note(f"epoch {epoch}{which}: {result}" + (" (best so far)" if suffix in improved else ""))

    def report_failures(self, step: int, names: Sequence[str]) -> None:
        """Log and print findings of the watchdog, keys of ``FAILURE_MODES``."""
        if names and self._watchdog.mode != "off" and self._writer:
            texts = {name: str(FAILURE_MODES[name]) for name in names}
            self._writer.findings(step, texts)
            self._progress.note("\n".join(f"Watchdog, step {step}: {text}" for text in texts.values()))

    def close(self) -> None:
        """End the progress line, and close the logs."""
        self._progress.close()
        if self._writer:
            self._writer.close()

    def _watch(self, step: int, scalars: Mapping[str, float]) -> None:
        """Pass scalars to the watchdog; they are means over processes, so all processes find the same."""
        found = self._watchdog.look(step, scalars)
        self.report_failures(step, found)
        if found and self._watchdog.mode == "stop":
            self._context.barrier()  # until the main process has logged it
            raise TrainingError(f"--watchdog stop: training failed at step {step}: {', '.join(found)}.")
