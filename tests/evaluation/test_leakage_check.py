"""Overlap of training and test frames, on handmade run folders."""

import json

import pytest

from common.errors import DataError
from datasets.splits import read_split_lines
from evaluation.leakage_check import check_leakage, training_overlap
from options import Options


@pytest.fixture
def world(tmp_path):
    """Split lists, run folders and lines to score."""

    class World:
        def split(self, name, train, test=()):
            folder = tmp_path / "splits" / name
            folder.mkdir(parents=True)
            for part, lines in (("train", train), ("test", test)):
                (folder / f"{part}_files.txt").write_text("\n".join(lines) + "\n")
            return folder

        def run(self, name, **changes):
            """Create the weights folder of a run."""
            weights = tmp_path / "logs" / name / "models" / "weights_3"
            weights.mkdir(parents=True)
            opt = Options(**{"data_path": str(tmp_path), "split": "mine", **changes})
            (weights.parent / "opt.json").write_text(json.dumps(opt.as_dict()))
            return weights

        def overlap(self, weights, split="other", **changes):
            lines = read_split_lines(tmp_path / "splits" / split, "test")
            found = training_overlap(weights, lines, Options(data_path=str(tmp_path), **changes))
            return [str(line) for line in found.seen], found.known, found.unknown

    return World()


def test_targets_neighbours_and_stereo_frames_count_as_seen(world):
    world.split("mine", ["a 10 l", "b 7 r"])
    world.split("other", ["a 30 l"], [f"a {i} l" for i in range(8, 13)] + ["a 10 r", "b 7 r", "b 7 l", "c 10 l"])
    video = world.run("video")
    assert world.overlap(video) == (["a 9 l", "a 10 l", "a 11 l", "b 7 r"], ("mine",), "")
    stereo = world.run("stereo", frame_ids=(0,), use_stereo=True)
    assert world.overlap(stereo)[0] == ["a 10 l", "a 10 r", "b 7 r", "b 7 l"]


def test_frames_of_the_pretraining_run_count_as_seen(world):
    world.split("mine", ["a 10 l"])
    world.split("fine", ["b 10 l"])
    world.split("other", ["z 1 l"], ["a 10 l", "b 10 l", "c 10 l"])
    pretrained = world.run("pretrained")
    finetuned = world.run("finetuned", split="fine", load_weights_folder=str(pretrained))
    assert world.overlap(finetuned) == (["a 10 l", "b 10 l"], ("fine", "mine"), "")
    lost = world.run("lost", split="fine", load_weights_folder="/nowhere/weights_best")
    seen, known, unknown = world.overlap(lost)
    assert (seen, known) == (["b 10 l"], ("fine",)) and "/nowhere/weights_best" in unknown
    itself = world.run("itself")
    (itself.parent / "opt.json").write_text(
        json.dumps(Options(data_path="gone", split="mine", load_weights_folder=str(itself)).as_dict())
    )
    assert world.overlap(itself)[0] == ["a 10 l"]  # the data moved; the lists are in the data_path of the evaluation


def test_a_checkpoint_contains_its_options(world):
    world.split("mine", ["a 10 l"])
    world.split("other", ["z 1 l"], ["a 10 l", "c 10 l"])
    weights = world.run("run")
    checkpoint = weights.parents[1] / "checkpoints" / "step_9"
    checkpoint.mkdir(parents=True)
    (weights.parent / "opt.json").rename(checkpoint / "opt.json")
    assert world.overlap(checkpoint)[0] == ["a 10 l"]


def test_odometry_and_raw_frames_are_not_compared(world):
    world.split("mine", ["9 10 l"])
    world.split("other", ["z 1 l"], ["9 10 l"])
    odometry = world.run("odometry", dataset="kitti_odom")
    assert world.overlap(odometry)[0] == []
    assert world.overlap(odometry, dataset="kitti_odom")[0] == ["9 10 l"]


@pytest.mark.parametrize(
    ("trained", "scored", "dataset"),
    [
        ("{root}/day/a 10 l", "day/a 10 l", "kitti"),
        ("day/a 10 l", "{root}/day/a 10 l", "kitti"),
        ("./day/a/ 10 l", "day//a 10 l", "kitti"),
        ("../elsewhere/a 10 l", "{root}/../elsewhere/a 10 l", "kitti"),
        ("9 10 l", "09 10 l", "kitti_odom"),
    ],
)
def test_spelling_of_folders_does_not_matter(world, tmp_path, trained, scored, dataset):
    world.split("mine", [trained.format(root=tmp_path)])
    world.split("other", ["z 1 l"], [scored.format(root=tmp_path), "day/b 10 l"])
    weights = world.run("run", dataset=dataset)
    assert world.overlap(weights, dataset=dataset)[0] == [scored.format(root=tmp_path)]


def test_error_names_a_frame_and_the_option(world, tmp_path, capsys):
    world.split("mine", ["a 10 l"])
    lines = read_split_lines(world.split("other", ["z 1 l"], ["c 10 l", "a 10 l"]), "test")
    opt = Options(data_path=str(tmp_path), load_weights_folder=str(world.run("run")))
    with pytest.raises(DataError, match=r"1 of the 2 frames .* \(split mine\), for example a 10 l") as error:
        check_leakage(opt, lines)
    assert "--eval_trained_frames" in str(error.value)
    check_leakage(opt.replace(eval_trained_frames=True), lines)
    assert "Note: 1 of the 2 frames" in capsys.readouterr().out
    check_leakage(opt, lines[:1])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [None, "{", '{"of another version": 1}', '{"split": "removed"}'])
def test_unknown_training_frames_print_one_note(world, tmp_path, capsys, content):
    lines = read_split_lines(world.split("other", ["z 1 l"], ["a 10 l"]), "test")
    released = tmp_path / "released" / "weights"
    released.mkdir(parents=True)
    if content is not None:
        (released / "opt.json").write_text(content)
    check_leakage(Options(data_path=str(tmp_path), load_weights_folder=str(released)), lines)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Note: ") and "training frames" in line
