from datasets.kitti_oxts import read_speed


def test_speed_is_the_ninth_number(tmp_path):
    path = tmp_path / "0000000000.txt"
    path.write_text("49.015 8.434 112.8 0.035 0.0019 1.30 -9.25 -4.5 10.29 -0.06 0.01 " + "0 " * 19 + "\n")
    assert read_speed(path) == 10.29


def test_a_file_that_does_not_say(tmp_path):
    assert read_speed(tmp_path / "absent.txt") is None
    for content in ("", "1 2 3", "a b c d e f g h i j"):
        (tmp_path / "oxts.txt").write_text(content)
        assert read_speed(tmp_path / "oxts.txt") is None
