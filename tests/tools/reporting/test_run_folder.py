"""What is read of a run's folder, and what is refused."""

import json

import pytest

from common.errors import DataError, OptionsError
from tools.reporting.run_folder import read_run


def write_lines(run, *lines):
    (run / "scalars.jsonl").write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))


def entry(part, step, loss=0.0):
    return {"part": part, "step": step, "loss": loss}


def test_a_run_begun_again_replaces_the_steps_from_there_on(copied_run):
    old = [entry("train", 0), entry("val", 5), entry("train", 5), entry("val", 10)]
    new = [entry("train", 5, 1.0), entry("val", 10, 1.0)]
    write_lines(copied_run, *old, *new)
    # The validation at step 5 ends the epoch before the step 5 of training, which counts from 0.
    assert list(read_run(copied_run).scalars) == [*old[:2], *new]


def test_lines_cut_off_or_foreign_are_passed_over(copied_run):
    write_lines(copied_run, entry("train", 0), '{"part": "train", "st', "[1]", '{"step": 3}', entry("train", 1))
    assert [line["step"] for line in read_run(copied_run).scalars] == [0, 1]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"abs_rel": 0.1}'])
def test_damaged_extras_are_as_if_missing(copied_run, content):
    (copied_run / "run.json").write_text(content)
    (copied_run / "models/weights_best/metrics.json").write_text(content)
    run = read_run(copied_run)
    assert run.metrics is None and "steps" not in run.record


def test_changes_replace_the_runs_options_and_weights_keep_their_size(copied_run, change_options):
    change_options(copied_run, height=192, width=640)
    run = read_run(copied_run, changes={"data_path": "elsewhere"})
    assert (run.options.height, run.options.width, run.options.data_path) == (64, 96, "elsewhere")
    assert run.trained.height == 192 and run.trained.data_path != "elsewhere"
    assert read_run(copied_run, changes={"height": 128}).options.height == 128


def test_what_is_required_and_missing_is_told(copied_run, tmp_path):
    with pytest.raises(DataError, match="no run in"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"weights_7.*weights_0, weights_best.*--weights"):
        read_run(copied_run, copied_run / "models" / "weights_7")
    (copied_run / "models" / "opt.json").write_text("{")
    with pytest.raises(OptionsError, match=r"opt\.json"):
        read_run(copied_run)
    (copied_run / "models" / "opt.json").unlink()
    with pytest.raises(DataError, match=r"opt\.json is missing"):
        read_run(copied_run)
