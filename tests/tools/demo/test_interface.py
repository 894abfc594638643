"""The page's handlers, called as Gradio calls them: what they show, and that visitors do not meet."""

from types import SimpleNamespace

import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed (pip install -r requirements-page.txt)")

from tools.demo.demo_options import PageOptions  # noqa: E402
from tools.demo.interface import Page  # noqa: E402
from tools.demo.visitors import Visitors  # noqa: E402
from tools.demo.weights_menu import Predictors  # noqa: E402

NAMES = ("sent", "message", "shown", "summary", "pair", "depth", "video", "cloud", "files")


@pytest.fixture
def page(page_weights, photo, film, tmp_path):
    """The page, with a photo and a film as its examples."""
    predictors = Predictors([str(page_weights / name) for name in ("stereo", "mono")], PageOptions())
    return Page(predictors, Visitors(tmp_path / "visitors"), [photo, film], PageOptions(max_frames=5))


def visitor(name):
    return SimpleNamespace(session_hash=name)


def show(page, path, name="x", weights=0):
    folder = page._predictors.folders[weights]
    return dict(zip(NAMES, page.show_sent(str(path), folder, 80, visitor(name), lambda share: None), strict=True))


def test_an_image_is_shown_with_what_is_to_download(page, photo):
    outputs = show(page, photo)
    assert outputs["sent"] is None and not outputs["message"].visible and outputs["shown"].visible
    assert "a photo: 70x50" in outputs["summary"] and not outputs["video"].visible
    assert outputs["files"][0].endswith("/a photo_picture.png")


def test_visitors_with_the_same_file_do_not_meet(page, photo, tmp_path):
    first, second = show(page, photo, "x"), show(page, photo, "y")
    assert not set(first["files"]) & set(second["files"])
    page.forget(visitor("x"))
    assert len(list((tmp_path / "visitors").iterdir())) == 1
    page.forget(visitor("y"))
    assert not list((tmp_path / "visitors").iterdir()) and photo.is_file()


def test_who_leaves_while_it_predicts_leaves_nothing(page, photo, tmp_path):
    def leave(share):
        page.forget(visitor("x"))

    outputs = page.show_sent(str(photo), page._predictors.folders[0], 80, visitor("x"), leave)
    assert not outputs[NAMES.index("shown")].visible and not list((tmp_path / "visitors").iterdir())


def test_a_disk_that_is_full_is_told(page, film, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tools.demo.demo_results._write_video", full)
    outputs = show(page, film)
    assert "could not be written" in outputs["message"].value and not outputs["shown"].visible


def test_other_weights_show_the_same_file_again(page, photo):
    show(page, photo)
    again = page.show_again(page._predictors.folders[1], 80, visitor("x"), lambda share: None)
    assert "scene units" in again[NAMES.index("summary")]
    nothing = page.show_again(page._predictors.folders[1], 80, visitor("who has sent nothing"), lambda share: None)
    assert not nothing[NAMES.index("shown")].visible and not nothing[NAMES.index("message")].visible


def test_an_example_is_shown(page):
    chosen = SimpleNamespace(index=1)
    outputs = page.show_example(page._predictors.folders[0], 80, chosen, visitor("x"), lambda share: None)
    assert outputs[NAMES.index("video")].visible and "film" in outputs[NAMES.index("summary")]


def test_what_is_no_image_is_refused_in_a_sentence(page, tmp_path):
    path = tmp_path / "notes & more.txt"
    path.write_text("none")
    outputs = show(page, path)
    assert outputs["message"].visible and "notes &amp; more.txt is not an image" in outputs["message"].value
    assert not outputs["shown"].visible and outputs["files"] is None


def test_weights_that_are_not_offered_are_refused(page, photo):
    outputs = page.show_sent(str(photo), "/etc", 80, visitor("x"), lambda share: None)
    assert "none of those" in outputs[NAMES.index("message")].value


def test_the_page_is_built_of_parts_that_gradio_knows(page):
    config = page.build().get_config_file()
    kinds = [part["type"] for part in config["components"]]
    for kind in ("file", "gallery", "dropdown", "imageslider", "video"):
        assert kind in kinds
    assert all(not str(font).startswith("http") for font in config.get("stylesheets", []))
