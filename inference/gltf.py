"""Encode coloured points as binary glTF 2.0 (``.glb``), which browsers, Blender and office programs open."""

import json
import struct

import numpy as np

TO_GLTF = np.array([1, -1, -1], np.float32)  # camera frame (x right, y down, z forward) -> glTF (y up, z backward)
FLOAT, UNSIGNED_SHORT, POINTS, ARRAY_BUFFER = 5126, 5123, 0, 34962  # constants of the format


def encode_glb(points: np.ndarray, colours: np.ndarray, unit: str) -> bytes:
    """Encode a point cloud as one mesh in points mode, without shading.

    Args:
        points: (N, 3) in the camera frame: x right, y down, z forward.
        colours: uint8 (N, 3), sRGB.
        unit: Unit of the points, stored in the mesh's "extras". The format itself counts in metres.
    """
    positions = np.ascontiguousarray(points * TO_GLTF, "<f4")
    # Four components: the format aligns vertices to 4 bytes.
    shades = np.full((len(points), 4), np.iinfo(np.uint16).max, "<u2")
    shades[:, :3] = _LINEAR[colours]
    buffers = [positions.tobytes(), shades.tobytes()]
    views = [
        {"buffer": 0, "byteOffset": sum(map(len, buffers[:i])), "byteLength": len(content), "target": ARRAY_BUFFER}
        for i, content in enumerate(buffers)
    ]
    ends = {name: getattr(positions, name)(axis=0).tolist() for name in ("min", "max")}
    position = {"bufferView": 0, "componentType": FLOAT, "count": len(points), "type": "VEC3", **ends}
    colour = {"bufferView": 1, "componentType": UNSIGNED_SHORT, "count": len(points), "type": "VEC4"}
    shape = {"attributes": {"POSITION": 0, "COLOR_0": 1}, "mode": POINTS, "material": 0}
    document = {
        "asset": {"version": "2.0", "generator": "Monodepth2 on PaddlePaddle"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [shape], "extras": {"unit": unit}}],
        "materials": [{"extensions": {"KHR_materials_unlit": {}}}],
        "accessors": [position, {**colour, "normalized": True}],
        "bufferViews": views,
        "buffers": [{"byteLength": sum(map(len, buffers))}],
    }
    chunks = _chunk(b"JSON", json.dumps(document).encode(), b" ") + _chunk(b"BIN\0", b"".join(buffers), b"\0")
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _chunk(kind: bytes, content: bytes, padding: bytes) -> bytes:
    content += padding * (-len(content) % 4)
    return struct.pack("<I4s", len(content), kind) + content


def _linear_shades() -> np.ndarray:
    """Return linear light for each sRGB value, as the format stores vertex colours: uint16 (256,)."""
    value = np.arange(256) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return (light * np.iinfo(np.uint16).max).round().astype("<u2")


_LINEAR = _linear_shades()
