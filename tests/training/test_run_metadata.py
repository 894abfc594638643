"""The record of a run: timing, versions and machine."""

import json
import platform

import numpy as np
import paddle
import PIL
import pytest

from training import run_metadata
from training.run_metadata import RunMetadata


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test advances: a list with one time in seconds."""
    now = [100.0]
    monkeypatch.setattr(run_metadata.time, "perf_counter", lambda: now[0])
    return now


def batches(clock):
    for seconds in (4.0, 0.5):
        clock[0] += seconds
        yield seconds


def test_steps_waiting_and_validation_are_timed_separately(tmp_path, clock):
    metadata = RunMetadata(tmp_path, batch_size=3)
    for _ in metadata.waiting(batches(clock)):
        for seconds in (1.0, 2.0, 9.0):
            with metadata.step():
                clock[0] += seconds
    with metadata.validation():
        clock[0] += 7
    with pytest.raises(ValueError), metadata.step():
        raise ValueError  # not counted
    metadata.save(compiled=True, kernels=False)
    content = json.loads((tmp_path / "run.json").read_text())
    assert content["steps"] == 6 and content["batch_size"] == 3 and content["compiled"] is True
    assert content["training_seconds"] == 24 and content["median_step_seconds"] == 2
    assert content["waiting_seconds"] == 4.5 and content["validation_seconds"] == 7


def test_waiting_share_covers_the_time_since_the_last_call(tmp_path, clock):
    metadata = RunMetadata(tmp_path, batch_size=3)
    metadata.earlier = {"waiting_seconds": 1000.0}
    assert metadata.waiting_share() == 0
    shares = []
    for _ in metadata.waiting(batches(clock)):  # 4 s, then 0.5 s
        with metadata.step():
            clock[0] += 6
        with metadata.validation():
            clock[0] += 100
        shares.append(metadata.waiting_share())
    assert shares == [4 / 10, 0.5 / 6.5] and metadata.waiting_share() == 0


@pytest.mark.parametrize(
    ("resumed", "content", "kept"),
    [
        (True, '{"started": "2020-01-01T00:00:00+00:00"}', True),
        (False, '{"started": "2020-01-01T00:00:00+00:00"}', False),  # a new run in an old folder
        (True, '{"started": 5}', False),
        (True, "[]", False),
        (True, "{", False),
        (True, "[" * 9999, False),
        (True, '{"started": "2020-01-01T00:00:00+00:00", "resumed": [3, []]}', True),
        (True, '{"started": "2020-01-01T00:00:00+00:00", "resumed": 5}', False),
        (True, None, False),
    ],
)
def test_resumed_run_keeps_its_start_time(tmp_path, resumed, content, kept):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    metadata = RunMetadata(tmp_path, 1)
    if resumed:
        metadata.resume({"steps": 7}, tmp_path)
    metadata.save(compiled=False, kernels=False)
    content = json.loads((tmp_path / "run.json").read_text())
    assert content["steps"] == (7 if resumed else 0)
    assert (content["started"] == "2020-01-01T00:00:00+00:00") == kept
    assert kept or content["started"] > "2026"
    assert len(content.get("resumed", [])) == resumed


def test_each_resume_is_recorded(tmp_path):
    RunMetadata(tmp_path, 1).save(compiled=False, kernels=False)
    for count in (1, 2, 3):
        metadata = RunMetadata(tmp_path, 1)
        metadata.resume({}, tmp_path)
        metadata.save(compiled=False, kernels=False)
        content = json.loads((tmp_path / "run.json").read_text())
        assert len(content["resumed"]) == count
        assert [content["started"], *content["resumed"]] == sorted([content["started"], *content["resumed"]])


def test_run_resumed_into_another_folder_keeps_its_start_time(tmp_path):
    for name, started in (("run", "2020-01-01T00:00:00+00:00"), ("other", "2021-01-01T00:00:00+00:00")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"started": started}))
    for target in ("other", "new"):
        metadata = RunMetadata(tmp_path / target, 1)
        metadata.resume({}, tmp_path / "run")
        metadata.save(compiled=False, kernels=False)
        assert json.loads((tmp_path / target / "run.json").read_text())["started"] == "2020-01-01T00:00:00+00:00"


def test_versions_and_machine_are_recorded(tmp_path):
    RunMetadata(tmp_path, 1).save(compiled=False, kernels=True)
    content = json.loads((tmp_path / "run.json").read_text())
    assert content["paddle"] == paddle.__version__ and content["numpy"] == np.__version__
    assert content["pillow"] == PIL.__version__
    assert content["python"] == platform.python_version() and content["device"] == paddle.get_device()
    assert content["median_step_seconds"] is None
    assert content["started"] <= content["updated"] and len(content["started"]) == 25
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
