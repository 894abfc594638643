"""Test files that declare more than they contain: each fails clearly, within seconds and in bounded memory."""

import os
import pickle
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
from numpy.lib import format as npy_format
from torch_bytes import state_dict, storage, tensor, text, write_stream, write_zip

ROOT = Path(__file__).resolve().parents[2]
CPU_SECONDS = 15
MEMORY = 250  # MB, in addition to that of the imports
READ = f"""
import re, resource, sys
from pathlib import Path
from common.errors import UserError
from serialization.depth_npz import read_gt_depths
from serialization.formats import read_arrays

def peak():  # of this process alone: ru_maxrss starts at the parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

before, path = peak(), Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
try:
    list(read_gt_depths(path).depths) if path.suffix == ".npz" else read_arrays(path)
except UserError as error:
    print(error)
else:
    print("It was read.")
print(peak() - before)
"""

HUGE = b"\x8b" + (12_500).to_bytes(4, "little") + b"\x7f" * 12_500  # an integer of 100 thousand bits
SHAPE = b"(" + HUGE + b"q\x01" + b"h\x01" * 1999 + b"t"  # 2000 of it
MODULUS = (1 << 61) - 1  # of Python's hash of integers
COLLIDING = [b"\x8a\x0a" + (i * MODULUS).to_bytes(10, "little") for i in range(1, 100_000)]
NESTED = b")" + b"2\x86" * 60  # a tuple of 2^60 elements, all of them shared
MILLION, QUARTER_MILLION = (b"J" + n.to_bytes(4, "little") + b"\x85" for n in (1_000_000, 250_000))  # shapes
DTYPE = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f4\x89\x88tR"
OBJECTS = DTYPE.replace(b"f4", b"O8")


def array(shape: bytes, dtype: bytes, data: bytes) -> bytes:
    """Build an array from the operations of its parts."""
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    return start + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb"


def paddle_file(*operations: bytes) -> bytes:
    """Build a dict with the entry "w", whose value is the result of the last operations."""
    return b"\x80\x04}" + text("w") + b"".join(operations) + b"s."


def shared(first: bytes, count: int, element: bytes) -> bytes:
    """Build a list of ``first``, stored at index 7, and ``count`` elements that can refer to it."""
    return b"](" + first + b"q\x07" + element * count + b"e"


PICKLES = {
    "shape of large integers": paddle_file(array(SHAPE, DTYPE, b"C\x04" + bytes(4))),
    "names of equal hash": paddle_file(b"}(", *(key + b"N" for key in COLLIDING), b"u"),
    "names of equal hash in pairs": paddle_file(
        b"ccollections\nOrderedDict\n](", *(key + b"N\x86" for key in COLLIDING), b"e\x85R"
    ),
    "set of equal hashes": paddle_file(b"\x8f(", *COLLIDING, b"\x90"),
    "memo of equal hashes": paddle_file(b"N", *(f"p{i * MODULUS}\n".encode() for i in range(1, 50_000))),
    "name of shared tuples": paddle_file(b"}" + NESTED + b"Ns"),
    "arrays of one text": paddle_file(
        shared(text("a" * 1_000_000), 2000, array(QUARTER_MILLION, DTYPE, b"h\x07"))
    ),
    "bytes of one text": paddle_file(
        shared(text("a" * 1_000_000), 2000, b"c_codecs\nencode\nh\x07" + text("latin1") + b"\x86R")
    ),
    "arrays of one list": paddle_file(
        shared(b"](" + b"N" * 1_000_000 + b"e", 2000, array(MILLION, OBJECTS, b"h\x07"))
    ),
    "copies of one dict": paddle_file(
        shared(b"](" + b"".join(text(f"{i}") + b"N\x86" for i in range(100_000)) + b"e", 5000,
               b"ccollections\nOrderedDict\nh\x07\x85R")
    ),
    "many operations": paddle_file(b"N0" * 20_000_000, b"N"),
    "declared bytes": b"\x80\x05}" + text("w") + b"\x96" + (1 << 35).to_bytes(8, "little") + b"s.",
}  # fmt: skip
TENSORS = {
    "shape of large integers": state_dict(
        w=b"ctorch._utils\n_rebuild_tensor\n(" + storage() + b"K\x00" + SHAPE + SHAPE.replace(b"q\x01", b"") + b"tR"
    ),
    "tensors of one storage": state_dict(
        **{f"w{i}": tensor(storage(kind="torch\nBFloat16Storage"), (1 << 26,), (0,)) for i in range(200)}
    ),
    "names of equal hash": state_dict(w=b"}(" + b"".join(key + b"N" for key in COLLIDING) + b"u"),
}


