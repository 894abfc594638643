"""Write drives as a KITTI raw tree, which KITTI readers can read unchanged.

DATE/calib_cam_to_cam.txt, calib_velo_to_cam.txt, calib_imu_to_velo.txt
DATE/DRIVE/image_0{2,3}/data/FRAME.jpg                   the stereo pair
DATE/DRIVE/velodyne_points/data/FRAME.bin                64 beams, from the left camera's exact depth
DATE/DRIVE/oxts/data/FRAME.txt                           position, attitude and speed, in KITTI's 30 fields
DATE/DRIVE/poses.txt                                     exact T_world_from_camera of the left camera, 12 numbers a line
DATE/DRIVE/proj_depth/groundtruth/image_0{2,3}/FRAME.png dense exact depth, metres times 256, 0 for the sky
DATE/DRIVE/instances/image_0{2,3}/FRAME.png              class * 1000 + number, 0 for the sky
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datasets.depth_maps import FAST, encode_depth_png
from tools.synthetic.render import PinholeCamera, RenderedView, StreetRenderer
from tools.synthetic.street import Street

STEREO_BASELINE = 0.54  # metres between cameras 2 and 3, as on KITTI
CAMERA_2 = 0.06  # metres from camera 0, KITTI's reference, to camera 2 on its left
JPEG_QUALITY = 95
NUM_BEAMS, LOWEST_BEAM, HIGHEST_BEAM = 64, np.radians(-24.8), np.radians(2.0)
AZIMUTH_STEP = np.radians(0.16)
# Lidar axes: x forward, y left, z up. The lidar is slightly above and behind the cameras, the IMU below the lidar.
VELO_TO_CAM_R = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
VELO_TO_CAM_T = np.array([0.0, -0.08, -0.27])
IMU_TO_VELO_T = np.array([-0.81, 0.32, -0.8])
LATITUDE, LONGITUDE, EARTH_RADIUS = 49.0, 8.4, 6378137.0


def write_calibration(folder: Path, camera: PinholeCamera) -> None:
    """Write the three calibration files of a day."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["calib_time: 01-Jan-2000 00:00:00", f"corner_dist: {0.1:.6e}"]
    for number in range(4):
        # Cameras 0 and 1 are KITTI's grey pair; camera 0 is the reference of the others.
        x = {0: 0.0, 1: STEREO_BASELINE, 2: -CAMERA_2, 3: STEREO_BASELINE - CAMERA_2}[number]
        P = np.hstack([camera.K, -camera.K @ np.array([[x], [0], [0]])])
        size = np.array([camera.width, camera.height])
        for key, values in (
            ("S", size),
            ("K", camera.K),
            ("D", np.zeros(5)),
            ("R", np.eye(3)),
            ("T", np.array([-x, 0, 0])),
            ("S_rect", size),
            ("R_rect", np.eye(3)),
            ("P_rect", P),
        ):
            lines.append(_entry(f"{key}_0{number}", values))
    _write(folder / "calib_cam_to_cam.txt", lines)
    for name, R, T in (
        ("velo_to_cam", VELO_TO_CAM_R, VELO_TO_CAM_T),
        ("imu_to_velo", np.eye(3), IMU_TO_VELO_T),
    ):
        _write(folder / f"calib_{name}.txt", ["calib_time: 01-Jan-2000 00:00:00", _entry("R", R), _entry("T", T)])


def write_poses(folder: Path, street: Street) -> None:
    """Write poses.txt and the oxts files of a drive."""
    (folder / "oxts" / "data").mkdir(parents=True, exist_ok=True)
    _write(folder / "poses.txt", [" ".join(f"{x:.12e}" for x in pose[:3].ravel()) for pose in street.poses])
    for frame in range(len(street.poses)):
        fields = _oxts(street, frame)
        _write(folder / "oxts" / "data" / f"{frame:010d}.txt", [" ".join(f"{x:.10g}" for x in fields)])


def write_frame(folder: Path, renderer: StreetRenderer, frame: int) -> None:
    """Render and write the images, lidar scan, depth and instances of one frame."""
    pose = renderer.street.poses[frame]
    for camera, offset in ((2, 0.0), (3, STEREO_BASELINE)):
        T_world_camera = pose.copy()
        T_world_camera[:3, 3] += offset * pose[:3, 0]
        view = renderer.render(frame, T_world_camera)
        write_view(folder, camera, frame, view)
        name = f"image_0{camera}"
        _write_png(_path(folder / "instances" / name, frame, "png"), view.instances)
        if camera == 2:
            points = lidar_scan(view, renderer.camera)
            points.tofile(_path(folder / "velodyne_points" / "data", frame, "bin"))


