"""Files and folders made to do harm: nothing runs, nothing is written elsewhere, no memory goes to empty claims."""

import ast
import gzip
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from softcp_gpu.data import (
    DataError,
    Sample,
    bank_files,
    cut_lesions,
    find_layout,
    image_size,
    load_lesions,
    read_grid,
    read_image,
    read_mask,
    read_volume,
    save_bank,
    write_image,
)
from softcp_gpu.data.new_case import check_no_links, inside
from softcp_gpu.data.plain_files import MOST_DESCRIPTION, MOST_INDEX
from softcp_gpu.data.volume_nnunet import read_description
from tests.data.volumes import put, put_series

IMAGE = np.arange(20 * 30 * 3).reshape(20, 30, 3).astype(np.uint8)
LESION = np.zeros((20, 30), bool)
LESION[5:9, 7:15] = True
VOXELS = (np.arange(4 * 5 * 6).reshape(4, 5, 6) % 5 + 1).astype(np.uint8)


@pytest.fixture(autouse=True)
def awake():
    """A reader that waits for a pipe is a failure, not the end of the tests."""

    def waited(*_):
        raise TimeoutError("a reader waits")

    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class TestCode:
    """What reads data must not be able to run them."""

    MODULES = ("pickle", "marshal", "shelve", "dill", "joblib", "subprocess", "yaml", "ctypes")
    CALLS = ("torch.load", "torch.jit.load", "eval", "exec", "compile", "__import__", "os.system", "os.popen")

    def dangers(self, source):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name.split(".")[0] in self.MODULES)
            elif isinstance(node, ast.ImportFrom):
                origin = node.module or ""
                names = [f"{origin}.{alias.name}" for alias in node.names]
                yield from (name for name in names if origin.split(".")[0] in self.MODULES or name in self.CALLS)
            elif isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                numpy_loads = name.split(".")[-1] == "load" and name.split(".")[0] in ("np", "numpy")
                safe = any(k.arg == "allow_pickle" and ast.unparse(k.value) == "False" for k in node.keywords)
                if name in self.CALLS or name.startswith("os.exec") or (numpy_loads and not safe):
                    yield name

    def test_no_file_of_the_package_unpickles_or_runs_what_it_reads(self, root):
        files = [*(root / "softcp_gpu").rglob("*.py")]
        assert len(files) > 50
        found = {path.name: [*self.dangers(path.read_text("utf-8"))] for path in files}
        assert {name: dangers for name, dangers in found.items() if dangers} == {}

    @pytest.mark.parametrize(
        "source",
        [
            "import pickle",
            "from marshal import loads",
            "def f():\n    import subprocess as s",
            "import yaml.loader",
            "from torch import load",
            "torch.load(path)",
            "np.load(path)",
            "numpy.load(path, allow_pickle=True)",
            "eval('1')",
            "os.execv(path, [])",
        ],
    )
    def test_the_rule_catches_its_offender(self, source):
        assert [*self.dangers(source)]

    def test_the_rule_spares_what_is_safe(self):
        assert not [*self.dangers("import json\nnp.load(file, allow_pickle=False)\nmodel.eval()\nre.compile('a')")]


@pytest.fixture
def socket_file(tmp_path):
    """A socket with the name of an image; its path must be short."""
    before = Path.cwd()
    os.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        os.chdir(before)
        yield tmp_path / "socket.png"


