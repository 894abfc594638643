"""The log of scalars: the lines that a resumed run keeps, and write errors."""

import errno
import json
import os
import resource
import signal

import pytest

from common.errors import UserError
from training.metrics_writer import SCALARS_FILE, MetricsWriter, drop_scalars_from


def lines(run_dir):
    return [(line["part"], line["step"]) for line in map(json.loads, (run_dir / SCALARS_FILE).open())]


@pytest.fixture
def logged(tmp_path):
    """A log of steps 0 to 5, with validations after three and six steps, and a truncated last line."""
    log = MetricsWriter(tmp_path)
    for step in range(6):
        log.scalars("train", step, {"loss": 0.5})
        if step % 3 == 2:
            log.scalars("val", step + 1, {"loss": 0.25})
    log.close()
    with (tmp_path / SCALARS_FILE).open("a") as stream:
        stream.write('{"part": "train", "st')
    return tmp_path


@pytest.mark.parametrize(("keep_validation", "validations"), [(True, [("val", 3)]), (False, [])])
def test_lines_of_steps_to_run_again_are_dropped(logged, keep_validation, validations):
    drop_scalars_from(logged, 3, keep_validation=keep_validation)
    assert lines(logged) == [("train", 0), ("train", 1), ("train", 2), *validations]


def test_all_lines_are_kept_if_no_step_is_run_again(logged):
    drop_scalars_from(logged, 6, keep_validation=True)
    assert len(lines(logged)) == 8
    log = MetricsWriter(logged)  # must start on a new line
    log.scalars("train", 6, {"loss": 0.5})
    log.close()
    assert lines(logged)[-1] == ("train", 6)


def test_no_log_yet(tmp_path):
    drop_scalars_from(tmp_path, 3, keep_validation=True)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_reported_and_the_log_closed(tmp_path):
    """VisualDL's own thread must not block the process."""
    log = MetricsWriter(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(UserError, match=r"scalars\.jsonl cannot be written: File too large"):
            for step in range(9):
                log.scalars("train", step, {"loss": 0.5})
        log.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_write_errors_of_visualdl_name_its_folder(tmp_path, monkeypatch):
    log = MetricsWriter(tmp_path)

    def fail(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("add_scalar", "add_text", "add_image"):
        monkeypatch.setattr(log._writers["train"], name, fail)
    for write in (
        lambda: log.scalars("train", 0, {"loss": 0.5}),
        lambda: log.findings(0, {"not_finite": "text"}),
        lambda: log.pictures("train", 0, {"color": None}),
    ):
        with pytest.raises(UserError, match=r"visualdl cannot be written: No space left on device\. Free disk space"):
            write()
    log.close()
