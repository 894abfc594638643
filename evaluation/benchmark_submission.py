"""What KITTI's server for depth prediction takes."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.atomic_files import atomic_file
from common.errors import as_data_error
from datasets.depth_maps import FAST, encode_depth_png
from datasets.kitti_benchmark import KITTIBenchmarkDataset
from datasets.splits import SplitLine
from evaluation.metrics.depth_protocol import DepthProtocol, check_disparity, resize_disparity


def write_submission(path: Path, scaled_disps: np.ndarray, lines: Sequence[SplitLine], protocol: DepthProtocol) -> None:
    """A zip archive of ``0000000000.png`` and so on at its root, as the benchmark's devkit asks for.

    Each is 1216x352, 16 bits, metres times 256. 0 would mean unknown, so that the least is 1.

    Args:
        path: the archive, whole or absent whatever happens.
        scaled_disps: (N, h, w), one over depth in the network's units.
        lines: N frames of the benchmark.
        protocol: how depth is scaled, and where it ends.

    Raises:
        DataError: disparities are not all positive and finite.
        UserError: the archive cannot be written.
    """
    with atomic_file(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for scaled_disp, line in zip(scaled_disps, lines, strict=True):
            with as_data_error():
                check_disparity(scaled_disp, str(line))
            depth = protocol.to_depth(resize_disparity(scaled_disp, KITTIBenchmarkDataset.SIZE))
            content = encode_depth_png(depth, compress_level=FAST)
            archive.writestr(zipfile.ZipInfo(f"{line.frame:010d}.png"), content)  # png is compressed already
