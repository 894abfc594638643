"""Define KITTI's archives: address on the server, members to unpack, and target paths.

Addresses are those of https://www.cvlibs.net/datasets/kitti/ (Geiger et al., IJRR 2013; improved ground truth: Uhrig
et al., 3DV 2017). From a raw drive, only the colour cameras, the lidar and the GPS/IMU data (oxts) are unpacked; the
grey cameras 0 and 1 are not used by this project.
"""

import re
from dataclasses import dataclass

from common.errors import DataError
from datasets.kitti_benchmark import ARCHIVE_FOLDER

SERVER = "https://s3.eu-central-1.amazonaws.com/avg-kitti"

_RAW_FOLDER = re.compile(r"(?P<date>\d{4}_\d\d_\d\d)/(?P<drive>(?P=date)_drive_\d{4})_sync")
_SEQUENCE = re.compile(r"\d{1,2}")
_DEPTH_MAP = r"(?:train|val)/(?P<part>(?P<date>\d{4}_\d\d_\d\d)_drive_\d{4}_sync)/(?P<rest>proj_depth/groundtruth/.+)"


@dataclass(frozen=True)
class Archive:
    """An archive and the selection of its members to unpack.

    Attributes:
        path: path relative to the server's address.
        pattern: regular expression for the members to unpack; its group ``part`` is the drive or sequence.
        target: target path relative to the data folder, a template for ``re.Match.expand``.
        parts: drives or sequences to unpack; members of other parts are skipped.
        photos: whether the PNG files are camera images, which may be converted to JPEG.
    """

    path: str
    pattern: str
    target: str
    parts: frozenset[str]
    photos: bool = False

    @property
    def name(self) -> str:
        """File name of the archive."""
        return self.path.rpartition("/")[2]

    def target_of(self, member: str) -> str | None:
        """Get the target path of a member, relative to the data folder; None if the member is not selected."""
        match = re.fullmatch(self.pattern, member)
        if match is None or match["part"] not in self.parts:
            return None
        return match.expand(self.target)


def drive_archive(folder: str) -> Archive:
    """Build the archive of a raw drive from the folder of its split lines, DATE/DRIVE."""
    drive = _raw_folder(folder)["drive"]
    wanted = rf"(?P<part>{folder})/(?:(?:image_02|image_03|velodyne_points)/(?:data/)?|oxts/(?:data/)?)[^/]+"
    return Archive(f"raw_data/{drive}/{drive}_sync.zip", wanted, r"\g<0>", frozenset({folder}), photos=True)


def calibration_archive(folder: str) -> Archive:
    """Build the archive with the calibration for the date of a raw drive, DATE/DRIVE."""
    date = _raw_folder(folder)["date"]
    return Archive(f"raw_data/{date}_calib.zip", rf"(?P<part>{date})/calib_\w+\.txt", r"\g<0>", frozenset({date}))


def depth_archive(folders: frozenset[str]) -> Archive:
    """Build the archive with the improved ground truth of raw drives, each DATE/DRIVE."""
    drives = frozenset(folder.rpartition("/")[2] for folder in folders)
    return Archive("data_depth_annotated.zip", _DEPTH_MAP, r"\g<date>/\g<part>/\g<rest>", drives)


def benchmark_archive(folders: frozenset[str]) -> Archive:
    """Build the archive with the test images of the depth prediction benchmark, which stay PNG; folders: "image"."""
    pattern = rf"{ARCHIVE_FOLDER}/(?P<part>\w+)/\d{{10}}\.png"
    return Archive("data_depth_selection.zip", pattern, r"\g<0>", folders)


def odometry_archives(sequences: frozenset[str]) -> list[Archive]:
    """Build the three archives of odometry sequences (two digits each): colour images, calibration, poses."""
    members = {
        "color": r"(?P<rest>sequences/(?P<part>\d\d)/image_[23]/\d{6}\.png)",
        "calib": r"(?P<rest>sequences/(?P<part>\d\d)/(?:calib|times)\.txt)",
        "poses": r"(?P<rest>poses/(?P<part>\d\d)\.txt)",
    }
    return [
        Archive(f"data_odometry_{kind}.zip", f"dataset/{pattern}", r"\g<rest>", sequences, photos=kind == "color")
        for kind, pattern in members.items()
    ]


def is_sequence(folder: str) -> bool:
    """Check whether the folder of a split line is an odometry sequence instead of a raw drive."""
    return _SEQUENCE.fullmatch(folder) is not None


def _raw_folder(folder: str) -> re.Match:
    match = _RAW_FOLDER.fullmatch(folder)
    if match is None:
        raise DataError(
            f"'{folder}' is not a folder of KITTI. Expected a drive such as '2011_09_26/2011_09_26_drive_0001_sync', "
            "or the number of an odometry sequence."
        )
    return match