class TestKindsOfFiles:
    @pytest.mark.parametrize("read", [read_image, read_mask, image_size])
    def test_a_pipe_a_device_a_socket_and_a_folder_named_like_an_image_are_refused(self, tmp_path, socket_file, read):
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "zero.png").symlink_to("/dev/zero")
        (tmp_path / "folder.png").mkdir()
        kinds = {"pipe": "a named pipe", "zero": "a device", "folder": "a folder", "socket": "a socket"}
        for name, found in kinds.items():
            with pytest.raises(DataError, match=f"{name}.png: expected a plain file, found {found}"):
                read(tmp_path / f"{name}.png")

    @pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
    def test_a_pipe_and_a_device_named_like_a_volume_are_refused(self, tmp_path, ending):
        pytest.importorskip("SimpleITK")
        os.mkfifo(tmp_path / f"pipe{ending}")
        (tmp_path / f"zero{ending}").symlink_to("/dev/zero")
        for name, found in (("pipe", "a named pipe"), ("zero", "a device")):
            for read in (read_volume, read_grid):
                with pytest.raises(DataError, match=f"expected a plain file, found {found}"):
                    read(tmp_path / f"{name}{ending}")

    def test_a_pipe_for_the_voxels_beside_a_header_is_refused(self, tmp_path):
        pytest.importorskip("SimpleITK")
        path = put(tmp_path / "a.mhd", VOXELS)
        (voxels,) = (file for file in tmp_path.iterdir() if file != path)
        voxels.unlink()
        os.mkfifo(voxels)
        with pytest.raises(DataError, match="expected a plain file, found a named pipe"):
            read_volume(path)

    @pytest.mark.parametrize("name", ["pipe.dcm", ".hidden"])
    def test_a_pipe_among_slices_is_refused(self, tmp_path, name):
        pytest.importorskip("SimpleITK")
        folder = put_series(tmp_path / "ct", VOXELS)
        os.mkfifo(folder / name)
        with pytest.raises(DataError, match=f"{name}: expected a plain file, found a named pipe"):
            read_volume(folder)

    def test_pipes_for_what_a_data_set_says_of_itself_are_refused(self, tmp_path):
        os.mkfifo(tmp_path / "dataset.json")
        os.mkfifo(tmp_path / "bank.jsonl")
        for read in (read_description, load_lesions):
            with pytest.raises(DataError, match="expected a plain file, found a named pipe"):
                read(tmp_path)

    def test_a_pipe_for_a_lesion_is_refused(self, tmp_path):
        path = bank_in(tmp_path) / "lesions" / "000000.npz"
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(DataError, match="expected a plain file, found a named pipe"):
            load_lesions(tmp_path / "bank")

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.mhd"])
    def test_a_file_without_a_byte_is_refused(self, tmp_path, name):
        (tmp_path / name).touch()
        with pytest.raises(DataError, match="expected a whole file, found 0 bytes"):
            (read_image if name in ("a.png", "a.tif") else read_volume)(tmp_path / name)

    def test_one_pipe_costs_a_data_set_its_own_case_only(self, tmp_path):
        pairs(tmp_path)
        (tmp_path / "images" / "b.png").unlink()
        os.mkfifo(tmp_path / "images" / "b.png")
        layout = find_layout(tmp_path)
        cases, problems = layout.check_headers(layout.cases(tmp_path)[0])
        assert [case.id for case in cases] == ["a"]
        assert [str(problem).endswith("found a named pipe") for problem in problems] == [True]

    def test_a_folder_that_cannot_be_read_is_an_error_that_names_it(self, tmp_path, monkeypatch):
        def forbidden(folder):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "iterdir", forbidden)
        with pytest.raises(DataError, match=f"{tmp_path}: expected a folder that can be read, found Permission denied"):
            find_layout(tmp_path)


def pairs(folder):
    for name in "ab":
        write_image(folder / "images" / f"{name}.png", IMAGE)
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(LESION).save(folder / "masks" / f"{name}.png")


def bank_in(folder):
    save_bank(folder / "bank", cut_lesions(Sample(IMAGE, LESION), "case")[0])
    return folder / "bank"


