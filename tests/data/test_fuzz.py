"""Damaged files: a reader gives one clear error or what the file holds, and nothing else.

Every example takes a small valid file and changes some of its bytes. `SOFTCP_FUZZ` sets how many there are for each
format; the slow test runs many of them in a process of its own, which a crash would end.
"""

import gzip
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from softcp_gpu.data import (
    DataError,
    Sample,
    cut_lesions,
    find_layout,
    image_size,
    load_lesions,
    read_colour_mask,
    read_image,
    read_mask,
    read_volume,
    save_bank,
    write_image,
)
from softcp_gpu.data.decode import decode
from softcp_gpu.data.volume_io import read_header
from softcp_gpu.data.volume_labels import label_ids
from softcp_gpu.data.volume_nnunet import read_description
from tests.data.volumes import put, put_series

EXAMPLES = int(os.environ.get("SOFTCP_FUZZ", "50"))
NUMBERS = (0, 1, 2, 127, 255, 32767, 65535, 65536, 100_000, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
WORDS = ("0", "-1", "2", "100000", "2147483648", "9223372036854775808", "1e400", "nan", "true", "null", "../x", "[1]")

position = st.one_of(st.integers(0, 400), st.integers(0, 1 << 20))
change = st.one_of(
    st.tuples(st.just("flip"), position, st.integers(0, 7)),
    st.tuples(st.just("byte"), position, st.integers(0, 255)),
    st.tuples(st.just("number"), position, st.sampled_from(NUMBERS), st.sampled_from((1, 2, 4, 8)), st.booleans()),
    st.tuples(st.just("cut off"), position),
    st.tuples(st.just("leave out"), position, st.integers(1, 100)),
    st.tuples(st.just("insert"), position, st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("repeat"), position, st.integers(1, 64)),
    st.tuples(st.just("swap"), position, position, st.sampled_from((1, 2, 4, 8))),
    st.tuples(st.just("word"), st.integers(0, 40), st.sampled_from(WORDS)),
)
changes = st.lists(change, min_size=1, max_size=3)


def changed(content, how):
    data = bytearray(content)
    for kind, at, *values in how:
        if not data:
            break
        at %= len(data)
        if kind == "flip":
            data[at] ^= 1 << values[0]
        elif kind == "byte":
            data[at] = values[0]
        elif kind == "number":
            number, width, big = values
            data[at : at + width] = (number % 256**width).to_bytes(width, "big" if big else "little")
        elif kind == "cut off":
            del data[at:]
        elif kind == "leave out":
            del data[at : at + values[0]]
        elif kind == "insert":
            data[at:at] = values[0]
        elif kind == "repeat":
            data[at:at] = data[at : at + values[0]]
        elif kind == "swap":
            other, width = values[0] % len(data), values[1]
            data[at : at + width], data[other : other + width] = data[other : other + width], data[at : at + width]
        elif words := list(re.finditer(rb"-?[0-9]+", bytes(data[:2000]))):
            word = words[at % len(words)]
            data[word.start() : word.end()] = values[0].encode()
    return bytes(data)


def each_change(check):
    """Calls `check` with every example; the same ones in every run."""
    settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None)(given(changes)(check))()


def outcome(read, path):
    """What a reader gives, or None where it gives the one error that it may."""
    try:
        return read(path)
    except DataError as error:
        message = str(error)
    assert re.fullmatch(r"[^\n]+: expected [^\n]+, found [^\n]*", message), message
    assert len(message) < 1500
    return None


Y, X = np.mgrid[:20, :30]
PHOTO = np.stack([Y * 10, X * 8, (Y * 30 + X) % 251], axis=2).astype(np.uint8)
MASK = np.where((Y - 10) ** 2 + (X - 15) ** 2 < 40, 255, 0).astype(np.uint8)
DEEP = PHOTO.astype(np.uint16) * 257 + 3


def with_pillow(values, mode=None, **options):
    return lambda path: Image.fromarray(values).convert(mode).save(path, **options)


def with_tifffile(values, **options):
    return lambda path: tifffile.imwrite(path, values, **options)


