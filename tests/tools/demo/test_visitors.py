"""Files of visitors who come, send, leave and come back, side by side."""

from tools.demo.visitors import Visitors


def held(root):
    return sorted(path.name for folder in root.iterdir() for path in folder.iterdir())


def test_visitors_have_folders_of_their_own(tmp_path):
    sent = [tmp_path / "a" / "photo.png", tmp_path / "b" / "photo.png"]
    for i, path in enumerate(sent):
        path.parent.mkdir()
        path.write_text(str(i))
    root = tmp_path / "visitors"
    visitors = Visitors(root)
    first, second = visitors.begin("x", sent[0]), visitors.begin("y", sent[1])
    assert first.parent != second.parent and first.read_text() == "0" and second.read_text() == "1"
    (second.parent / "result.png").write_text("result")
    visitors.forget("x")
    assert held(root) == ["photo.png", "result.png"] and second.read_text() == "1"
    assert sent[0].is_file(), "what was sent may be another visitor's too"


def test_the_next_file_takes_the_place_of_the_last(tmp_path):
    (tmp_path / "one.png").write_text("1")
    (tmp_path / "two.png").write_text("2")
    root = tmp_path / "visitors"
    visitors = Visitors(root)
    (visitors.begin("x", tmp_path / "one.png").parent / "result.png").write_text("result")
    visitors.begin("x", tmp_path / "two.png")
    assert held(root) == ["two.png"]
    again = visitors.begin("x")
    assert again.read_text() == "2" and held(root) == ["two.png"]


def test_there_may_be_nothing_to_begin_with(tmp_path):
    visitors = Visitors(tmp_path / "visitors")
    assert visitors.begin("x") is None and visitors.begin("x", tmp_path / "deleted.png") is None
    visitors.forget("x")


def test_what_is_written_for_those_who_have_gone_is_swept(tmp_path):
    (tmp_path / "one.png").write_text("1")
    root = tmp_path / "visitors"
    visitors = Visitors(root)
    gone, here = (visitors.begin(name, tmp_path / "one.png") for name in "xy")
    visitors.forget("x")
    gone.parent.mkdir()
    (gone.parent / "late.png").write_text("written after they left")
    visitors.sweep()
    assert held(root) == ["one.png"] and here.is_file()
