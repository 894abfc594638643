"""KITTI's archives: where each lies on its server, what of it is wanted, and where that goes.

The places are those of https://www.cvlibs.net/datasets/kitti/ (Geiger et al., IJRR 2013; Uhrig et al., 3DV 2017 for
the improved ground truth). Of a raw drive the colour cameras, the lidar and the vehicle's own motion are wanted; the
grey cameras 0 and 1 are left in the archive, since nothing here reads them.
"""

import re
from dataclasses import dataclass

from common.errors import DataError

SERVER = "https://s3.eu-central-1.amazonaws.com/avg-kitti"

_RAW_FOLDER = re.compile(r"(?P<date>\d{4}_\d\d_\d\d)/(?P<drive>(?P=date)_drive_\d{4})_sync")
_SEQUENCE = re.compile(r"\d{1,2}")
_DEPTH_MAP = r"(?:train|val)/(?P<part>(?P<date>\d{4}_\d\d_\d\d)_drive_\d{4}_sync)/(?P<rest>proj_depth/groundtruth/.+)"


@dataclass(frozen=True)
class Archive:
    """An archive, and what of it is wanted.

    Args:
        path: its path below the server's address.
        pattern: matches the names of the members to unpack; its group ``part`` is the drive or sequence.
        target: where such a member goes, below the data folder: a template for ``re.Match.expand``.
        parts: the drives or sequences wanted; what the archive holds of others stays in it.
        photos: whether its png files are photographs, which may become jpg.
    """

    path: str
    pattern: str
    target: str
    parts: frozenset[str]
    photos: bool = False

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]

    def target_of(self, member: str) -> str | None:
        """Where a member goes, relative to the data folder; None where it is not wanted."""
        match = re.fullmatch(self.pattern, member)
        if match is None or match["part"] not in self.parts:
            return None
        return match.expand(self.target)


def drive_archive(folder: str) -> Archive:
    """The archive of a raw drive, by the folder of its split lines, DATE/DRIVE."""
    drive = _raw_folder(folder)["drive"]
    wanted = rf"(?P<part>{folder})/(?:(?:image_02|image_03|velodyne_points)/(?:data/)?|oxts/(?:data/)?)[^/]+"
    return Archive(f"raw_data/{drive}/{drive}_sync.zip", wanted, r"\g<0>", frozenset({folder}), photos=True)


def calibration_archive(folder: str) -> Archive:
    """The archive with the calibration of the day of a raw drive, DATE/DRIVE."""
    date = _raw_folder(folder)["date"]
    return Archive(f"raw_data/{date}_calib.zip", rf"(?P<part>{date})/calib_\w+\.txt", r"\g<0>", frozenset({date}))


def depth_archive(folders: frozenset[str]) -> Archive:
    """The archive with the improved ground truth, for the raw drives DATE/DRIVE."""
    drives = frozenset(folder.rpartition("/")[2] for folder in folders)
    return Archive("data_depth_annotated.zip", _DEPTH_MAP, r"\g<date>/\g<part>/\g<rest>", drives)


def odometry_archives(sequences: frozenset[str]) -> list[Archive]:
    """The archives of the odometry sequences, each two digits: colour images, calibration, poses."""
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
    """Whether the folder of a split line is an odometry sequence, rather than a raw drive."""
    return _SEQUENCE.fullmatch(folder) is not None


def _raw_folder(folder: str) -> re.Match:
    match = _RAW_FOLDER.fullmatch(folder)
    if match is None:
        raise DataError(
            f"'{folder}' is not of KITTI: expected a drive as '2011_09_26/2011_09_26_drive_0001_sync', or the number "
            "of an odometry sequence."
        )
    return match
