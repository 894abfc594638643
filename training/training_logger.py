"""What a run tells while it trains: the line of progress, the logs, and the watchdog's warnings."""

from collections.abc import Mapping, Sequence

from paddle import nn

from common.errors import TrainingError
from common.progress import Progress
from layers.self_supervised_loss import SelfSupervisedLoss
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
    """What is about to run, and where its results go: three lines."""
    parameters = sum(p.size for p in model.parameters())
    return (
        f"{opt.type}, {opt.depth_network}, {parameters / 1e6:.1f} M parameters, at {opt.width}x{opt.height}; "
        f"frames {' '.join(map(str, opt.all_frames))}\n"
        f"split {opt.split_name}: {train_samples} samples to train on, {val_samples} to validate on; {steps} steps of "
        f"batch {opt.batch_size}{f' x {opt.grad_accumulation}' if opt.grad_accumulation > 1 else ''}"
        f"{f' in each of {processes} processes' if processes > 1 else ''}\n"
        f"results in {opt.run_dir}"
    )


class TrainingLogger:
    """Report the progress of one run, and log it in its folder.

    Of several processes the main one writes, and all see the means over processes.

    Args:
        opt: the options of the run.
        context: the processes.
        metadata: of the run; knows the time spent waiting for data.

    Attributes:
        from_start: whether the run begins with untrained networks, as the watchdog has to know; set before ``open``.
    """

    def __init__(self, opt: Options, context: DistributedContext, metadata: RunMetadata) -> None:
        self._opt, self._context, self._metadata = opt, context, metadata
        self.from_start = opt.load_weights_folder is None

    def open(self, samples_done: int, samples: int) -> None:
        """Begin the line of progress, and open the logs.

        Args:
            samples_done: of ``samples``, those of the whole run.

        Raises:
            UserError: the run's folder cannot be written.
        """
        self._progress = Progress(samples, done=samples_done)
        self._watchdog = Watchdog(self._opt.watchdog, from_start=self.from_start)
        self._writer = MetricsWriter(self._opt.run_dir) if self._context.is_main else None

    def start_epoch(self, epoch: int) -> None:
        """Show the epoch, counted from 0, in the line of progress."""
        self._progress.start_epoch(epoch, self._opt.num_epochs)

    def wants(self, step: int, last: int) -> bool:
        """Whether the loss of the step, counted from 0, is read for the line of progress; ``last`` is the last one."""
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
        """Count a step; now and then read its losses and have the watchdog look, and more rarely draw pictures.

        Args:
            step, last: as for ``wants``.
            batch, result: what the networks took, and what came of it.
            compute_loss: what the result was compared by.
            more: scalars of this process to log beside.

        Raises:
            TrainingError: the watchdog is to end the run where it finds something, and has.
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
        """Return losses and diagnostics of a step, means over processes."""
        scalars = {name: value.item() for name, value in result.losses.items()}
        if self._watchdog.mode != "off":
            scalars |= compute_diagnostics(batch, result.outputs, compute_loss)
        return dict(zip(scalars, self._context.mean(list(scalars.values())), strict=True))

    def validation(self, step: int, epoch: int, result: Validation, best: bool) -> None:
        """Logs and tells a validation."""
        if self._writer:
            self._writer.scalars("val", step, result.scalars)
            self._writer.pictures("val", step, result.pictures)
        self._progress.note(f"epoch {epoch}: {result}" + (" (best so far)" if best else ""))

    def report_failures(self, step: int, names: Sequence[str]) -> None:
        """Tells and logs what the watchdog found: names of its ``FAILURE_MODES``."""
        if names and self._watchdog.mode != "off" and self._writer:
            texts = {name: str(FAILURE_MODES[name]) for name in names}
            self._writer.findings(step, texts)
            self._progress.note("\n".join(f"Watchdog, step {step}: {text}" for text in texts.values()))

    def close(self) -> None:
        """Ends the line of progress and the logs."""
        self._progress.close()
        if self._writer:
            self._writer.close()

    def _watch(self, step: int, scalars: Mapping[str, float]) -> None:
        """Has the watchdog look; all processes see the same means, and come to the same."""
        found = self._watchdog.look(step, scalars)
        self.report_failures(step, found)
        if found and self._watchdog.mode == "stop":
            self._context.barrier()  # for the main one to log
            raise TrainingError(f"--watchdog stop ends the run at step {step}: {', '.join(found)}.")