def plain_png(path):
    """Grey, 8 bits, no filters: the rows are in the file as they are, but for the compression."""
    rows = b"".join(b"\0" + row.tobytes() for row in MASK)
    parts = ((b"IHDR", struct.pack(">IIBBBBB", 30, 20, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


IMAGES = {
    "rgb.png": with_pillow(PHOTO),
    "mask.png": plain_png,
    "bit.png": with_pillow(MASK, "1"),
    "palette.png": lambda path: Image.fromarray(PHOTO).quantize(16).save(path),
    "grey_alpha.png": with_pillow(MASK, "LA"),
    "grey_16.png": lambda path: write_image(path, DEEP[:, :, :1]),
    "rgb_16.png": lambda path: write_image(path, DEEP),
    "rgb.jpg": with_pillow(PHOTO),
    "mask.jpg": with_pillow(MASK, quality=100),
    "mask.bmp": with_pillow(MASK),
    "rgb.bmp": with_pillow(PHOTO),
    "mask.tif": with_tifffile(MASK),
    "strips.tif": with_tifffile(MASK, rowsperstrip=4),
    "tiles.tif": with_tifffile(MASK, tile=(16, 16)),
    "zlib.tif": with_tifffile(MASK, compression="zlib"),
    "lzw.tif": with_pillow(MASK, compression="tiff_lzw"),
    "grey_16.tif": with_tifffile(DEEP[:, :, 0]),
    "rgb_16.tif": with_tifffile(DEEP, photometric="rgb"),
    "rgb_16_zlib.tif": with_tifffile(DEEP, photometric="rgb", compression="zlib"),
}


def with_checksums(content):
    """A PNG file with the checksums that its chunks ought to have, so that damage reaches the decoder."""
    at, mended = 8, content[:8]
    while at + 12 <= len(content):
        length = min(int.from_bytes(content[at : at + 4], "big"), len(content) - at - 12)
        mended += chunk(content[at + 4 : at + 8], content[at + 8 : at + 8 + length])
        at += 12 + length
    return mended


def look_at_image(path):
    """Reads a file in every way, and holds the results to each other."""
    image, lesion, colours = (outcome(read, path) for read in (read_image, read_mask, read_colour_mask))
    if all(values is None for values in (image, lesion, colours)):
        return
    size, raster = image_size(path), decode(path)
    if image is not None:
        assert image.dtype in (np.uint8, np.uint16)
        assert image.shape in ((*size, 1), (*size, 3))
        assert np.array_equal(image, raster.values)
    if lesion is not None:
        assert (lesion.dtype, lesion.shape) == (bool, size)
        values = raster.values if raster.indices is None else raster.indices[:, :, None]
        assert lesion.any() <= bool(values.any())
        assert raster.lossy or len(np.unique(values)) <= 2 or raster.indices is not None
    if colours is not None:
        assert (colours.dtype, colours.shape) == (np.uint8, (*size, 3))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    ("name", "mend"), [*((name, False) for name in IMAGES), *((name, True) for name in IMAGES if name.endswith(".png"))]
)
def test_a_damaged_image_is_an_error_or_has_its_size_and_type(tmp_path, name, mend):
    path = tmp_path / name
    IMAGES[name](path)
    whole = path.read_bytes()

    def check(how):
        path.write_bytes(with_checksums(changed(whole, how)) if mend else changed(whole, how))
        look_at_image(path)

    look_at_image(path)
    each_change(check)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", ["mask.png", "mask.bmp", "mask.tif", "strips.tif"])
def test_a_damaged_mask_has_no_row_that_the_file_has_not(tmp_path, name):
    path = tmp_path / name
    IMAGES[name](path)
    whole = path.read_bytes()

    def rows_are_there(content):
        mask = outcome(read_mask, path)
        if mask is None or mask.shape != MASK.shape:
            return 0
        values, _, indices, bits, _ = decode(path)
        if values.shape[2] != 1 or indices is not None or bits != 8:
            return 0
        if name == "mask.png":
            start = content.find(b"IDAT")
            inflate = zlib.decompressobj(-zlib.MAX_WBITS)  # no decoder looks at the checksum of the stream inside
            content = inflate.decompress(content[start + 6 :], MASK.size + len(MASK))
            if content[:: values.shape[1] + 1].strip(b"\0"):
                return 0  # a filter
        for row in values[:, :, 0]:
            assert row.tobytes() in content or (255 - row).tobytes() in content  # a TIFF may say that 0 is white
        return 1

    def check(how):
        content = with_checksums(changed(whole, how)) if name == "mask.png" else changed(whole, how)
        path.write_bytes(content)
        rows_are_there(content)

    assert rows_are_there(whole)
    each_change(check)


VOXELS = (np.arange(5 * 6 * 7).reshape(5, 6, 7) % 5 + 1).astype(np.uint8)  # no zeros: what is missing would be seen
VOLUMES = {  # name -> whether SimpleITK compresses it
    "a.nii": False,
    "a.nii.gz": True,
    "raw.nrrd": False,
    "gzip.nrrd": True,
    "raw.mha": False,
    "zlib.mha": True,
    "raw.mhd": False,
    "zlib.mhd": True,
}


def packed_again(name, content):
    """The header of a NIfTI file is inside its stream; damage in it needs a stream that is right."""
    return gzip.compress(content, 1, mtime=0) if name == "inside a.nii.gz" else content


def voxels_stored(path, content):
    """The bytes in which a file's voxels must be found, as they are or each with its bytes in the other order."""
    if path.suffix == ".mhd":
        content = b"".join(file.read_bytes() for file in path.parent.iterdir() if file.suffix in (".raw", ".zraw"))
    found = [content]
    for match in re.finditer(rb"\x1f\x8b\x08|x[\x01\x5e\x9c\xda]", content):
        try:
            found.append(zlib.decompressobj(47).decompress(content[match.start() :]))
        except zlib.error:
            continue
    return found


def look_at_volume(path):
    """Reads a volume, and finds its voxels in the file."""
    volume = outcome(read_volume, path)
    if volume is None:
        return
    header = read_header(path)
    assert (volume.values.shape, volume.values.dtype) == (header.grid.shape, header.dtype)
    ids = outcome(lambda _: label_ids(path, volume.values), path)
    content = path.read_bytes()
    if ids is None or volume.values.dtype != np.uint8 or b"ascii" in content[:400]:
        return
    if ".nii" in path.name:
        head = gzip.decompress(content)[:352] if content[:2] == b"\x1f\x8b" else content[:352]
        slopes = np.frombuffer(head, np.float32, 2, 112).tolist(), np.frombuffer(head, ">f4", 2, 112).tolist()
        if not {(0.0, 0.0), (1.0, 0.0)} & {*map(tuple, slopes)} or set(np.unique(ids).tolist()) <= {*range(1, 6)}:
            return
    assert any(volume.values.tobytes() in stored for stored in voxels_stored(path, content))


@pytest.mark.parametrize("name", [*VOLUMES, "inside a.nii.gz"])
def test_a_damaged_volume_is_an_error_or_has_the_voxels_of_the_file(tmp_path, name):
    sitk = pytest.importorskip("SimpleITK")
    path = put(tmp_path / name.split()[-1], VOXELS)
    sitk.WriteImage(sitk.ReadImage(str(path)), str(path), VOLUMES.get(name, True))
    whole = path.read_bytes()
    content = gzip.decompress(whole) if name == "inside a.nii.gz" else whole

    def check(how):
        path.write_bytes(packed_again(name, changed(content, how)))
        look_at_volume(path)

    assert np.array_equal(read_volume(path).values, VOXELS)
    look_at_volume(path)
    each_change(check)


def test_a_damaged_slice_is_an_error_or_has_its_size_and_type(tmp_path):
    pytest.importorskip("SimpleITK")
    folder = put_series(tmp_path / "ct", VOXELS.astype(np.int16) * 11 - 300)
    path = sorted(folder.iterdir())[1]
    whole = path.read_bytes()

    def check(how):
        path.write_bytes(changed(whole, how))
        if volume := outcome(read_volume, folder):
            header = read_header(folder)
            assert (volume.values.shape, volume.values.dtype) == (header.grid.shape, header.dtype)
            assert volume.values.size <= VOXELS.size  # the file has no room for more

    assert outcome(read_volume, folder)
    each_change(check)


def test_a_damaged_index_of_a_bank_is_an_error_or_says_the_same(tmp_path):
    lesions, _ = cut_lesions(Sample(PHOTO, MASK > 0), "case", "patient")
    save_bank(tmp_path / "bank", lesions)
    index = tmp_path / "bank" / "bank.jsonl"
    whole = index.read_bytes()

    def check(how):
        index.write_bytes(changed(whole, how))
        for crop in outcome(load_lesions, tmp_path / "bank") or []:
            assert np.array_equal(crop.image, lesions[0].image)
            assert np.array_equal(crop.labels, lesions[0].labels)

    assert len(load_lesions(tmp_path / "bank")) == 1
    each_change(check)


def test_a_damaged_lesion_of_a_bank_is_an_error(tmp_path):
    lesions, _ = cut_lesions(Sample(PHOTO, MASK > 0), "case", "patient")
    save_bank(tmp_path / "bank", lesions)
    path = tmp_path / "bank" / "lesions" / "000000.npz"
    whole = path.read_bytes()

    def check(how):
        path.write_bytes(changed(whole, how))
        assert outcome(load_lesions, tmp_path / "bank") is None or path.read_bytes() == whole

    each_change(check)


def test_a_damaged_description_is_an_error_or_names_its_labels(tmp_path):
    pytest.importorskip("SimpleITK")
    content = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "kidney": [1, 2], "tumour": 2},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    put(tmp_path / "imagesTr" / "a_0000.nii.gz", VOXELS.astype(np.int16))
    put(tmp_path / "labelsTr" / "a.nii.gz", VOXELS)
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(content))
    whole = path.read_bytes()

    def check(how):
        path.write_bytes(changed(whole, how))
        if description := outcome(read_description, tmp_path):
            ids = {label for ids in description.labels.values() for label in ids}
            assert all(isinstance(label, int) and label >= 0 for label in ids)
            outcome(lambda root: find_layout(root, "nnunet").cases(root), tmp_path)

    assert read_description(tmp_path).lesion_labels() == (2,)
    each_change(check)