class TestLinksWhenReading:
    def test_links_to_files_and_folders_are_followed(self, tmp_path):
        pairs(tmp_path / "store")
        (tmp_path / "data" / "images").mkdir(parents=True)
        (tmp_path / "data" / "masks").symlink_to(tmp_path / "store" / "masks")
        for name in "ab":
            (tmp_path / "data" / "images" / f"{name}.png").symlink_to(f"../../store/images/{name}.png")
        layout = find_layout(tmp_path / "data")
        cases, problems = layout.cases(tmp_path / "data")
        assert ([case.id for case in cases], problems) == (["a", "b"], [])
        assert np.array_equal(layout.load(cases[0]).image, IMAGE)

    def test_circles_of_links_end(self, tmp_path):
        pairs(tmp_path)
        (tmp_path / "again").symlink_to(tmp_path)
        (tmp_path / "images" / "c.png").symlink_to("d.png")
        (tmp_path / "images" / "d.png").symlink_to("c.png")
        layout = find_layout(tmp_path)
        cases, problems = layout.cases(tmp_path)
        assert [case.id for case in cases] == ["a", "b"]
        assert sorted(problem.path.name for problem in problems) == ["c.png", "d.png"]
        with pytest.raises(DataError, match="whole PNG"):
            read_image(tmp_path / "images" / "c.png")
        (tmp_path / "c.nii").symlink_to("c.nii")
        with pytest.raises(DataError, match="found nothing"):
            read_volume(tmp_path / "c.nii")

    def test_circles_of_links_in_a_bank_end(self, tmp_path):
        path = bank_in(tmp_path) / "lesions" / "000000.npz"
        path.unlink()
        path.symlink_to(path.name)
        with pytest.raises(DataError, match=r"000000.npz: expected a file, as bank.jsonl says"):
            load_lesions(tmp_path / "bank")


class TestWritingStaysInside:
    @pytest.mark.parametrize("planted", ["images", "masks", "images/synth_1.png", "masks/synth_1.png"])
    @pytest.mark.parametrize("there", [True, False])
    def test_a_link_in_the_output_is_refused_and_nothing_is_written(self, tmp_path, planted, there):
        pairs(tmp_path / "data")
        layout = find_layout(tmp_path / "data")
        case = layout.cases(tmp_path / "data")[0][0]
        secret, link = tmp_path / "secret", tmp_path / "out" / planted
        link.parent.mkdir(parents=True)
        if there:
            secret.mkdir() if planted in ("images", "masks") else secret.write_text("mine")
        link.symlink_to(secret)
        with pytest.raises(DataError, match=rf"{planted}: expected new files inside this folder.* a link to .*secret"):
            layout.save(tmp_path / "out", "synth_1", case, IMAGE, LESION)
        assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file() and not path.is_symlink()]
        if there:
            assert not any(secret.iterdir()) if secret.is_dir() else secret.read_text() == "mine"
        else:
            assert not secret.exists()

    def test_a_link_at_the_place_of_the_hidden_file_is_not_written_through(self, tmp_path):
        (tmp_path / "secret").write_text("mine")
        (tmp_path / f".a.{os.getpid()}-{threading.get_native_id()}.png").symlink_to("secret")
        write_image(tmp_path / "a.png", IMAGE)
        assert (tmp_path / "secret").read_text() == "mine"
        assert np.array_equal(read_image(tmp_path / "a.png"), IMAGE)
        assert not (tmp_path / "a.png").is_symlink()

    def test_a_link_at_the_place_of_a_bank_that_is_being_written_is_refused(self, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / f".bank.{os.getpid()}.new").symlink_to("elsewhere")
        with pytest.raises(DataError, match="bank: expected a folder that can be written, found File exists"):
            bank_in(tmp_path)
        assert not any((tmp_path / "elsewhere").iterdir())

    @pytest.mark.parametrize("relative", ["../a.png", "images/../../a.png", "/tmp/a.png"])
    def test_a_path_out_of_the_folder_is_refused(self, tmp_path, relative):
        with pytest.raises(DataError, match="expected new files inside this folder"):
            inside(tmp_path, Path(relative))

    def test_every_link_below_a_folder_is_found_and_the_folder_itself_may_be_one(self, tmp_path):
        (tmp_path / "out" / "deep" / "er").mkdir(parents=True)
        (tmp_path / "link").symlink_to("out")
        check_no_links(tmp_path / "nothing")
        check_no_links(tmp_path / "link")
        assert inside(tmp_path / "link", Path("deep/a.png")) == tmp_path / "link" / "deep" / "a.png"
        for target in ("/", "nowhere"):
            link = tmp_path / "out" / "deep" / "er" / "link"
            link.symlink_to(target)
            with pytest.raises(DataError, match=f"{link}: expected .*, found a link to {target}"):
                check_no_links(tmp_path / "out")
            link.unlink()

    @pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil"])
    def test_a_description_cannot_choose_where_files_go(self, tmp_path, name):
        content = {"channel_names": {"0": "CT"}, "labels": {"lesion": 1}, "file_ending": name + ".nii.gz"}
        (tmp_path / "dataset.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match=r"a file_ending of .nii.gz, .nii, .nrrd, .mha, found"):
            read_description(tmp_path)


class TestText:
    def test_a_description_and_an_index_that_are_too_long_are_refused_unread(self, tmp_path):
        for name, most, read in (
            ("dataset.json", MOST_DESCRIPTION, read_description),
            ("bank.jsonl", MOST_INDEX, load_lesions),
        ):
            with (tmp_path / name).open("wb") as file:
                file.truncate(most + 1)  # without blocks on the disk
            with pytest.raises(DataError, match=f"{name}: expected at most {most} bytes of text, found {most + 1}"):
                read(tmp_path)

    def test_brackets_in_brackets_are_refused(self, tmp_path):
        for name, read in (("dataset.json", read_description), ("bank.jsonl", load_lesions)):
            (tmp_path / name).write_text("[" * 200_000)
            with pytest.raises(DataError, match=f"{name}: expected"):
                read(tmp_path)

    def test_a_lesion_that_decompresses_to_too_much_is_refused(self, tmp_path, monkeypatch):
        bank = bank_in(tmp_path)
        monkeypatch.setattr(bank_files, "_MOST", 1000)
        with pytest.raises(DataError, match=r"000000.npz: expected .* bytes when decompressed, more than 1000"):
            load_lesions(bank)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path, width, height, bits, colour_type, data):
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def tiff_that_claims(path, tag, value, **options):
    tifffile.imwrite(path, np.full((20, 30), 255, np.uint8), **options)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags[tag].overwrite(value)


