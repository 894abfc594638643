"""Write a submission for KITTI's depth prediction benchmark."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.atomic_files import atomic_file
from common.errors import as_data_error
from datasets.depth_maps import FAST, encode_depth_png
from datasets.kitti_benchmark import KITTIBenchmarkDataset
from datasets.splits import SplitLine
from evaluation.metrics.depth_protocol import DepthProtocol
from evaluation.metrics.disparity_maps import check_disparity, resize_disparity


def write_submission(path: Path, scaled_disps: np.ndarray, lines: Sequence[SplitLine], protocol: DepthProtocol) -> None:
    """Write a zip archive with ``0000000000.png``, ... at its root, as the benchmark's devkit requires.

    Each image has 1216x352 pixels and 16 bits, in metres * 256. The smallest value is 1, because 0 means unknown.

    Args:
        path: The archive; it is complete or absent, even after an interruption.
        scaled_disps: (N, h, w), 1 / depth in scene units.
        lines: N frames of the benchmark.
        protocol: Scaling and cap of depth.

    Raises:
        DataError: Disparities are not all positive and finite.
        UserError: The archive cannot be written.
    """
    with atomic_file(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for scaled_disp, line in zip(scaled_disps, lines, strict=True):
            with as_data_error():
                check_disparity(scaled_disp, str(line))
            depth = protocol.to_depth(resize_disparity(scaled_disp, KITTIBenchmarkDataset.SIZE))
            content = encode_depth_png(depth, compress_level=FAST)
            archive.writestr(zipfile.ZipInfo(f"{line.frame:010d}.png"), content)  # png is compressed already
