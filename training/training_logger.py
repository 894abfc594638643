"""What a run tells while it trains: the line of progress, the logs, and the watchdog's warnings."""

from collections.abc import Mapping, Sequence

from paddle import nn

from common.errors import TrainingError
from common.progress import Progress
from layers.self_supervised_loss import SelfSupervisedLoss
from options import Options
from training.control_channel import Peers
from training.diagnostics import vital_signs
from training.forward_pass import ForwardResult
from training.log_images import batch_pictures
from training.metrics_writer import EventLog
from training.validation import Validation
from training.watchdog import COLLAPSES, Watchdog


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


class Logbook:
    """Progress and logs of one run in its folder; of several processes the main one writes, and all see their means.

    Args:
        opt: the options of the run.
        peers: the processes.
        progress: the line of progress.
        from_start: whether the run begins with networks that know nothing yet, as the watchdog has to know.
    """

    def __init__(self, opt: Options, peers: Peers, progress: Progress, *, from_start: bool) -> None:
        self._opt, self._peers, self._progress = opt, peers, progress
        self._watchdog = Watchdog(opt.watchdog, from_start=from_start)
        self._log = EventLog(opt.run_dir) if peers.is_main else None

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
    ) -> float | None:
        """Now and then reads the losses, has the watchdog look, and more rarely draws pictures.

        Args:
            step, last: as for `wants`.
            batch, result: what the networks took, and what came of it.
            compute_loss: what the result was compared by.
            more: scalars of this process to log beside.

        Returns:
            The loss, if it was read for the line of progress: the mean over processes.

        Raises:
            TrainingError: the watchdog is to end the run where it finds something, and has.
        """
        draw, report = step % self._opt.visualdl_frequency == 0, self.wants(step, last)
        if not (draw or report):
            return None
        scalars = {name: value.item() for name, value in result.losses.items()}
        if self._watchdog.mode != "off":
            scalars |= vital_signs(batch, result.outputs, compute_loss)
        scalars = dict(zip(scalars, self._peers.mean(list(scalars.values())), strict=True))
        if self._log:
            self._log.scalars("train", step, {**scalars, **more})
            if draw:
                self._log.pictures("train", step, batch_pictures(batch, result.outputs, result.maps))
        self._watch(step, scalars)
        return scalars["loss"] if report else None

    def validation(self, step: int, epoch: int, result: Validation, best: bool) -> None:
        """Logs and tells a validation."""
        if self._log:
            self._log.scalars("val", step, result.scalars)
            self._log.pictures("val", step, result.pictures)
        self._progress.note(f"epoch {epoch}: {result}" + (" (best so far)" if best else ""))

    def collapses(self, step: int, names: Sequence[str]) -> None:
        """Tells and logs what the watchdog found: names of its ``COLLAPSES``."""
        if names and self._watchdog.mode != "off" and self._log:
            texts = {name: str(COLLAPSES[name]) for name in names}
            self._log.findings(step, texts)
            self._progress.note("\n".join(f"Watchdog, step {step}: {text}" for text in texts.values()))

    def close(self) -> None:
        """Ends the line of progress and the logs."""
        self._progress.close()
        if self._log:
            self._log.close()

    def _watch(self, step: int, scalars: Mapping[str, float]) -> None:
        """Has the watchdog look; all processes see the same means, and come to the same."""
        found = self._watchdog.look(step, scalars)
        self.collapses(step, found)
        if found and self._watchdog.mode == "stop":
            self._peers.wait()  # for the main one to log
            raise TrainingError(f"--watchdog stop ends the run at step {step}: {', '.join(found)}.")