NRRD = "NRRD0004\ntype: {type}\ndimension: 3\nsizes: {sizes}\nencoding: {encoding}\n{more}\n"
META = (
    "ObjectType = Image\nNDims = {axes}\nBinaryData = True\nCompressedData = {packed}\n{more}DimSize = {sizes}\n"
    "ElementType = {type}\nElementDataFile = {file}\n"
)


def nrrd(path, data=b"", sizes="6 5 4", type="uint8", encoding="raw", more=""):
    path.write_bytes(NRRD.format(sizes=sizes, type=type, encoding=encoding, more=more).encode() + data)


def meta(path, data=b"", sizes="6 5 4", type="MET_UCHAR", axes="3", packed=False, more="", file="LOCAL"):
    fields = {"sizes": sizes, "type": type, "axes": axes, "packed": packed, "more": more, "file": file}
    path.write_bytes(META.format(**fields).encode() + data)


def nifti(path, data, **fields):
    """Header fields by offset: o40=(dtype, value)."""
    put(path.with_name("plain.nii"), VOXELS)
    head = bytearray(path.with_name("plain.nii").read_bytes()[:352])
    for offset, (kind, value) in fields.items():
        packed = np.asarray(value, kind).tobytes()
        head[int(offset[1:]) : int(offset[1:]) + len(packed)] = packed
    content = bytes(head) + data
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


ZEROS = 128 << 20  # bytes that a bomb decompresses to
MEMORY = 80 << 10  # KiB that reading it may take; the libraries themselves are loaded before


