"""Report of a tiny run: complete, self-contained, and robust to missing inputs."""

import base64
import csv
import itertools
import json
import re
import shutil
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from evaluate_depth import evaluate
from evaluation.metrics.depth_metrics import METRIC_NAMES
from options import Options
from tools.reporting.baseline_scores import (
    BEFORE,
    MEAN_MAP,
    MEDIAN_SCALED,
    STEREO_SCALED,
    open_test_split,
    score_weights,
)
from tools.reporting.frame_panels import find_scale, run_frames
from tools.reporting.html_report import build_report
from tools.reporting.point_cloud_viewer import MAX_POINTS
from tools.reporting.report_tables import training_sources
from tools.reporting.run_folder import read_run

SECTIONS = ("typical", "metrics", "curves", "frames", "cloud", "options", "versions", "timings")


class Page(HTMLParser):
    """Parsed page: tags, text and table rows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.in_cell = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        self.in_cell &= tag not in ("td", "th")

    def handle_data(self, data):
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] += data.strip()

    def images(self) -> dict[str, str]:
        """Return alternative text -> source."""
        return {a["alt"]: a["src"] for tag, a in self.tags if tag == "img"}

    def row(self, name: str) -> list[str]:
        """Return the cells of a table row by its first cell."""
        return next(row[1:] for row in self.rows if row and row[0] == name)


def decode(uri: str) -> np.ndarray:
    """Decode the image in a data URI."""
    content = base64.b64decode(re.fullmatch(r"data:image/(?:png|jpeg);base64,(.+)", uri)[1], validate=True)
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def cloud_of(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="cloud-data">(.*?)</script>', html)[1])


def test_all_sections_have_content(page):
    parsed = Page(page)
    assert [a["id"] for tag, a in parsed.tags if tag == "section"] == list(SECTIONS)
    # Two steps and one validation: neither the learning rate nor the depth error changes.
    assert sum(tag == "svg" for tag, _ in parsed.tags) == 2
    for words in ("frame -1", "frame +1", "stereo image", "median-scaled", "training", "validation"):
        assert words in parsed.text
    assert parsed.row("height") == ["64", "192"] and parsed.row("use_stereo") == ["on", "off"]


def test_page_is_self_contained(page):
    for tag, attributes in Page(page).tags:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
                assert value.startswith(("data:", "#")), (tag, name, value[:80])
    assert "http://" not in page and "https://" not in page
    assert not re.search(r"@import|url\((?!#)", page)
    assert len(page) < 5e6


def test_pictures_decode_to_their_declared_size(page):
    parsed = Page(page)
    seen = 0
    for tag, attributes in parsed.tags:
        if tag == "img" and "width" in attributes:
            image = decode(attributes["src"])
            assert image.shape[:2] == (int(attributes["height"]), int(attributes["width"]))
            seen += 1
    kinds = {alt.split(" of ")[0] for alt in parsed.images() if " of " in alt}
    warped = {"Warped frame -1", "Warped frame +1", "Warped stereo image"}
    depths = {"Predicted disparity", "Predicted depth", "Ground truth"}
    assert kinds == {"Input", "Auto-mask", "Error", "Uncertainty", *depths, *warped}
    assert seen >= 2 * 6
    shapes = {decode(uri).shape[:2] for alt, uri in parsed.images().items() if alt.startswith("Predicted disparity of")}
    assert shapes == {(64, 96)}


def test_uncertainty_equals_that_of_evaluate_depth(run_dir, page, tmp_path):
    opt = read_run(run_dir).options.replace(eval_split="kitti_sample", eval_out_dir=str(tmp_path), num_workers=0)
    evaluate(opt.replace(eval_mono=True, uncertainty=True))
    details = json.loads((tmp_path / "scores_kitti_sample/summary.json").read_text())["details"]
    for area in ("ause", "aurg"):
        words = [f"{details[f'uncertainty/{area}_{name}']['mean']:.3f} ({name})" for name in ("abs_rel", "rmse", "a1")]
        assert f"{area.upper()} {', '.join(words)}; " in page


def test_metrics_equal_those_of_evaluate_depth(run_dir, page, tmp_path):
    opt = read_run(run_dir).options.replace(eval_split="kitti_sample", eval_out_dir=str(tmp_path), num_workers=0)
    for row, scaling in ((MEDIAN_SCALED, "eval_mono"), (STEREO_SCALED, "eval_stereo")):
        means = evaluate(opt.replace(**{scaling: True}))
        assert Page(page).row(row) == [f"{means[name]:.3f}" for name in METRIC_NAMES]


def test_crop_and_depth_cap_equal_those_of_evaluate_depth(run_dir, tmp_path):
    settings = {"eval_split": "kitti_sample", "eval_max_depth": 20.0, "eval_crop": "none", "num_workers": 0}
    opt = read_run(run_dir).options.replace(**settings)
    test = open_test_split(opt)
    rows = score_weights(opt, test).rows
    for row, scaling in ((MEDIAN_SCALED, "eval_mono"), (STEREO_SCALED, "eval_stereo")):
        assert rows[row].means == evaluate(opt.replace(eval_out_dir=str(tmp_path), **{scaling: True}))
    for frame in run_frames(opt, test, 2)[0]:
        assert frame.truth.depth.max() > 20 > frame.truth.depth[frame.truth.valid].max()


def test_error_captions_equal_the_evaluated_errors(run_dir, page):
    """Compare the mean in each caption with abs_rel of the evaluation."""
    from evaluation.metrics.depth_protocol import DepthProtocol, evaluate_frame

    opt = read_run(run_dir).options.replace(num_workers=0)
    frames, part = run_frames(opt, open_test_split(opt), 2)
    assert part == "test"
    for frame in frames:
        assert frame.uncertainty is None and find_scale(frame, 5.4).unit == "m"
        error = evaluate_frame(frame.scaled_disp, frame.truth.depth, DepthProtocol()).metrics[0]
        found = float(
            re.search(rf'alt="Error of {frame.name}">\s*<figcaption><b>Error</b> mean abs_rel ([\d.]+)', page)[1]
        )
        assert found == pytest.approx(error, abs=2e-3)  # depth in the picture is not clipped to 80 m


def test_verdict_compares_with_the_mean_training_depth_map(page):
    parsed = Page(page)
    own, mean = (float(parsed.row(name)[0]) for name in (MEDIAN_SCALED, MEAN_MAP))
    (percent, word) = re.search(rf"(\d+)% (better|worse) than the {MEAN_MAP}", parsed.text).groups()
    assert word == ("better" if own < mean else "worse")
    assert int(percent) == pytest.approx(100 * abs(1 - own / mean), abs=1.5)


def test_metrics_json_is_matched_with_the_rows(copied_run):
    weights = copied_run / "models" / "weights_best"
    opt = read_run(copied_run).options.replace(eval_split="kitti_sample", num_workers=0, eval_mono=True)
    means = evaluate(opt)
    built = build_report(read_run(copied_run), 1)
    assert f"Row “{MEDIAN_SCALED}” matches the metrics that evaluate_depth.py saved" in built
    assert "lidar ground truth, crop eigen (54% of the image), cap 80 m" in built
    (weights / "metrics_kitti_sample.json").write_text(json.dumps({**means, "abs_rel": 9.0}))
    assert "(abs_rel 9.000) match no row" in build_report(read_run(copied_run), 1)


def test_point_clouds_of_prediction_and_ground_truth_are_limited_in_size(page):
    cloud = cloud_of(page)
    assert set(cloud["clouds"]) == {"predicted", "ground truth"}
    assert sum(points["count"] for points in cloud["clouds"].values()) <= 2 * MAX_POINTS
    for points in cloud["clouds"].values():
        positions = np.frombuffer(base64.b64decode(points["positions"]), "<i2").reshape(-1, 3) * points["unit"]
        colours = np.frombuffer(base64.b64decode(points["colours"]), np.uint8).reshape(-1, 3)
        assert len(positions) == len(colours) == points["count"] > 1000
        assert positions[:, 2].min() > 0 and positions[:, 2].max() <= 80.01
    # KITTI's lidar: the road is about 1.65 m below the camera, with hardly any point below it.
    assert 1.3 < np.percentile(positions[:, 1], 90) < 2.2


def test_point_cloud_is_that_of_the_first_frame(page):
    first = re.search(r"The first frame of the test list:\s+(.*)\.", page)[1]
    assert f"{first}, coloured by the image" in page


@pytest.mark.parametrize(
    ("frame_ids", "use_stereo", "words"),
    [
        ((0, -1, 1), False, "video (frames 0 -1 1)"),
        ((0,), True, "stereo pairs"),
        ((0, -1, 1), True, "video (frames 0 -1 1) and stereo pairs"),
    ],
)
def test_training_sources_are_named(frame_ids, use_stereo, words):
    assert training_sources(Options(frame_ids=frame_ids, use_stereo=use_stereo)) == words


def test_timings_and_versions_come_from_run_json(run_dir, page):
    record = json.loads((run_dir / "run.json").read_text())
    parsed = Page(page)
    assert parsed.row("paddle")[0] == record["paddle"] and parsed.row("processor")[0] == record["processor"]
    assert parsed.row("median step") == [f"{record['median_step_seconds']:.3g} s"]
    assert "for 2 steps of batch size 2, eager mode" in parsed.text


def test_watchdog_without_findings_is_reported(page):
    assert "Watchdog: no problems found." in page


def test_report_is_reproducible_except_for_timings(run_dir, page):
    def without_timings(html: str) -> str:
        return html[: html.index('<section id="timings">')]

    again = build_report(read_run(run_dir, changes={"uncertainty": True}), 2)
    assert without_timings(again) == without_timings(page)


def test_run_name_with_html_is_escaped(copied_run):
    hostile = copied_run.with_name('"><img src=x onerror=alert(1)>&')
    copied_run.rename(hostile)
    page = build_report(read_run(hostile), 1)
    parsed = Page(page)
    assert hostile.name in parsed.text
    assert not any("onerror" in attributes for _, attributes in parsed.tags)


def test_missing_logs_and_run_json_are_reported(copied_run):
    (copied_run / "scalars.jsonl").unlink()
    (copied_run / "run.json").unlink()
    text = Page(build_report(read_run(copied_run), 1)).text
    assert (
        "Watchdog: not active in this run." in text
        and "No curves: scalars.jsonl is missing" in text
        and "run.json is missing" in text
        and "not recorded" in text
    )


def test_validation_frames_are_shown_without_a_test_split(copied_run, stereo_drive, change_options, tmp_path):
    lists = tmp_path / "lists"
    shutil.copytree(stereo_drive / "splits" / "kitti_sample", lists)
    (lists / "test_files.txt").unlink()
    change_options(copied_run, split=str(lists))
    page = build_report(read_run(copied_run), 1)
    text = re.sub(r"\s+", " ", Page(page).text)
    assert "Not scored: no test split" in text and "No metrics." in text
    assert "1 frames, evenly spaced in the validation split (no test frames" in text
    assert "Auto-mask of" in " ".join(Page(page).images())


def test_curves_and_watchdog_findings_are_shown_without_data(copied_run, capsys):
    finding = {"part": "watchdog", "step": 2, "holes": "holes <here>. Likely cause: a. Remedy: b."}
    with (copied_run / "scalars.jsonl").open("a") as stream:
        stream.write(json.dumps(finding) + "\n")
    page = build_report(read_run(copied_run, changes={"data_path": "/nowhere"}), 1)
    parsed = Page(page)
    assert "Watchdog. Step 2: holes <here>. Likely cause: a. Remedy: b." in parsed.text
    assert "No test frames for metrics and pictures; pass --data_path" in capsys.readouterr().err
    assert "no problems found" not in parsed.text
    assert "No frames available" in parsed.text and "No point cloud" in parsed.text
    assert sum(tag == "svg" for tag, _ in parsed.tags) == 2


@pytest.fixture
def moved_drive(stereo_drive, tmp_path):
    """A drive of one test frame with linked images, without ground truth."""
    drive = tmp_path / "drive"
    lists = drive / "splits" / "kitti_sample"
    lists.mkdir(parents=True)
    for part in ("train", "val"):
        shutil.copy(stereo_drive / "splits" / "kitti_sample" / f"{part}_files.txt", lists)
    line = (stereo_drive / "splits" / "kitti_sample" / "test_files.txt").read_text().splitlines()[0]
    (lists / "test_files.txt").write_text(f"{line}\n")
    folder, frame, _ = line.split()
    (drive / folder).mkdir(parents=True)
    for calibration in (stereo_drive / folder.split("/")[0]).glob("calib_*.txt"):
        shutil.copy(calibration, drive / folder.split("/")[0])
    for camera in ("image_02", "image_03"):
        (drive / folder / camera).symlink_to(stereo_drive / folder / camera)
    return drive, folder, int(frame)


def test_depth_is_stereo_scaled_without_ground_truth(copied_run, moved_drive):
    drive, _, _ = moved_drive
    page = build_report(read_run(copied_run, changes={"data_path": str(drive)}), 1)
    parsed = Page(page)
    assert "No ground truth for this frame" in parsed.text and "stereo-scaled" in parsed.text
    assert not any(alt.startswith(("Ground truth of", "Error of")) for alt in parsed.images())
    assert set(cloud_of(page)["clouds"]) == {"predicted"}
    assert "Error (relative" not in parsed.text


def test_dense_depth_map_is_preferred_to_lidar(copied_run, moved_drive, sample_view):
    drive, folder, frame = moved_drive
    depth = np.full((sample_view.height, sample_view.width), 256 * 20, np.uint16)
    path = drive / folder / "proj_depth/groundtruth/image_02" / f"{frame:010d}.png"
    path.parent.mkdir(parents=True)
    assert cv2.imwrite(str(path), depth)
    page = build_report(read_run(copied_run, changes={"data_path": str(drive)}), 1)
    positions = base64.b64decode(cloud_of(page)["clouds"]["ground truth"]["positions"])
    points = np.frombuffer(positions, "<i2").reshape(-1, 3) * cloud_of(page)["clouds"]["ground truth"]["unit"]
    np.testing.assert_allclose(points[:, 2], 20, atol=0.01)
    assert "points enlarged" not in page


def test_no_warped_images_without_pose_weights(copied_run):
    (copied_run / "models" / "weights_best" / "pose.pdparams").unlink()
    page = build_report(read_run(copied_run), 1)
    assert "the weights contain no complete pose." in page
    assert not any("Warped" in alt for alt in Page(page).images())


def test_monocular_run_has_no_stereo_row_and_no_metric_unit(copied_run, change_options, moved_drive):
    change_options(copied_run, use_stereo=False)
    page = build_report(read_run(copied_run, changes={"data_path": str(moved_drive[0])}), 1)
    assert "times the median" in page and "Warped stereo image" not in page
    assert "stereo-scaled" not in page.split('id="frames"')[1]


def test_stereo_only_run_and_predictive_mask(stereo_drive, tmp_path):
    from common.atomic_files import write_json
    from serialization.weights_folder import save_weights
    from training.setup import build_model

    common = {"data_path": str(stereo_drive), "split": "kitti_sample", "log_dir": str(tmp_path), "num_workers": 0}
    common |= {"height": 64, "width": 96, "device": "cpu", "weights_init": "scratch"}
    stereo = Options(**common, model_name="stereo", frame_ids=(0,), use_stereo=True)
    masked = Options(**common, model_name="masked", predictive_mask=True, disable_automasking=True)
    for opt, expected in ((stereo, {"Auto-mask", "Warped stereo image"}), (masked, {"Predictive mask"})):
        info = {"height": 64, "width": 96, "use_stereo": opt.use_stereo}
        save_weights(opt.run_dir / "models" / "weights_best", build_model(opt).networks(), info)
        write_json(opt.run_dir / "models" / "opt.json", opt.as_dict())
        kinds = {alt.split(" of ")[0] for alt in Page(build_report(read_run(opt.run_dir), 2)).images()}
        assert expected <= kinds and ("Auto-mask" in kinds) == (opt is stereo)


def test_details_and_extremes_equal_those_of_evaluate_depth(run_dir, page, sample_view, tmp_path):
    opt = read_run(run_dir).options.replace(eval_split="kitti_sample", eval_out_dir=str(tmp_path), num_workers=0)
    evaluate(opt.replace(eval_mono=True, eval_details=True, uncertainty=True))
    summary = json.loads((tmp_path / "scores_kitti_sample/summary.json").read_text())
    parsed = Page(page)
    for row, part in (("0–10 m", "0-10m"), ("bottom third", "bottom"), ("scale and shift aligned", "aligned")):
        expected = [summary["details"][f"{part}/{name}"]["mean"] for name in METRIC_NAMES]
        assert parsed.row(row) == [f"{value:.3f}" for value in expected]
    interval, clouds = summary["metrics"]["abs_rel"], summary["details"]["cloud/chamfer"]
    assert f"{interval['low']:.3f} to {interval['high']:.3f}" in parsed.text
    assert f"Chamfer distance {clouds['mean']:.2f} m" in parsed.text and "Depth edges" not in parsed.text  # sparse
    assert f"standard deviation {summary['scale']['relative_std']:.1%}" in parsed.text
    with open(tmp_path / "scores_kitti_sample/frames.csv", newline="") as stream:
        errors = {row["frame"]: float(row["abs_rel"]) for row in csv.DictReader(stream)}
    links = {attrs["download"]: attrs["href"] for tag, attrs in parsed.tags if "download" in attrs}
    for name in ("frames.csv", "summary.json"):
        text = base64.b64decode(links[name].partition(";base64,")[2]).decode()
        assert text == (tmp_path / "scores_kitti_sample" / name).read_text()
    for name in ("table.md", "table.tex"):
        assert (tmp_path / "scores_kitti_sample" / name).read_text() in parsed.text
    shown = [alt for alt in parsed.images() if alt.startswith(("worst", "best"))]
    order = sorted(errors, key=errors.get)
    assert shown == [f"worst 1: {order[-1]}", f"worst 2: {order[-2]}", f"best 1: {order[0]}", f"best 2: {order[1]}"]
    panel = decode(parsed.images()[shown[0]])
    height = 3 * sample_view.height * 640 / sample_view.width
    assert panel.shape[1] == 640 and panel.shape[0] == pytest.approx(height, abs=1)


def test_test_frames_used_for_training_are_reported(copied_run, stereo_drive, change_options, tmp_path):
    lists = tmp_path / "lists"
    shutil.copytree(stereo_drive / "splits" / "kitti_sample", lists)
    line = (lists / "test_files.txt").read_text().splitlines()[0]
    for part in ("train", "test"):
        (lists / f"{part}_files.txt").write_text(f"{line}\n")
    change_options(copied_run, split=str(lists))
    assert "1 of the test frames were used for training" in Page(build_report(read_run(copied_run), 1)).text


def test_odometry_results_are_shown(copied_run):
    weights = read_run(copied_run).weights
    metrics = {"ate_5": 0.01712, "ate_5_std": 0.008, "ate_sim3": 7.1, "ate_se3": 99.0, "t_rel": None, "by_length": {}}
    (weights / "pose_metrics_odom_9.json").write_text(json.dumps({"frames": 1591, **metrics}))
    (weights / "pose_metrics_odom_10.json").write_text('{"of": "another version"}')
    cv2.imwrite(str(weights / "trajectory_odom_9.png"), np.full((20, 20, 3), 200, np.uint8))
    page = Page(build_report(read_run(copied_run), 1))
    assert "odom_9, 1591 frames" in page.text and "0.0171 +- 0.0080" in page.text and "odom_10" not in page.text
    assert (decode(page.images()["trajectory of odom_9, top view"]) == 200).all()


def test_typical_frame_comes_first_and_maps_have_colour_bars(page):
    """The first frame of the test list, before the numbers; each map is followed by its bar, with a unit."""
    parsed = Page(page)
    top = page[page.index('id="typical"') : page.index('id="metrics"')]
    order = [alt.split(" of ")[0] for alt in Page(top).images() if " of " in alt]
    assert order == ["Input", "Predicted depth", "Ground truth", "Error"]
    alts = [attributes["alt"] for tag, attributes in parsed.tags if tag == "img"]
    units = {"Predicted depth": "Depth (m)", "Ground truth": "Depth (m)", "Predicted disparity": "Disparity (relative)"}
    units["Error"] = "Error (relative to true depth)"
    followed = [(alt.split(" of ")[0], after) for alt, after in itertools.pairwise(alts) if " of " in alt]
    assert sum(kind in units for kind, _ in followed) == 3 + 2 * 4
    assert all(after.startswith(units[kind]) for kind, after in followed if kind in units)


def test_weights_before_the_training_are_scored_next_to_those_after_it(copied_run, change_options, tmp_path):
    weights = shutil.copytree(copied_run / "models" / "weights_best", tmp_path / "before")
    change_options(copied_run, load_weights_folder=str(weights))
    parsed = Page(build_report(read_run(copied_run), 1))
    assert parsed.row(BEFORE) == parsed.row(MEDIAN_SCALED)
    assert "0% better than before this training (" in parsed.text
    change_options(copied_run, load_weights_folder=str(tmp_path / "missing"))
    assert "The weights before this training are not scored" in Page(build_report(read_run(copied_run), 1)).text
