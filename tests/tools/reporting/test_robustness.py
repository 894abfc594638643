"""Robustness section: only with scores, its heat map, its pictures, and damaged scores."""

import base64
import re

import cv2
import numpy as np
import pytest

from evaluation.corruption_scores import CORRUPTIONS_FILE, CorruptionScores
from tools.reporting.baseline_scores import open_test_split
from tools.reporting.html_report import build_report
from tools.reporting.robustness import robustness_section
from tools.reporting.run_folder import read_run


@pytest.fixture
def scored_run(copied_run):
    """A run with scores of two corruptions: abs_rel from 1 to 3 times the clean one."""
    corrupted = np.full((2, 5, 7), 0.5)
    corrupted[:, :, 0] = [[0.1, 0.15, 0.2, 0.25, 0.3], [0.1] * 5]
    scores = CorruptionScores("w", {}, ("fog", "color_quant"), np.array([0.1, *[0.5] * 6]), corrupted)
    folder = copied_run / "models/weights_best/scores_kitti_sample"
    folder.mkdir()
    (folder / CORRUPTIONS_FILE).write_text(scores.relative_to(scores).as_json())
    return copied_run


def opened(folder):
    run = read_run(folder, changes={"eval_split": "kitti_sample", "device": "cpu"})
    return run, open_test_split(run.options)


def test_no_section_without_scores(run_dir):
    assert robustness_section(*opened(run_dir)) is None
    assert robustness_section(opened(run_dir)[0], None) is None


def test_section(scored_run):
    run, test = opened(scored_run)
    section = robustness_section(run, test)
    assert section.titles == ("RR, %", "CE, %") and not section.problem
    assert [row.name for row in section.rows] == ["clean", "fog", "color quant", "mean"]
    fog = section.rows[1].cells
    assert [cell[0] for cell in fog] == ["0.100", "0.150", "0.200", "0.250", "0.300"]
    assert fog[0][1:] == section.rows[0].cells[0][1:]  # as on clean images
    assert len({cell[1] for cell in fog}) == 3  # the colour ends at twice the clean error
    assert section.rows[2].others == ("100.0", "100.0")
    assert [picture.title for picture in section.pictures] == ["clean", "fog", "color quant"]
    images = [
        cv2.imdecode(np.frombuffer(base64.b64decode(p.uri.partition(",")[2]), np.uint8), 1) for p in section.pictures
    ]
    assert {image.shape[1] for image in images} == {400}
    half = images[0].shape[0] // 2
    assert images[1][:half].mean() > images[0][:half].mean() + 10  # fog is bright
    assert section.frame == str(test.dataset.lines[0])


@pytest.mark.slow  # builds a whole page; those of test_html_report.py have no such section
def test_page_has_the_section(scored_run):
    page = build_report(opened(scored_run)[0], 1)
    section = re.search(r'<section id="robustness">(.*?)</section>', page, re.DOTALL)[1]
    assert section.count("<img") == 3 and section.count("background: rgb(") == 4 * 5
    assert '<a href="#robustness">' in page and "mean corruption error (mCE) 100.0 % of w" in section


def test_damaged_scores(scored_run):
    (scored_run / f"models/weights_best/scores_kitti_sample/{CORRUPTIONS_FILE}").write_text("{")
    section = robustness_section(*opened(scored_run))
    assert "is damaged" in section.problem and not section.rows


def test_pictures_need_the_images(scored_run, tmp_path):
    run, test = opened(scored_run)
    missing = test.dataset.replace(lines=[test.dataset.lines[0]._replace(frame=99999)])
    section = robustness_section(run, type(test)(test.name, missing, test.truth))
    assert section.problem.startswith("No pictures: ") and len(section.rows) == 4