def write_bombs(folder):
    """Small files that claim, or decompress to, more than anybody wants; the read function for each."""
    zeros = zlib.compress(bytes(ZEROS), 9)
    for name, bits, colours in (("grey.png", 8, 0), ("bit.png", 1, 0), ("deep.png", 16, 2), ("deep_grey.png", 16, 0)):
        png(folder / name, 60_000, 60_000, bits, colours, zeros)
        png(folder / f"under_the_limit_{name}", 9000, 9000, bits, colours, zlib.compress(b"\0" * 100))
    png(folder / "long.png", 30, 20, 8, 0, zeros)  # read, but no more of it than there are pixels
    for tag, name in ((256, "wide"), (257, "high")):
        tiff_that_claims(folder / f"{name}.tif", tag, 2**31 - 1)
        tiff_that_claims(folder / f"{name}_zlib.tif", tag, 2**31 - 1, compression="zlib")
    with suppress(ModuleNotFoundError):
        volume_bombs(folder, zeros)


def volume_bombs(folder, zeros):
    for name in ("a.nii", "a.nii.gz"):
        nifti(folder / name, b"", o42=("<i2", (32767, 32767, 4)))
        nifti(folder / f"few_{name}", bytes(9), o42=("<i2", (1000, 1000, 1000)))
        nifti(folder / f"far_{name}", bytes(9), o108=("<f4", 1e12))
    nifti(folder / "stream.nii.gz", bytes(ZEROS))
    for number, sizes in enumerate(("100000 100000 4", "2147483647 1 1", "1000 1000 1000")):
        for encoding in ("raw", "gzip", "ascii", "hex"):
            nrrd(folder / f"{encoding}_{number}.nrrd", zlib.compress(b"\0"), sizes, "double", encoding)
        for packed in (True, False):
            more = "CompressedDataSize = 9\n" * packed
            meta(folder / f"{packed}_{number}.mha", zlib.compress(b"\0"), sizes, "MET_DOUBLE", packed=packed, more=more)
    nrrd(folder / "stream.nrrd", gzip.compress(bytes(ZEROS), 9), encoding="gzip")
    meta(folder / "stream.mha", zeros, packed=True, more=f"CompressedDataSize = {len(zeros)}\n")
    meta(folder / "size.mha", zeros, packed=True, more="CompressedDataSize = 999999999999\n")
    meta(folder / "channels.mha", bytes(120), more="ElementNumberOfChannels = 900000000\n")
    for name, tag, value in (
        ("rows", b"\x28\0\x10\0\2\0\0\0", b"\xff\xff"),
        ("pixels", b"\xe0\x7f\x10\0", b"\xf0\xff\xff\xff"),
    ):
        for path in put_series(folder / f"{name}.ct", VOXELS).iterdir():
            content = path.read_bytes()
            at = content.index(tag) + len(tag)
            path.write_bytes(content[:at] + value + content[at + len(value) :])


def test_what_claims_or_becomes_too_much_is_refused_before_the_memory_is_taken(root, tmp_path):
    write_bombs(tmp_path)
    command = [sys.executable, __file__, str(tmp_path)]
    run = subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    outcomes = json.loads(run.stdout.splitlines()[-1])
    assert set(outcomes) == {path.name for path in tmp_path.iterdir()} - {"plain.nii"}
    assert {name for name, (refused, _) in outcomes.items() if not refused} == {"long.png"}
    assert {name: memory for name, (_, memory) in outcomes.items() if memory > MEMORY} == {}


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.nii"])
def test_a_file_of_more_voxels_than_the_limit_is_refused_though_it_holds_them(tmp_path, name):
    pytest.importorskip("SimpleITK")
    path = tmp_path / name
    if name == "a.nii":
        nifti(path, b"", o42=("<i2", (2048, 1024, 1025)))
    else:
        (nrrd if name == "a.nrrd" else meta)(path, sizes="2048 1024 1025")
    os.truncate(path, 2048 * 1024 * 1025 + 1000)  # without blocks on the disk
    for read in (read_volume, read_grid):
        with pytest.raises(DataError, match=r"expected at most 2147483648 voxels, found 2048 x 1024 x 1025"):
            read(path)