def write_view(folder: Path, camera: int, frame: int, view: RenderedView, quality: int = JPEG_QUALITY) -> None:
    """Write the image and the depth of a view of camera 2 or 3."""
    name = f"image_0{camera}"
    image = Image.fromarray(view.color)
    image.save(_path(folder / name / "data", frame, "jpg"), quality=quality, subsampling=0)
    path = _path(folder / "proj_depth" / "groundtruth" / name, frame, "png")
    path.write_bytes(encode_depth_png(view.depth, compress_level=FAST))


def lidar_scan(view: RenderedView, camera: PinholeCamera) -> np.ndarray:
    """Simulate a lidar scan of 64 beams from the depth of a view.

    Each beam returns the point at the centre of the pixel it hits, which makes the points exact. KITTI's lidar
    projection counts pixels from 1, and therefore maps points one pixel up and to the left, here as on KITTI.

    Args:
        view: View of camera 2.
        camera: Its intrinsics.

    Returns:
        float32 (N, 4): x forward, y left, z up in metres from the lidar, and reflectance in [0, 1].
    """
    elevation = np.linspace(HIGHEST_BEAM, LOWEST_BEAM, NUM_BEAMS)[:, None]
    half = np.arctan(camera.width / 2 / camera.K[0, 0])
    azimuth = np.arange(-half, half, AZIMUTH_STEP)[None]
    x = np.tan(azimuth) * camera.K[0, 0] + camera.K[0, 2]
    y = -np.tan(elevation) / np.cos(azimuth) * camera.K[1, 1] + camera.K[1, 2]
    columns, rows = np.broadcast_arrays(np.round(x).astype(int), np.round(y).astype(int))
    inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    pixels = np.unique(rows[inside] * camera.width + columns[inside])
    rows, columns = np.divmod(pixels, camera.width)
    depth = view.depth[rows, columns].astype(float)
    rows, columns, depth = (values[(depth > 0) & (depth < 120)] for values in (rows, columns, depth))
    ones = np.ones(len(rows))
    in_camera = np.linalg.inv(camera.K) @ np.stack([columns, rows, ones]) * depth  # (3, N), of camera 2
    in_camera[0] -= CAMERA_2
    in_lidar = VELO_TO_CAM_R.T @ (in_camera - VELO_TO_CAM_T[:, None])
    reflectance = view.color[rows, columns].mean(axis=1) / 255
    return np.stack([*in_lidar, reflectance], axis=1).astype("<f4")


def _oxts(street: Street, frame: int) -> list[float]:
    """Compute KITTI's 30 oxts fields; those without meaning here (errors, satellites) are 0."""
    T_camera_0_imu = np.eye(4)
    T_camera_0_imu[:3, :3] = VELO_TO_CAM_R
    T_camera_0_imu[:3, 3] = VELO_TO_CAM_R @ IMU_TO_VELO_T + VELO_TO_CAM_T
    T_camera_2_0 = np.eye(4)
    T_camera_2_0[0, 3] = CAMERA_2
    T_world_imu = street.poses[frame] @ T_camera_2_0 @ T_camera_0_imu
    R = T_world_imu[:3, :3]
    roll, pitch = np.arctan2(R[2, 1], R[2, 2]), np.arcsin(-R[2, 0])
    yaw = np.arctan2(R[1, 0], R[0, 0])
    # Mercator projection around (LATITUDE, LONGITUDE), the inverse of KITTI's development kit.
    scale = np.cos(np.radians(LATITUDE)) * EARTH_RADIUS
    x, y, altitude = T_world_imu[:3, 3]
    longitude = LONGITUDE + np.degrees(x / scale)
    north = np.log(np.tan(np.radians(90 + LATITUDE) / 2)) + y / scale
    latitude = np.degrees(2 * np.arctan(np.exp(north))) - 90
    speed = street.speeds[frame]
    neighbour = max(frame - 1, 0)
    acceleration = (speed - street.speeds[neighbour]) / 0.1
    velocity = [speed * np.sin(yaw), speed * np.cos(yaw), speed, 0.0, 0.0]
    fields = [latitude, longitude, altitude, roll, pitch, yaw, *velocity, acceleration]
    return fields + [0.0] * (30 - len(fields))


def _path(folder: Path, frame: int, suffix: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{frame:010d}.{suffix}"


def _write_png(path: Path, values: np.ndarray) -> None:
    # Strong compression would take longer than rendering.
    encoded, buffer = cv2.imencode(".png", values, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not encoded:
        raise OSError(f"Encoding {path} as PNG failed.")
    path.write_bytes(buffer.tobytes())


def _entry(key: str, values: np.ndarray) -> str:
    return f"{key}: " + " ".join(f"{x:.12e}" for x in np.ravel(values))


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
