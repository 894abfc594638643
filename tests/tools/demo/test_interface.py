"""Event handlers of the page, called as Gradio calls them."""

import threading
from types import SimpleNamespace

import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed (pip install -r requirements-page.txt)")

from tools.demo.demo_options import PageOptions  # noqa: E402
from tools.demo.examples import Example  # noqa: E402
from tools.demo.interface import Page  # noqa: E402
from tools.demo.visitors import Visitors  # noqa: E402
from tools.demo.weights_menu import Predictors  # noqa: E402

NAMES = ("sent", "message", "shown", "summary", "pair", "depth", "video", "cloud", "files", "view")


@pytest.fixture
def page(page_weights, photo, clip, tmp_path):
    """The page, with an image and a video as examples."""
    predictors = Predictors([str(page_weights / name) for name in ("stereo", "mono")], PageOptions())
    examples = [Example(photo, "Photo", 70), Example(clip, "Clip")]
    return Page(predictors, Visitors(tmp_path / "visitors"), examples, tmp_path / "examples", PageOptions(max_frames=5))


def silent(share, what):
    """Progress that nobody sees."""


def visitor(name):
    return SimpleNamespace(session_hash=name)


def show(page, path, name="x", weights=0):
    folder = page._predictors.names[weights]
    return dict(zip(NAMES, page.show_sent(str(path), folder, visitor(name), silent), strict=True))


def test_image_upload_shows_result_and_downloads(page, photo):
    outputs = show(page, photo)
    assert outputs["sent"] is None and not outputs["message"].visible and outputs["shown"].visible
    assert "a photo: 70x50" in outputs["summary"] and not outputs["video"].visible
    assert outputs["files"][0].endswith("/a photo_picture.png")


def test_visitors_with_the_same_file_have_separate_results(page, photo, tmp_path):
    first, second = show(page, photo, "x"), show(page, photo, "y")
    assert not set(first["files"]) & set(second["files"])
    page.forget(visitor("x"))
    assert len(list((tmp_path / "visitors").iterdir())) == 1
    page.forget(visitor("y"))
    assert not list((tmp_path / "visitors").iterdir()) and photo.is_file()


def test_files_are_deleted_if_the_visitor_leaves_during_prediction(page, photo, tmp_path):
    def leave(share, what):
        page.forget(visitor("x"))

    outputs = page.show_sent(str(photo), page._predictors.names[0], visitor("x"), leave)
    assert not outputs[NAMES.index("shown")].visible and not list((tmp_path / "visitors").iterdir())


def test_full_disk_is_reported(page, clip, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tools.demo.demo_results._write_video", full)
    outputs = show(page, clip)
    assert "could not be written" in outputs["message"].value and not outputs["shown"].visible


def test_changing_weights_predicts_the_same_file_again(page, photo):
    show(page, photo)
    again = page.show_again(page._predictors.names[1], 80, visitor("x"), silent)
    assert "relative units" in again[NAMES.index("summary")]
    nothing = page.show_again(page._predictors.names[1], 80, visitor("without upload"), silent)
    assert not nothing[NAMES.index("shown")].visible and not nothing[NAMES.index("message")].visible


def example(page, index, name="x", weights=0):
    chosen = SimpleNamespace(index=index)
    outputs = page.show_example(page._predictors.names[weights], chosen, visitor(name), silent)
    return dict(zip(NAMES, outputs, strict=True))


def test_example_is_predicted_once_for_all_visitors(page, monkeypatch):
    first = example(page, 1)
    assert first["video"].visible and "clip" in first["summary"]
    monkeypatch.setattr("tools.demo.interface.predict_upload", lambda *_: pytest.fail("predicted again"))
    assert example(page, 1, "y")["files"] == first["files"]


def test_example_is_predicted_with_other_weights(page, tmp_path):
    assert "relative units" in example(page, 0, weights=1)["summary"]
    assert " m. " in example(page, 0, weights=0)["summary"], "the shared result is that of the first weights"


def test_page_opens_with_the_first_example_and_its_field_of_view(page, monkeypatch):
    page.predict_examples(threading.Event())
    monkeypatch.setattr("tools.demo.interface.predict_upload", lambda *_: pytest.fail("predicted again"))
    outputs = dict(zip(NAMES, page.show_first(visitor("x")), strict=True))
    assert outputs["view"] == 70 and "a photo" in outputs["summary"] and outputs["shown"].visible


def test_examples_are_not_predicted_after_the_end_and_skipped_if_impossible(page, photo, tmp_path):
    stop = threading.Event()
    stop.set()
    page.predict_examples(stop)
    assert not (tmp_path / "examples").exists()
    photo.write_text("no picture")
    page.predict_examples(threading.Event())
    assert example(page, 1)["shown"].visible
    assert "is not an image" in example(page, 0)["message"].value


def test_unsupported_file_shows_an_error_message(page, tmp_path):
    path = tmp_path / "notes & more.txt"
    path.write_text("none")
    outputs = show(page, path)
    assert outputs["message"].visible and "notes &amp; more.txt is not an image" in outputs["message"].value
    assert not outputs["shown"].visible and outputs["files"] is None


def test_weights_outside_the_menu_are_rejected(page, photo):
    outputs = page.show_sent(str(photo), "/etc", visitor("x"), silent)
    assert "not in the menu" in outputs[NAMES.index("message")].value


def test_page_builds_with_the_expected_components(page):
    config = page.build().get_config_file()
    kinds = [part["type"] for part in config["components"]]
    for kind in ("file", "gallery", "dropdown", "imageslider", "video"):
        assert kind in kinds
    assert not next(part for part in config["components"] if part["type"] == "accordion")["props"]["open"]
    assert all(not str(font).startswith("http") for font in config.get("stylesheets", []))