def read_all(folder):
    """In a process of its own: whether each file is refused, and by how many KiB the process has grown since."""
    import resource

    def most():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with suppress(ModuleNotFoundError):
        import SimpleITK as sitk

        sitk.ReadImage(str(folder / "plain.nii"))
        read_volume(folder / "plain.nii")
    outcomes = {}
    for path in sorted(folder.iterdir()):
        if path.name == "plain.nii":
            continue
        before, refused = most(), False
        try:
            (read_image if path.suffix in (".png", ".tif") else read_volume)(path)
        except DataError:
            refused = True
        outcomes[path.name] = (refused, most() - before)
    print(json.dumps(outcomes))


class TestMissingPixels:
    """Decoders fill what is missing: with black, or with what was in memory."""

    def test_a_png_with_too_few_rows_and_right_checksums_is_refused(self, tmp_path):
        rows = b"".join(b"\0" + bytes(range(30)) for _ in range(20))
        png(tmp_path / "a.png", 30, 20, 8, 0, zlib.compress(rows))
        assert read_image(tmp_path / "a.png").shape == (20, 30, 1)
        png(tmp_path / "a.png", 30, 21, 8, 0, zlib.compress(rows))
        with pytest.raises(DataError, match="651 bytes of pixels when decompressed, found 620"):
            read_image(tmp_path / "a.png")

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
    @pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 8), (3, 11)])
    def test_a_whole_png_of_every_kind_is_read(self, tmp_path, mode, size):
        Image.fromarray(gradient(size)).convert(mode).save(tmp_path / "a.png")
        assert read_image(tmp_path / "a.png").shape[:2] == size

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 8), (3, 11)])
    def test_a_whole_interlaced_png_is_read_and_one_that_is_not_is_refused(self, tmp_path, channels, size):
        values = gradient(size)[:, :, :channels]
        write_interlaced(tmp_path / "a.png", values)
        assert np.array_equal(read_image(tmp_path / "a.png"), values)
        write_interlaced(tmp_path / "a.png", values, missing=1)
        with pytest.raises(DataError, match="bytes of pixels when decompressed"):
            read_image(tmp_path / "a.png")

    @pytest.mark.parametrize(("tag", "value"), [(257, 40), (256, 60)])
    @pytest.mark.parametrize("options", [{}, {"rowsperstrip": 4}, {"tile": (16, 16)}])
    def test_a_tiff_with_too_few_pixels_is_refused(self, tmp_path, tag, value, options):
        tiff_that_claims(tmp_path / "a.tif", tag, value, **options)
        with pytest.raises(DataError, match=r"a.tif: expected a whole file"):
            read_image(tmp_path / "a.tif")

    @pytest.mark.parametrize("missing", [1, 60, 119])
    def test_a_metaimage_with_too_few_voxels_in_a_whole_stream_is_refused(self, tmp_path, missing):
        pytest.importorskip("SimpleITK")
        data = zlib.compress(VOXELS.tobytes()[missing:])
        meta(tmp_path / "a.mha", data, packed=True, more=f"CompressedDataSize = {len(data)}\n")
        with pytest.raises(DataError, match=f"a whole file of 120 bytes when decompressed, found {120 - missing}"):
            read_volume(tmp_path / "a.mha")

    @pytest.mark.parametrize("size", ["", "CompressedDataSize = 0\n", "CompressedDataSize = 5\n"])
    def test_a_stream_of_which_itk_would_read_a_part_is_refused(self, tmp_path, size):
        pytest.importorskip("SimpleITK")
        data = zlib.compress(VOXELS.tobytes())
        meta(tmp_path / "a.mha", data, packed=True, more=f"CompressedDataSize = {len(data)}\n")
        assert np.array_equal(read_volume(tmp_path / "a.mha").values, VOXELS)
        meta(tmp_path / "a.mha", data, packed=True, more=size)
        with pytest.raises(DataError, match=r"CompressedDataSize|the compressed data end too early"):
            read_volume(tmp_path / "a.mha")

    @pytest.mark.parametrize("missing", [2, 50])
    def test_a_slice_with_too_few_pixels_is_refused(self, tmp_path, missing):
        pytest.importorskip("SimpleITK")
        folder = put_series(tmp_path / "ct", VOXELS)
        path = sorted(folder.iterdir())[0]
        content = path.read_bytes()
        path.write_bytes(content[:-missing])
        with pytest.raises(DataError, match=f"{path.name}: expected at most {60 - missing} bytes .*, found 60"):
            read_volume(folder)
        length = struct.pack("<I", 60)
        assert content[-64:-60] == length
        path.write_bytes(content[:-64] + struct.pack("<I", 60 - missing) + content[-60 : len(content) - missing])
        with pytest.raises(DataError, match=f"a whole file with 60 bytes of pixels, found {60 - missing}"):
            read_volume(folder)

    def test_a_slice_of_another_type_is_not_cut_to_the_first_one_s(self, tmp_path):
        pytest.importorskip("SimpleITK")
        folder = put_series(tmp_path / "ct", VOXELS.astype(np.int16))
        path = sorted(folder.iterdir())[0]
        content = path.read_bytes()
        slope = b"\x28\0\x53\x10\2\0\0\0"
        assert slope + b"1 " in content
        path.write_bytes(content.replace(slope + b"1 ", slope + b".5"))
        with pytest.raises(DataError, match=r"32-bit signed integer as in 1.2.3_004.dcm, found .* float"):
            read_volume(folder)


