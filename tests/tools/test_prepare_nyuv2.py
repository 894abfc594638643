"""Extraction of NYU Depth v2's labelled test frames."""

import sys

import numpy as np
import public_trees as trees
import pytest
from PIL import Image

from common.errors import DataError
from datasets.build import build_dataset
from datasets.splits import find_split, read_split_lines
from tools.prepare_nyuv2 import main


def test_extracts_the_test_frames(tmp_path, monkeypatch, capsys):
    mat, splits = trees.nyuv2_files(tmp_path / "download")
    root = tmp_path / "nyuv2"
    arguments = ["prepare_nyuv2.py", "--mat", str(mat), "--splits", str(splits), "--out", str(root)]
    monkeypatch.setattr(sys, "argv", arguments)
    main()
    assert "Extracted 2 frames" in capsys.readouterr().out
    lines = read_split_lines(find_split("nyuv2", root), "test")
    assert [line.frame for line in lines] == [1, 3]
    dataset = build_dataset("nyuv2", str(root), lines, height=32, width=64, frame_ids=(0,), train=False)
    image = np.asarray(Image.open(dataset.frame_paths(lines[1])[0]))
    assert image.shape == (480, 640, 3) and (image[:, 0] == 200).all() and (image[:, 1:] == 30).all()
    assert (dataset.ground_truth(lines[1])[1:] == 2).all()

    monkeypatch.setattr(sys, "argv", [*arguments[:2], str(splits), *arguments[3:]])
    with pytest.raises(DataError, match="expected the HDF5 file"):
        main()
