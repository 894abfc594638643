"""Folders of several visitors who upload files and leave."""

from tools.demo.visitors import Visitors


def held(root):
    return sorted(path.name for folder in root.iterdir() for path in folder.iterdir())


def test_each_visitor_has_a_separate_folder(tmp_path):
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
    assert sent[0].is_file(), "the source may be shared with other visitors"


def test_new_upload_replaces_the_previous_folder(tmp_path):
    (tmp_path / "one.png").write_text("1")
    (tmp_path / "two.png").write_text("2")
    root = tmp_path / "visitors"
    visitors = Visitors(root)
    (visitors.begin("x", tmp_path / "one.png").parent / "result.png").write_text("result")
    visitors.begin("x", tmp_path / "two.png")
    assert held(root) == ["two.png"]
    again = visitors.begin("x")
    assert again.read_text() == "2" and held(root) == ["two.png"]


def test_begin_without_a_file_returns_none(tmp_path):
    visitors = Visitors(tmp_path / "visitors")
    assert visitors.begin("x") is None and visitors.begin("x", tmp_path / "deleted.png") is None
    visitors.forget("x")


def test_sweep_deletes_folders_of_visitors_who_left(tmp_path):
    (tmp_path / "one.png").write_text("1")
    root = tmp_path / "visitors"
    visitors = Visitors(root)
    gone, here = (visitors.begin(name, tmp_path / "one.png") for name in "xy")
    visitors.forget("x")
    gone.parent.mkdir()
    (gone.parent / "late.png").write_text("written after they left")
    visitors.sweep()
    assert held(root) == ["one.png"] and here.is_file()


def test_folders_have_a_maximum_age(tmp_path, monkeypatch):
    """A visitor whose browser crashed never says that they left."""
    now = [0.0]
    monkeypatch.setattr("tools.demo.visitors.time.monotonic", lambda: now[0])
    (tmp_path / "one.png").write_text("1")
    root = tmp_path / "visitors"
    visitors = Visitors(root, max_seconds=100)
    visitors.begin("old", tmp_path / "one.png")
    now[0] = 60
    visitors.begin("new", tmp_path / "one.png")
    visitors.sweep()
    assert len(held(root)) == 2
    now[0] = 101
    visitors.sweep()
    assert len(held(root)) == 1 and visitors.begin("old") is None and visitors.begin("new") is not None


def test_folders_have_a_maximum_total_size(tmp_path):
    """The oldest are deleted; the newest is in use and stays, whatever its size."""
    root = tmp_path / "visitors"
    visitors = Visitors(root, max_bytes=2500)
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(bytes(1000))
        visitors.begin(name, tmp_path / f"{name}.png")
        visitors.sweep()
    assert held(root) == ["b.png", "c.png"]
    (tmp_path / "d.png").write_bytes(bytes(9000))
    visitors.begin("d", tmp_path / "d.png")
    visitors.sweep()
    assert held(root) == ["d.png"]
