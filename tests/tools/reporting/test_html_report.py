"""The page of a real tiny run: all there, nothing from outside, and nothing lost where a part is missing."""

import base64
import csv
import json
import re
import shutil
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from evaluate_depth import evaluate
from evaluation.metrics.depth_metrics import METRIC_NAMES
from tools.reporting.baseline_scores import MEDIAN_SCALED, STEREO_SCALED, open_test_split, score_weights
from tools.reporting.frame_panels import find_scale, run_frames
from tools.reporting.html_report import build_report
from tools.reporting.run_folder import read_run

SECTIONS = ("metrics", "curves", "frames", "cloud", "options", "versions", "timings")


class Page(HTMLParser):
    """What the tests ask of a page: its tags, its text, its tables."""

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
        """Alternative text -> address."""
        return {a["alt"]: a["src"] for tag, a in self.tags if tag == "img"}

    def row(self, name: str) -> list[str]:
        """The cells of the row that begins with a name."""
        return next(row[1:] for row in self.rows if row and row[0] == name)


def decode(uri: str) -> np.ndarray:
    """The picture in a data URI."""
    content = base64.b64decode(re.fullmatch(r"data:image/(?:png|jpeg);base64,(.+)", uri)[1], validate=True)
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def cloud_of(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="cloud-data">(.*?)</script>', html)[1])


def test_every_section_is_there_and_filled(page):
    parsed = Page(page)
    assert [a["id"] for tag, a in parsed.tags if tag == "section"] == list(SECTIONS)
    assert sum(tag == "svg" for tag, _ in parsed.tags) == 4
    for words in ("frame -1", "frame +1", "the other camera", "median-scaled", "training", "validation"):
        assert words in parsed.text
    assert parsed.row("height") == ["64", "192"] and parsed.row("use_stereo") == ["on", "off"]


def test_nothing_comes_from_outside(page):
    for tag, attributes in Page(page).tags:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
                assert value.startswith(("data:", "#")), (tag, name, value[:80])
    assert "http://" not in page and "https://" not in page
    assert not re.search(r"@import|url\((?!#)", page)
    assert len(page) < 5e6


def test_pictures_are_real_and_of_their_size(page):
    parsed = Page(page)
    seen = 0
    for tag, attributes in parsed.tags:
        if tag == "img" and "width" in attributes:
            image = decode(attributes["src"])
            assert image.shape[:2] == (int(attributes["height"]), int(attributes["width"]))
            seen += 1
    kinds = {alt.split(" of ")[0] for alt in parsed.images() if " of " in alt}
    warped = {"frame -1, warped", "frame +1, warped", "the other camera, warped"}
    assert kinds == {"input", "disparity", "auto-mask", "depth", "truth", "error", *warped}
    assert seen >= 2 * 6
    shapes = {decode(uri).shape[:2] for alt, uri in parsed.images().items() if alt.startswith("disparity of")}
    assert shapes == {(64, 96)}


def test_metrics_are_those_of_evaluate_depth(run_dir, page, tmp_path):
    opt = read_run(run_dir).options.replace(eval_split="kitti_sample", eval_out_dir=str(tmp_path), num_workers=0)
    for row, scaling in (("these weights", "eval_mono"), ("these weights, by the stereo factor", "eval_stereo")):
        means = evaluate(opt.replace(**{scaling: True}))
        assert Page(page).row(row) == [f"{means[name]:.3f}" for name in METRIC_NAMES]


def test_the_crop_and_the_cap_are_those_of_evaluate_depth(run_dir, tmp_path):
    settings = {"eval_split": "kitti_sample", "eval_max_depth": 20.0, "eval_crop": "none", "num_workers": 0}
    opt = read_run(run_dir).options.replace(**settings)
    test = open_test_split(opt)
    rows = score_weights(opt, test).rows
    for row, scaling in ((MEDIAN_SCALED, "eval_mono"), (STEREO_SCALED, "eval_stereo")):
        assert rows[row].means == evaluate(opt.replace(eval_out_dir=str(tmp_path), **{scaling: True}))
    for frame in run_frames(opt, test, 2)[0]:
        assert frame.truth.depth.max() > 20 > frame.truth.depth[frame.truth.valid].max()


def test_errors_on_the_pictures_are_those_of_the_frames(run_dir, page):
    """The caption's mean over scored pixels, worked out by the evaluation instead of by the picture."""
    from evaluation.metrics.depth_protocol import DepthProtocol, evaluate_frame

    opt = read_run(run_dir).options.replace(num_workers=0)
    frames, part = run_frames(opt, open_test_split(opt), 2)
    assert part == "test"
    for frame in frames:
        assert find_scale(frame, 5.4).unit == "m"
        error = evaluate_frame(frame.scaled_disp, frame.truth.depth, DepthProtocol()).metrics[0]
        found = float(re.search(rf'alt="error of {frame.name}">\s*<figcaption><b>error</b> mean ([\d.]+)', page)[1])
        assert found == pytest.approx(error, abs=2e-3)  # the picture's depths are not clipped to 80 m


def test_the_verdict_compares_with_the_mean_depth_map(page):
    parsed = Page(page)
    own, mean = (float(parsed.row(name)[0]) for name in ("these weights", "mean depth map"))
    (percent, word) = re.search(r"(\d+)% (better|worse) than the mean depth map", parsed.text).groups()
    assert word == ("better" if own < mean else "worse")
    assert int(percent) == pytest.approx(100 * abs(1 - own / mean), abs=1.5)


def test_metrics_json_is_recognised_or_called_another_evaluation(copied_run):
    weights = copied_run / "models" / "weights_best"
    opt = read_run(copied_run).options.replace(eval_split="kitti_sample", num_workers=0, eval_mono=True)
    means = evaluate(opt)
    assert "is what evaluate_depth.py wrote" in build_report(read_run(copied_run), 1)
    (weights / "metrics.json").write_text(json.dumps({**means, "abs_rel": 9.0}))
    assert "(abs_rel 9.000) is another evaluation" in re.sub(r"\s+", " ", build_report(read_run(copied_run), 1))


def test_the_cloud_has_both_kinds_and_few_enough_points(page):
    cloud = cloud_of(page)
    assert set(cloud["clouds"]) == {"predicted", "true"}
    assert sum(points["count"] for points in cloud["clouds"].values()) <= 60_000
    for points in cloud["clouds"].values():
        positions = np.frombuffer(base64.b64decode(points["positions"]), "<i2").reshape(-1, 3) * points["unit"]
        colours = np.frombuffer(base64.b64decode(points["colours"]), np.uint8).reshape(-1, 3)
        assert len(positions) == len(colours) == points["count"] > 1000
        assert positions[:, 2].min() > 0 and positions[:, 2].max() <= 80.01
    # Lidar on a street: the ground lies some 1.65 m below the camera, and nothing far below that.
    assert 1.3 < np.percentile(positions[:, 1], 90) < 2.2


def test_timings_and_versions_are_the_records(run_dir, page):
    record = json.loads((run_dir / "run.json").read_text())
    parsed = Page(page)
    assert parsed.row("paddle")[0] == record["paddle"] and parsed.row("processor")[0] == record["processor"]
    assert f"{record['median_step_seconds']:.3g} s, the median" in parsed.text
    assert "in 2 steps of batch 2, not compiled" in parsed.text


def test_a_watchdog_that_found_nothing_is_told(page):
    assert "The watchdog found nothing." in page


def test_the_same_run_gives_the_same_page_but_for_timings(run_dir, page):
    def without_timings(html: str) -> str:
        return html[: html.index('<section id="timings">')]

    assert without_timings(build_report(read_run(run_dir), 2)) == without_timings(page)


def test_a_hostile_name_stays_text(copied_run):
    hostile = copied_run.with_name('"><img src=x onerror=alert(1)>&')
    copied_run.rename(hostile)
    page = build_report(read_run(hostile), 1)
    parsed = Page(page)
    assert hostile.name in parsed.text
    assert not any("onerror" in attributes for _, attributes in parsed.tags)


def test_without_logs_and_record_the_page_says_so(copied_run):
    (copied_run / "scalars.jsonl").unlink()
    (copied_run / "run.json").unlink()
    text = Page(build_report(read_run(copied_run), 1)).text
    assert (
        "The watchdog did not look at this run." in text
        and "logged no scalars" in text
        and "run.json is missing" in text
        and "not recorded" in text
    )


def test_without_a_test_split_validation_frames_are_shown(copied_run, stereo_drive, change_options, tmp_path):
    lists = tmp_path / "lists"
    shutil.copytree(stereo_drive / "splits" / "kitti_sample", lists)
    (lists / "test_files.txt").unlink()
    change_options(copied_run, split=str(lists))
    page = build_report(read_run(copied_run), 1)
    text = re.sub(r"\s+", " ", Page(page).text)
    assert "Not scored: there is no test split." in text and "No metrics." in text
    assert "1 frames, evenly spaced through the validation split (no test frames" in text
    assert "auto-mask of" in " ".join(Page(page).images())


def test_without_data_the_curves_remain(copied_run):
    finding = {"part": "watchdog", "step": 2, "holes": "holes <here>. Likely cause: a. Remedy: b."}
    with (copied_run / "scalars.jsonl").open("a") as stream:
        stream.write(json.dumps(finding) + "\n")
    page = build_report(read_run(copied_run, changes={"data_path": "/nowhere"}), 1)
    parsed = Page(page)
    assert "Watchdog. Step 2: holes <here>. Likely cause: a. Remedy: b." in parsed.text
    assert "The watchdog found nothing" not in parsed.text
    assert "No frames can be shown" in parsed.text and "There is no frame to make points of" in parsed.text
    assert sum(tag == "svg" for tag, _ in parsed.tags) == 4


@pytest.fixture
def moved_drive(stereo_drive, tmp_path):
    """A drive of one test frame: linked files, so that a test can leave some away."""
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


def test_without_ground_truth_there_is_no_error_and_depth_has_the_pair_s_scale(copied_run, moved_drive):
    drive, _, _ = moved_drive
    page = build_report(read_run(copied_run, changes={"data_path": str(drive)}), 1)
    parsed = Page(page)
    assert "There is no ground truth for this frame" in parsed.text and "by the stereo factor" in parsed.text
    assert not any(alt.startswith(("truth of", "error of")) for alt in parsed.images())
    assert set(cloud_of(page)["clouds"]) == {"predicted"}
    assert "error: |depth" not in parsed.text


def test_a_dense_depth_map_is_preferred_to_lidar(copied_run, moved_drive, sample_view):
    drive, folder, frame = moved_drive
    depth = np.full((sample_view.height, sample_view.width), 256 * 20, np.uint16)
    path = drive / folder / "proj_depth/groundtruth/image_02" / f"{frame:010d}.png"
    path.parent.mkdir(parents=True)
    assert cv2.imwrite(str(path), depth)
    page = build_report(read_run(copied_run, changes={"data_path": str(drive)}), 1)
    positions = base64.b64decode(cloud_of(page)["clouds"]["true"]["positions"])
    points = np.frombuffer(positions, "<i2").reshape(-1, 3) * cloud_of(page)["clouds"]["true"]["unit"]
    np.testing.assert_allclose(points[:, 2], 20, atol=0.01)
    assert "points drawn larger" not in page


def test_without_the_pose_network_nothing_is_warped(copied_run):
    (copied_run / "models" / "weights_best" / "pose.pdparams").unlink()
    page = build_report(read_run(copied_run), 1)
    assert "the weights hold no whole pose." in page
    assert not any("warped" in alt for alt in Page(page).images())


def test_video_alone_has_no_stereo_row_and_a_unit_of_its_own(copied_run, change_options, moved_drive):
    change_options(copied_run, use_stereo=False)
    page = build_report(read_run(copied_run, changes={"data_path": str(moved_drive[0])}), 1)
    assert "times the median" in page and "the other camera, warped" not in page
    assert "by the stereo factor" not in page.split('id="frames"')[1]


def test_stereo_alone_and_a_predictive_mask(stereo_drive, tmp_path):
    from common.atomic_files import write_json
    from options import Options
    from serialization.weights_folder import save_weights
    from training.setup import build_model

    common = {"data_path": str(stereo_drive), "split": "kitti_sample", "log_dir": str(tmp_path), "num_workers": 0}
    common |= {"height": 64, "width": 96, "device": "cpu", "weights_init": "scratch"}
    stereo = Options(**common, model_name="stereo", frame_ids=(0,), use_stereo=True)
    masked = Options(**common, model_name="masked", predictive_mask=True, disable_automasking=True)
    for opt, expected in ((stereo, {"auto-mask", "the other camera, warped"}), (masked, {"predictive mask"})):
        info = {"height": 64, "width": 96, "use_stereo": opt.use_stereo}
        save_weights(opt.run_dir / "models" / "weights_best", build_model(opt).networks(), info)
        write_json(opt.run_dir / "models" / "opt.json", opt.as_dict())
        kinds = {alt.split(" of ")[0] for alt in Page(build_report(read_run(opt.run_dir), 2)).images()}
        assert expected <= kinds and ("auto-mask" in kinds) == (opt is stereo)


def test_distances_thirds_intervals_and_extremes_are_those_of_evaluate_depth(run_dir, page, sample_view, tmp_path):
    opt = read_run(run_dir).options.replace(eval_split="kitti_sample", eval_out_dir=str(tmp_path), num_workers=0)
    evaluate(opt.replace(eval_mono=True, eval_details=True))
    summary = json.loads((tmp_path / "scores_kitti_sample/summary.json").read_text())
    parsed = Page(page)
    for row, part in (("0-10m", "0-10m"), ("bottom third", "bottom"), ("scale and shift aligned", "aligned")):
        expected = [summary["details"][f"{part}/{name}"]["mean"] for name in METRIC_NAMES]
        assert parsed.row(row) == [f"{value:.3f}" for value in expected]
    interval, clouds = summary["metrics"]["abs_rel"], summary["details"]["cloud/chamfer"]
    assert f"between {interval['low']:.3f} and {interval['high']:.3f} in 95 %" in parsed.text
    assert f"Chamfer distance {clouds['mean']:.2f} m" in parsed.text and "Depth edges" not in parsed.text  # sparse
    assert f"spreads by {summary['scale']['relative_std']:.1%}" in parsed.text
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


def test_frames_that_were_trained_on_are_pointed_out(copied_run, stereo_drive, change_options, tmp_path):
    lists = tmp_path / "lists"
    shutil.copytree(stereo_drive / "splits" / "kitti_sample", lists)
    line = (lists / "test_files.txt").read_text().splitlines()[0]
    for part in ("train", "test"):
        (lists / f"{part}_files.txt").write_text(f"{line}\n")
    change_options(copied_run, split=str(lists))
    assert "1 of the frames were trained on" in Page(build_report(read_run(copied_run), 1)).text


def test_odometry_is_shown_where_it_was_scored(copied_run):
    weights = read_run(copied_run).weights
    metrics = {"ate_5": 0.01712, "ate_5_std": 0.008, "ate_sim3": 7.1, "ate_se3": 99.0, "t_rel": None, "by_length": {}}
    (weights / "pose_metrics_odom_9.json").write_text(json.dumps({"frames": 1591, **metrics}))
    (weights / "pose_metrics_odom_10.json").write_text('{"of": "another version"}')
    cv2.imwrite(str(weights / "trajectory_odom_9.png"), np.full((20, 20, 3), 200, np.uint8))
    page = Page(build_report(read_run(copied_run), 1))
    assert "odom_9, 1591 frames" in page.text and "0.0171 +- 0.0080" in page.text and "odom_10" not in page.text
    assert (decode(page.images()["trajectory of odom_9, from above"]) == 200).all()
