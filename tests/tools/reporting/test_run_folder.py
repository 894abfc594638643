"""Reading of run folders, and errors for missing files."""

import json

import pytest

from common.errors import DataError, OptionsError
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
    write_lines(copied_run, entry("train", 0), '{"part": "train", "st', "[1]", '{"step": 3}', entry("train", 1))
    assert [line["step"] for line in read_run(copied_run).scalars] == [0, 1]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"abs_rel": 0.1}'])
def test_damaged_optional_files_are_ignored(copied_run, content):
    (copied_run / "run.json").write_text(content)
    (copied_run / "models/weights_best/metrics.json").write_text(content)
    run = read_run(copied_run)
    assert run.metrics is None and "steps" not in run.record


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
