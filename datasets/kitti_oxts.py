"""The car's own speed, from the files of KITTI's GPS and IMU (oxts): one line of 30 numbers a frame."""

from pathlib import Path

FORWARD_VELOCITY = 8  # after latitude, longitude, altitude, roll, pitch, yaw and the velocities to north and east


def read_speed(path: str | Path) -> float | None:
    """Metres a second that the car drives forwards; None where the file is missing or not as its format says."""
    try:
        return float(Path(path).read_text(encoding="ascii").split()[FORWARD_VELOCITY])
    except (OSError, ValueError, IndexError):
        return None