def gradient(size):
    return np.arange(size[0] * size[1] * 3).reshape(*size, 3).astype(np.uint8)


def write_interlaced(path, values, missing=0):
    """Adam7, which Pillow reads but does not write; `missing` bytes of it are left out."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    parts = [values[y::dy, x::dx] for x, y, dx, dy in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 8, 0 if values.shape[2] == 1 else 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows[: len(rows) - missing])), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in chunks))


class TestHeaders:
    def test_a_tiff_of_very_many_images_is_refused_without_counting_them(self, tmp_path):
        tags = ((256, 4), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 4), (279, 16))
        entries, first, count = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags), 24, 5000
        size = 2 + len(entries) + 4
        content = b"II*\0" + struct.pack("<I", first) + bytes(16)
        for number in range(1, count + 1):
            content += struct.pack("<H", len(tags)) + entries + struct.pack("<I", first + number * size)
        (tmp_path / "a.tif").write_bytes(content[:-4] + bytes(4))
        with pytest.raises(DataError, match="expected one image, found a stack of 100 or more"):
            read_image(tmp_path / "a.tif")

    @pytest.mark.parametrize(
        "name", ["/etc/passwd", "../voxels.raw", "a/../../voxels.raw", "LIST", "v%d.raw 1 4 1", "-"]
    )
    def test_voxels_are_looked_for_in_the_folder_of_the_header_only(self, tmp_path, name):
        pytest.importorskip("SimpleITK")
        (tmp_path / "voxels.raw").write_bytes(VOXELS.tobytes())
        (tmp_path / "data" / "a").mkdir(parents=True)
        meta(tmp_path / "data" / "a.mhd", file=name)
        nrrd(tmp_path / "data" / "a.nrrd", more=f"data file: {name}\n")
        for path in ("a.mhd", "a.nrrd"):
            with pytest.raises(DataError, match="one data file in the header's folder or below it"):
                read_volume(tmp_path / "data" / path)

    def test_voxels_beside_or_below_a_header_are_read_and_may_be_a_link(self, tmp_path):
        pytest.importorskip("SimpleITK")
        (tmp_path / "voxels.raw").write_bytes(VOXELS.tobytes())
        (tmp_path / "data" / "below").mkdir(parents=True)
        (tmp_path / "data" / "below" / "v.raw").symlink_to(tmp_path / "voxels.raw")
        meta(tmp_path / "data" / "a.mhd", file="below/v.raw")
        nrrd(tmp_path / "data" / "a.nrrd", more="data file: below/v.raw\n")
        for path in ("a.mhd", "a.nrrd"):
            assert np.array_equal(read_volume(tmp_path / "data" / path).values, VOXELS)

    @pytest.mark.parametrize("axes", ["-1", "0", "100000", "9223372036854775808", "3 3", "x", "3\nNDims = 3"])
    def test_axes_that_end_the_process_or_never_end_are_refused(self, tmp_path, axes):
        pytest.importorskip("SimpleITK")
        meta(tmp_path / "a.mha", VOXELS.tobytes(), axes=axes)
        with pytest.raises(DataError, match=r"a.mha: expected (NDims|whole numbers as NDims|each field)"):
            read_volume(tmp_path / "a.mha")

    @pytest.mark.parametrize(
        "more",
        [
            "Offset = 1 2\n",
            "TransformMatrix = 1 0 0\n",
            "Offset = 1 2 x\n",
            "ElementSpacing : 1 1\n",
            "A" * 600 + " = 1\n",
        ],
    )
    def test_fields_that_contradict_each_other_are_refused(self, tmp_path, more):
        pytest.importorskip("SimpleITK")
        meta(tmp_path / "a.mha", VOXELS.tobytes(), more=more)
        with pytest.raises(DataError, match=r"a.mha: expected (\d numbers as|lines NAME = VALUE)"):
            read_volume(tmp_path / "a.mha")

    @pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha"])
    def test_a_file_of_another_format_is_refused_whatever_it_is_called(self, tmp_path, ending):
        pytest.importorskip("SimpleITK")
        slices = sorted(put_series(tmp_path / "ct", VOXELS).iterdir())
        (tmp_path / f"a{ending}").write_bytes(slices[0].read_bytes())
        with pytest.raises(
            DataError, match=f"expected a header of the format {ending}, found another, which GDCMImageIO would"
        ):
            read_volume(tmp_path / f"a{ending}")

    def test_a_nifti_header_of_another_length_is_refused_though_itk_guesses(self, tmp_path):
        pytest.importorskip("SimpleITK")
        nifti(tmp_path / "a.nii", b"", o0=("<i4", 349))
        with pytest.raises(DataError, match=r"expected a header of the format .nii, found another, which NiftiImageIO"):
            read_volume(tmp_path / "a.nii")

    def test_a_tiff_that_does_not_say_whether_0_is_black_is_refused(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", IMAGE[:, :, 0])
        content = (tmp_path / "a.tif").read_bytes()
        photometric = struct.pack("<HHIH", 262, 3, 1, 1)
        assert photometric in content
        (tmp_path / "a.tif").write_bytes(content.replace(photometric, struct.pack("<HHIH", 263, 3, 1, 1)))
        with pytest.raises(DataError, match="PhotometricInterpretation"):
            read_image(tmp_path / "a.tif")

    def test_a_nifti_header_whose_voxels_are_in_another_file_is_refused(self, tmp_path):
        pytest.importorskip("SimpleITK")
        nifti(tmp_path / "a.nii", VOXELS.tobytes(), o344=("S4", b"ni1"))
        (tmp_path / "a.img").write_bytes(VOXELS.tobytes())
        with pytest.raises(DataError, match="header and voxels in one"):
            read_volume(tmp_path / "a.nii")

    def test_a_deflated_dicom_file_is_refused(self, tmp_path):
        pytest.importorskip("SimpleITK")
        folder = put_series(tmp_path / "ct", VOXELS)
        path = sorted(folder.iterdir())[0]
        content = path.read_bytes()
        assert b"UI\x12\x001.2.840.10008.1.2\0" in content
        path.write_bytes(content.replace(b"UI\x12\x001.2.840.10008.1.2\0", b"UI\x16\x001.2.840.10008.1.2.1.99"))
        with pytest.raises(DataError, match="a transfer syntax that is not deflated"):
            read_volume(folder)


if __name__ == "__main__":
    read_all(Path(sys.argv[1]))
