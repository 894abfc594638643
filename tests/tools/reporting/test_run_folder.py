"""Reading of run folders, and errors for missing files."""

import json
import time

import pytest

from common.errors import DataError, OptionsError
from evaluation.metrics.depth_metrics import METRIC_NAMES
from tools.reporting.run_folder import read_run


def write_lines(run, *lines):
    (run / "scalars.jsonl").write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))


def entry(part, step, loss=0.0):
    return {"part": part, "step": step, "loss": loss}


def test_resumed_run_overrides_steps_from_its_first_step_on(copied_run):
    old = [entry("train", 0), entry("val", 5), entry("train", 5), entry("val", 10)]
    new = [entry("train", 5, 1.0), entry("val", 10, 1.0)]
    write_lines(copied_run, *old, *new)
    # Steps count from 0: the validation at step 5 precedes training step 5.
    assert list(read_run(copied_run).scalars) == [*old[:2], *new]


def test_incomplete_and_foreign_lines_are_skipped(copied_run):
    write_lines(
        copied_run,
        entry("train", 0),
        '{"part": "train", "st',
        "[1]",
        '{"step": 3}',
        entry("val", "0"),
        entry("train", 1),
    )
    assert [line["step"] for line in read_run(copied_run).scalars] == [0, 1]


def test_long_logs_take_linear_time(copied_run):
    """200,000 lines of a run that was resumed once take about a second, not quadratic minutes."""
    steps = [*range(150_000), *range(100_000, 150_000)]
    write_lines(copied_run, *(entry("train", step, i) for i, step in enumerate(steps)))
    started = time.monotonic()
    scalars = read_run(copied_run).scalars
    assert time.monotonic() - started < 20
    assert [line["step"] for line in scalars] == list(range(150_000))
    assert scalars[99_999]["loss"] == 99_999 and scalars[100_000]["loss"] == 150_000


def test_metrics_are_those_of_the_split(copied_run):
    weights = copied_run / "models/weights_best"
    run = read_run(copied_run)
    for name, split, value in (("metrics_a", "a", 0.1), ("metrics_b", "b", 0.2), ("metrics", "b", 0.2)):
        content = {**dict.fromkeys(METRIC_NAMES, value), "split": split}
        (weights / f"{name}.json").write_text(json.dumps(content))
    assert [run.metrics_of(split)["abs_rel"] for split in "ab"] == [0.1, 0.2]
    assert run.metrics_of("c") is None
    (weights / "metrics.json").write_text(json.dumps(dict.fromkeys(METRIC_NAMES, 0.3)))  # of an earlier version
    assert run.metrics_of("c")["abs_rel"] == 0.3


@pytest.mark.parametrize("content", ["", "[]", "{", '{"abs_rel": 0.1}'])
def test_damaged_optional_files_are_ignored(copied_run, content):
    (copied_run / "run.json").write_text(content)
    (copied_run / "models/weights_best/metrics.json").write_text(content)
    run = read_run(copied_run)
    assert run.metrics_of("eigen") is None and "steps" not in run.record


def test_changes_override_options_and_the_size_is_that_of_the_weights(copied_run, change_options):
    change_options(copied_run, height=192, width=640)
    run = read_run(copied_run, changes={"data_path": "elsewhere"})
    assert (run.options.height, run.options.width, run.options.data_path) == (64, 96, "elsewhere")
    assert run.trained.height == 192 and run.trained.data_path != "elsewhere"
    assert read_run(copied_run, changes={"height": 128}).options.height == 128


def test_missing_required_files_are_reported(copied_run, tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"weights_7.*weights_0, weights_best.*--weights"):
        read_run(copied_run, copied_run / "models" / "weights_7")
    (copied_run / "models" / "opt.json").write_text("{")
    with pytest.raises(OptionsError, match=r"opt\.json"):
        read_run(copied_run)
    (copied_run / "models" / "opt.json").unlink()
    with pytest.raises(DataError, match=r"opt\.json"):
        read_run(copied_run)