REAL = (
    ("busi/Dataset_BUSI_with_GT", "benign/*.png"),
    ("busi/Dataset_BUSI_with_GT", "benign/*_mask.png"),
    ("lgg/kaggle_3m", "*/*_mask.tif"),
    ("kvasir-seg-352/Kvasir-SEG", "train/masks/*.jpg"),
    ("ph2", "**/*_lesion.bmp"),
    ("kits19_labels_only", "data/*/segmentation.nii.gz"),
    ("pyradiomics/data", "*_label.nrrd"),
)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "pattern"), REAL)
def test_a_damaged_real_file_is_an_error_or_is_read(real_data, tmp_path, folder, pattern):
    files = sorted((real_data / folder).glob(pattern), key=lambda file: file.stat().st_size)
    if not files:
        pytest.skip(f"no real data: {real_data / folder} has no {pattern}")
    whole = files[0].read_bytes()
    path = tmp_path / f"real{''.join(files[0].suffixes)}"
    look = look_at_image if path.suffix in (".png", ".tif", ".jpg", ".bmp") else lambda path: outcome(read_volume, path)

    def check(how):
        path.write_bytes(changed(whole, how[:1]))
        look(path)

    settings(max_examples=min(EXAMPLES, 200), derandomize=True, deadline=None, database=None)(given(changes)(check))()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["image", "mask", "volume", "slice", "bank", "description"])
def test_many_damaged_files_end_neither_in_a_crash_nor_never(root, what):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        str(Path(__file__)),
        "-k",
        f"damaged and {what} and not many",
    ]
    environment = {**os.environ, "SOFTCP_FUZZ": "200"}
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=1800)
    assert run.returncode == 0, run.stdout[-3000:]