def test_hostile_pickles_are_rejected(tmp_path):
    files = []
    for name, content in PICKLES.items():
        files.append(tmp_path / f"{name}.pdparams")
        files[-1].write_bytes(content)
    for name, content in TENSORS.items():
        raw = bytes(6 * (2 if b"BFloat16" in content else 4))
        files.append(write_zip(tmp_path / f"{name}.pth", content, {"0": raw}))
        files.append(write_stream(tmp_path / f"{name} in a stream.pth", content, {"0": (6, raw)}))
    assert_rejected(files)


def test_hostile_list_of_storages_is_rejected(tmp_path):
    """The two elements are equal lists of 2^60 shared elements; sorting them compares all."""
    path = write_stream(tmp_path / "w.pth", state_dict(w=tensor(storage())))
    valid = pickle.dumps(["0"], 2)
    assert path.read_bytes().count(valid) == 1
    nested = b"]" + b"".join(b"q%c(h%ch%cl" % (i, i, i) for i in range(10, 70))
    path.write_bytes(path.read_bytes().replace(valid, b"\x80\x02](" + nested + nested + b"e."))
    assert_rejected([path])


def test_hostile_h5_files_are_rejected(tmp_path):
    paths = [tmp_path / f"{name}.h5" for name in ("links", "entries", "chunk")]
    with h5py.File(paths[0], "w") as file:
        file.create_dataset("w", data=np.zeros(1 << 18, np.float32), chunks=(1 << 18,), compression="gzip")
        for i in range(2000):
            file[f"w{i}"] = file["w"]
    with h5py.File(paths[1], "w", libver="latest") as file:
        file["w"] = np.zeros(1)
        for i in range(10_000):
            file[f"w{i}"] = file["w"]
    with h5py.File(paths[2], "w") as file:
        chunk = file.create_dataset("w", (10,), "f4", maxshape=(None,), chunks=(1 << 26,), compression="gzip")
        chunk.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 28), 1))
    assert_rejected(paths)


def test_hostile_ground_truth_is_rejected(tmp_path):
    def write(name, **members):
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for key, parts in members.items():
                with archive.open(f"{key}.npy", "w") as stream:
                    for part in parts:
                        stream.write(part)

    def header(shape, code):
        path = tmp_path / "header"
        with open(path, "wb") as stream:
            npy_format.write_array_header_1_0(stream, {"descr": code, "fortran_order": False, "shape": shape})
        return path.read_bytes()

    nested = [1.0]
    for _ in range(60):
        nested = [nested, nested]
    entries = np.empty(1, object)
    entries[0] = nested
    megabyte = bytes(1 << 20)
    write("nested lists", data=[header((1,), "|O"), pickle.dumps(entries, 4)])
    write("nested lists alone", data=[header((1,), "|O"), pickle.dumps(nested, 4)])
    write("bomb", **{"0": [header((257 << 10, 1 << 8), "<f4"), *[megabyte] * 257]})
    write("bomb of maps", data=[header((257, 1 << 10, 1 << 8), "<f4"), *[megabyte] * 257])
    write("declared shape", **{"0": [header((1 << 20, 1 << 20), "<f4"), megabyte]})
    assert_rejected(sorted(tmp_path.glob("*.npz")))


def test_pipes_are_rejected(tmp_path):
    paths = [tmp_path / f"w{ending}" for ending in (".pdparams", ".pth", ".safetensors", ".h5", ".npz")]
    for path in paths:
        os.mkfifo(path)
    assert_rejected(paths, "is a pipe or a device")


def test_large_memo_index_needs_no_memory(tmp_path):
    path = tmp_path / "w.pdparams"
    path.write_bytes(paddle_file(b"K\x01r\xff\xff\xff\xff"))
    assert_rejected([path], "It was read.")


def assert_rejected(paths, message=""):
    """Read each file in a process of its own."""
    for path in paths:
        process = subprocess.run(
            [sys.executable, "-c", READ, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=200
        )
        assert process.returncode == 0, (path.name, process.returncode, process.stderr[-1000:])
        *lines, memory = process.stdout.splitlines()
        assert message in lines[0] and (message or str(path) in lines[0]), (path.name, lines)
        assert len(process.stdout) < 800 and "allocate" not in lines[0], (path.name, lines)
        assert int(memory) < MEMORY, (path.name, memory)
