"""Generators of hostile images and videos."""

import struct
from pathlib import Path

import av
import numpy as np

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(trace) (w) file closefile\n{} loop\n%%EOF\n"
VICTIM_GREY = 200


def write_video(path: Path, greys=(40, 80, 120), size=(48, 64), rate=10, codec="libx264", **container) -> Path:
    """Write uniform frames with PyAV directly, not with the project's writer."""
    with av.open(str(path), "w", **container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for grey in greys:
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), grey, np.uint8))
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def external_reference(video: Path, target: str) -> bytes:
    """Erase a video's samples, and declare them to be in another file with a QuickTime alias record.

    The index is at the end of the file, so a longer record does not move any samples.
    """
    content = video.read_bytes()
    first = content.index(b"mdat") + 4
    (length,) = struct.unpack(">I", content[first - 8 : first - 4])
    content = content[:first] + bytes(length - 8) + content[first + length - 8 :]
    path = target.encode()
    path += b"\0" * (len(path) % 2)
    fields = bytes(10) + b"\0" + bytes(27) + bytes(12) + b"\0" + bytes(63) + bytes(16)
    fields += struct.pack(">HH", 1, 1) + bytes(16)  # directory levels: the same folder
    fields += struct.pack(">HH", 2, len(path)) + path + struct.pack(">H", 0xFFFF) + bytes(64)
    record = struct.pack(">I4sI", 12 + len(fields), b"alis", 0) + fields
    start = content.index(b"dref") - 4
    (old,) = struct.unpack(">I", content[start : start + 4])
    new = struct.pack(">I4sII", 16 + len(record), b"dref", 0, 1) + record
    changed = bytearray(content[:start] + new + content[start + old :])
    for parent in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = content.rindex(parent, 0, start) - 4
        (size,) = struct.unpack(">I", content[place : place + 4])
        changed[place : place + 4] = struct.pack(">I", size + len(new) - old)
    return bytes(changed)


def playlists(victim: Path) -> dict[str, bytes]:
    """Return name -> content of text files that FFmpeg accepts as videos by default, and that refer to ``victim``."""
    mpd = (
        '<!--ftypjp2 --><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" '
        'type="static" mediaPresentationDuration="PT1S">'
        '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
        f"<BaseURL>{victim.name}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{victim.name}\n#EXT-X-ENDLIST\n"
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    return {
        "dash.mp4": mpd.encode(),
        "hls.m3u8": hls.encode(),
        "concat.mp4": f"ffconcat version 1.0\nfile {victim.name}\n".encode(),
        "sdp.mp4": sdp.encode(),
        "text.mp4": b"free text that begins like a box\n" * 9,
    }
