"""Examples of the page: readable, and frames of the world that the project draws today."""

import numpy as np
from PIL import Image

from tools.demo.draw_examples import IMAGES, draw_examples
from tools.demo.examples import EXAMPLES, PICTURES, Example, credits_of, find_examples
from tools.demo.upload import read_upload


def test_examples_can_be_read_and_photos_name_their_authors():
    found = find_examples()
    assert {example.caption for example in EXAMPLES if PICTURES in example.path.parents} <= {e.caption for e in found}
    for example in found:
        upload = read_upload(example.path, 10, 100)
        assert max(upload.frames[0].shape) >= 512
        assert bool(example.credit) == (PICTURES not in example.path.parents)
        assert example.credit in credits_of(found)


def test_missing_photos_are_left_out(tmp_path, monkeypatch):
    gone = Example(tmp_path / "gone.png", "Gone", credit="Somebody (CC0)")
    monkeypatch.setattr("tools.demo.examples.EXAMPLES", (EXAMPLES[0], gone))
    assert find_examples() == [EXAMPLES[0]] and "Photos" not in credits_of(find_examples())


def test_pictures_are_those_of_the_command(tmp_path):
    draw_examples(tmp_path, (48, 160), video_frames=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in PICTURES.iterdir())
    for name in IMAGES:
        drawn = np.asarray(Image.open(tmp_path / f"{name}.jpg"), float)
        kept = np.asarray(Image.open(PICTURES / f"{name}.jpg").resize((160, 48), Image.Resampling.BOX), float)
        assert abs(drawn - kept).mean() < 10
