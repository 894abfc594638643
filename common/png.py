"""Fast PNG encoding of colour images, in half the CPU time of Pillow's lowest compression level and a similar size.

Pillow tries five filters on every row. The difference to the pixel on the left suits photos and smooth maps, and run
lengths compress it almost as well as a search for longer repetitions.
"""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BITS, COLOUR = 8, 2  # of IHDR: bits per channel, RGB
LEFT = 1  # filter type "Sub"


def encode_png(image: np.ndarray) -> bytes:
    """Encode an image as PNG (https://www.w3.org/TR/png-3).

    Args:
        image: uint8 (H, W, 3), RGB.
    """
    height, width, channels = image.shape
    pixels = image.reshape(height, width * channels)
    rows = np.empty((height, 1 + width * channels), np.uint8)
    rows[:, 0] = LEFT
    rows[:, 1 : 1 + channels] = pixels[:, :channels]
    np.subtract(pixels[:, channels:], pixels[:, :-channels], out=rows[:, 1 + channels :])  # modulo 256
    compressor = zlib.compressobj(1, strategy=zlib.Z_RLE)
    header = struct.pack(">2I5B", width, height, BITS, COLOUR, 0, 0, 0)
    data = compressor.compress(rows) + compressor.flush()
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
