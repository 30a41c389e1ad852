import gzip
import math
import resource
import subprocess
import sys

import numpy as np
import pytest

from softcp_gpu.data import DataError, Grid, Volume, read_grid, read_volume, same_grid, write_volume
from softcp_gpu.data.grid import check_same_grid
from softcp_gpu.data.volume_io import read_header
from tests.data.volumes import SHAPE, SLICES_FIRST, STRAIGHT, oblique, put, put_series, values_of

sitk = pytest.importorskip("SimpleITK")


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*"))


class TestReading:
    @pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
    @pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
    def test_values_type_and_grid_are_those_of_the_file(self, tmp_path, ending, dtype):
        values = values_of(dtype)
        path = put(tmp_path / f"a{ending}", values, direction=oblique())
        volume = read_volume(path)
        assert volume.values.dtype == dtype
        assert np.array_equal(volume.values, values)
        image = sitk.ReadImage(str(path))
        expected = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
        assert volume.grid == read_grid(path) == expected
        assert volume.grid.shape == SHAPE
        assert volume.grid.spacing_mm == pytest.approx((5.0, 0.8, 0.703125))
        assert read_header(path).dtype == dtype

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_nan_in_a_nifti_file_which_itk_reads_as_0_is_refused_and_elsewhere_stays(self, tmp_path, dtype, bad):
        values = values_of(dtype)
        for name in ("a.nii", "a.nii.gz"):
            assert np.array_equal(read_volume(put(tmp_path / name, values)).values, values)
        values[-1, -1, -1] = bad
        for name in ("a.nii", "a.nii.gz"):
            with pytest.raises(DataError, match="expected finite values, found NaN or infinity"):
                read_volume(put(tmp_path / name, values))
        assert np.array_equal(read_volume(put(tmp_path / "a.nrrd", values)).values, values, equal_nan=True)

    def test_a_dicom_series_is_in_the_order_of_its_slices_and_in_hounsfield_units(self, tmp_path):
        values = values_of("int16")
        folder = put_series(tmp_path / "1.2.840", values, direction=oblique())
        (folder / "notes.txt").write_text("not a slice")
        volume = read_volume(folder)
        assert np.array_equal(volume.values, values)
        assert volume.values.min() == -1024
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
        image = sitk.ReadImage(files)
        assert volume.grid.size == image.GetSize()
        for ours, theirs in ((volume.grid.spacing, image.GetSpacing()), (volume.grid.origin, image.GetOrigin())):
            assert ours == pytest.approx(theirs, abs=1e-9)
        assert volume.grid.direction == pytest.approx(oblique(), abs=1e-9)
        assert read_header(folder).dtype == volume.values.dtype


class TestErrors:
    def fails(self, path, *parts):
        for read in (read_volume, read_grid):
            with pytest.raises(DataError) as caught:
                read(path)
            assert all(part in str(caught.value) for part in (str(path), *parts)), str(caught.value)
            assert "\n" not in str(caught.value)

    def test_nothing_and_an_unknown_suffix(self, tmp_path):
        self.fails(tmp_path / "none.nii.gz", "found nothing")
        (tmp_path / "a.png").write_bytes(b"")
        self.fails(tmp_path / "a.png", "a suffix of .nii.gz, .nii, .nrrd, .mha, .mhd", "found '.png'")

    @pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
    def test_text(self, tmp_path, ending):
        (tmp_path / f"a{ending}").write_text("this is no volume")
        self.fails(tmp_path / f"a{ending}", "a whole NIfTI", "Unable to determine ImageIO reader")

    @pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
    @pytest.mark.parametrize("shape", [(20, 30), (1, 20, 30), (20, 30, 1), (3, 4, 20, 30)])
    def test_what_is_not_three_axes_of_several_voxels(self, tmp_path, ending, shape):
        path = tmp_path / f"a{ending}"
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros(shape, np.int16), isVector=False), str(path))
        found = " x ".join(map(str, shape[::-1]))
        self.fails(path, "expected a volume: three axes of two voxels or more", f"found {found}")

    @pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
    @pytest.mark.parametrize("values", [np.zeros((4, 5, 6, 3), np.float32), np.zeros((4, 5, 6), np.complex64)])
    def test_several_numbers_per_voxel(self, tmp_path, ending, values):
        path = tmp_path / f"a{ending}"
        sitk.WriteImage(sitk.GetImageFromArray(values, isVector=values.ndim == 4), str(path))
        self.fails(path, "one real number per voxel", "32-bit float")

    def test_a_folder_without_a_series(self, tmp_path, capfd):
        (tmp_path / "notes.txt").write_text("")
        self.fails(tmp_path, "expected one DICOM series, found none; there is: notes.txt")
        assert capfd.readouterr() == ("", "")

    def test_two_series_in_a_folder(self, tmp_path):
        for uid in ("1.2.3", "1.2.4"):
            put_series(tmp_path / "ct", values_of("int16"), uid=uid)
        self.fails(tmp_path / "ct", "expected one DICOM series, found 2: 1.2.3, 1.2.4")

    def test_a_series_of_one_slice(self, tmp_path):
        self.fails(put_series(tmp_path / "ct", values_of("int16")[:1]), "two voxels or more", "found 9 x 7 x 1")

    def test_a_missing_slice(self, tmp_path, capfd):
        folder = put_series(tmp_path / "ct", values_of("int16"), leave_out=[2])
        self.fails(folder, "5 slices at equal distances along their normal", "found 5 to 10 mm between them")
        assert capfd.readouterr() == ("", "")

    def test_a_tilted_gantry(self, tmp_path):
        self.fails(
            put_series(tmp_path / "ct", values_of("int16"), shift_mm=1.0),
            "along their normal",
            "1.2.3_001.dcm 5.02 mm off",
        )

    def test_a_slice_that_is_cut_off_is_not_left_out(self, tmp_path):
        folder = put_series(tmp_path / "ct", values_of("int16"))
        last = folder / "1.2.3_001.dcm"
        last.write_bytes(last.read_bytes()[:300])
        with pytest.raises(DataError, match=r"1.2.3_001.dcm: expected a slice of the series 1.2.3, found a DICOM file"):
            read_volume(folder)


class TestWhole:
    """SimpleITK reads most of these without an error; what is missing is zeros, or whatever the decoder made of it."""

    @pytest.fixture
    def noise(self):
        return (values_of("int16", (40, 100, 100)).astype(np.int64) ** 2 % 9973).astype(np.int16)

    def packed(self, folder, kind, noise):
        path = put(folder / f"a{kind.removeprefix('raw')}", noise)
        if kind == "raw.nrrd":
            sitk.WriteImage(sitk.ReadImage(str(path)), str(path), False)
        return path

    @pytest.mark.parametrize("kind", [".nii", ".nii.gz", ".nrrd", "raw.nrrd", ".mha"])
    @pytest.mark.parametrize("share", [0.99, 0.5, 0.2])
    def test_a_file_that_is_cut_off(self, tmp_path, kind, share, noise):
        path = self.packed(tmp_path, kind, noise)
        content = path.read_bytes()
        assert np.array_equal(read_volume(path).values, noise)
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DataError, match="a whole") as caught:
            read_volume(path)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("kind", [".nii.gz", ".nrrd", ".mha"])
    def test_a_compressed_file_that_is_damaged(self, tmp_path, kind, noise):
        path = self.packed(tmp_path, kind, noise)
        content = bytearray(path.read_bytes())
        at = len(content) * 9 // 10
        content[at : at + 20] = b"\xff" * 20
        path.write_bytes(content)
        with pytest.raises(DataError, match="a whole file, found"):
            read_volume(path)

    def test_the_voxels_beside_a_header(self, tmp_path, noise):
        path = put(tmp_path / "a.mhd", noise)
        assert np.array_equal(read_volume(path).values, noise)
        voxels = tmp_path / "a.zraw"
        voxels.write_bytes(voxels.read_bytes()[:5000])
        with pytest.raises(DataError, match="a whole file"):
            read_volume(path)
        voxels.unlink()
        with pytest.raises(DataError, match=r"a.mhd: expected a whole"):
            read_volume(path)

    def test_a_whole_stream_with_too_few_voxels(self, tmp_path, noise):
        path = put(tmp_path / "a.nii.gz", noise)
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1]))
        with pytest.raises(DataError, match=r"whole file of 800352 bytes when decompressed, found 800351"):
            read_volume(path)

    def test_several_streams_one_after_the_other_are_whole(self, tmp_path, noise):
        path = put(tmp_path / "a.nii.gz", noise)
        content = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(content[:999]) + gzip.compress(content[999:]) + bytes(512))
        assert np.array_equal(read_volume(path).values, noise)

    def test_a_plain_file_called_gz_is_taken(self, tmp_path, noise):
        path = put(tmp_path / "a.nii", noise).rename(tmp_path / "a.nii.gz")
        assert np.array_equal(read_volume(path).values, noise)


class TestWriting:
    @pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
    @pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", "uint16", "int32", "float64"])
    @pytest.mark.parametrize("direction", [STRAIGHT, SLICES_FIRST, oblique(), oblique(-2.9, 1.1)])
    def test_comes_out_as_it_went_in_bit_for_bit(self, tmp_path, ending, dtype, direction):
        first = put(tmp_path / f"a{ending}", values_of(dtype), spacing=(0.7, 0.7, 5.0), direction=direction)
        volume = read_volume(first)
        second = tmp_path / "new" / f"b{ending}"
        write_volume(second, volume, like=first)
        again = read_volume(second)
        assert again.grid == volume.grid
        assert again.values.dtype == dtype
        assert again.values.tobytes() == values_of(dtype).tobytes()
        assert files_in(second.parent) == [second.name]

    @pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
    @pytest.mark.parametrize("direction", [STRAIGHT, SLICES_FIRST, oblique()])
    def test_without_the_first_file_only_the_last_digits_of_an_oblique_direction_move(
        self, tmp_path, ending, direction
    ):
        volume = read_volume(put(tmp_path / f"a{ending}", values_of("int16"), direction=direction))
        write_volume(tmp_path / f"b{ending}", volume)
        again = read_volume(tmp_path / f"b{ending}")
        assert np.array_equal(again.values, volume.values)
        if direction == oblique():
            assert same_grid(again.grid, volume.grid)
            assert np.allclose(again.grid.direction, volume.grid.direction, rtol=0, atol=1e-7)  # float32
            assert np.allclose(again.grid.spacing, volume.grid.spacing, rtol=1e-15, atol=0)
        else:
            assert again.grid == volume.grid

    def test_geometry_of_a_big_endian_file_in_microns_is_kept(self, tmp_path):
        path = put(tmp_path / "a.nii", values_of("uint8"), direction=oblique())
        head = np.frombuffer(path.read_bytes(), np.uint8).copy()
        swap = {2: [*range(40, 56), *range(70, 74), *range(252, 256)], 4: [0, *range(76, 112), *range(256, 328)]}
        for width, places in swap.items():
            for at in (p for p in places if (p - places[0 if width == 2 else 1]) % width == 0 or p == 0):
                head[at : at + width] = head[at : at + width][::-1]
        head[123] = 3  # microns
        path.write_bytes(head.tobytes())
        volume = read_volume(path)
        assert volume.grid.spacing[2] == pytest.approx(0.005)
        write_volume(tmp_path / "b.nii.gz", volume, like=path)
        assert read_grid(tmp_path / "b.nii.gz") == volume.grid

    def test_a_file_on_another_grid_or_of_another_format_lends_nothing(self, tmp_path):
        grid = read_grid(put(tmp_path / "a.nii", values_of("uint8"), direction=oblique()))
        moved = grid._replace(origin=(0.0, 0.0, 0.0))
        for like, new in (("a.nii", moved), ("c.nrrd", grid)):
            if like == "c.nrrd":
                put(tmp_path / like, values_of("uint8"), origin=grid.origin, direction=oblique())
            write_volume(tmp_path / "b.nii", Volume(values_of("uint8"), new), like=tmp_path / like)
            assert same_grid(read_grid(tmp_path / "b.nii"), new)

    def test_the_same_volume_gives_the_same_bytes(self, tmp_path):
        volume = read_volume(put(tmp_path / "a.nii.gz", values_of("int16")))
        for name in ("b.nii.gz", "other.nii.gz"):
            write_volume(tmp_path / name, volume)
        content = (tmp_path / "b.nii.gz").read_bytes()
        assert content == (tmp_path / "other.nii.gz").read_bytes()
        assert content[3:8] == bytes(5)  # neither a name nor a time

    def test_views_and_foreign_byte_orders(self, tmp_path):
        grid = read_grid(put(tmp_path / "a.nii", values_of("int16")))
        for values in (values_of("int16")[:, ::-1], values_of("int16").astype(">i2")):
            write_volume(tmp_path / "b.nrrd", Volume(values, grid))
            again = read_volume(tmp_path / "b.nrrd").values
            assert np.array_equal(again, values)
            assert again.dtype == np.int16

    @pytest.mark.parametrize(
        ("name", "values", "expected"),
        [
            ("a.png", np.zeros(SHAPE, np.uint8), "a suffix of .nii.gz, .nii, .nrrd, .mha, found '.png'"),
            ("a.mhd", np.zeros(SHAPE, np.uint8), "a suffix of"),
            ("a.nii", np.zeros(SHAPE, bool), "integers or floats of 8 to 64 bits, found bool"),
            ("a.nii", np.zeros(SHAPE, np.float16), "found float16"),
            ("a.nii", np.zeros((3, 4, 5), np.uint8), r"on a grid of its shape, found \(3, 4, 5\) on 9 x 7 x 6 voxels"),
        ],
    )
    def test_what_cannot_be_written(self, tmp_path, name, values, expected):
        grid = read_grid(put(tmp_path / "in" / "like.nii", values_of("uint8")))
        with pytest.raises(DataError, match=expected):
            write_volume(tmp_path / "out" / name, Volume(values, grid))
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
    def test_on_a_full_disk_the_old_file_stays_and_nothing_else(self, tmp_path, ending):
        noise = (np.arange(200_000) ** 2 % 65521).astype(np.uint16).reshape(20, 100, 100)
        path = put(tmp_path / f"a{ending}", values_of("uint8"))
        before = path.read_bytes()
        volume = Volume(noise, read_grid(path)._replace(size=(100, 100, 20)))
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))  # bytes; more than the packed noise has
        try:
            with pytest.raises(DataError, match=f"a{ending}: expected"):
                write_volume(path, volume)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert path.read_bytes() == before
        assert files_in(tmp_path) == [path.name]
        write_volume(path, volume)
        assert np.array_equal(read_volume(path).values, noise)

    def test_a_place_that_is_a_file(self, tmp_path):
        volume = read_volume(put(tmp_path / "a.nii", values_of("uint8")))
        with pytest.raises(DataError, match="a file that can be written"):
            write_volume(tmp_path / "a.nii" / "b.nii", volume)


class TestGrid:
    GRID = Grid((512, 400, 60), (0.7, 0.7, 5.0), (-180.0, 90.0, 1000.0), oblique())

    def test_a_grid_that_went_through_float32_or_six_digits_is_the_same(self):
        six = [tuple(float(f"{number:.6g}") for number in part) for part in self.GRID[1:]]
        single = [tuple(float(np.float32(number)) for number in part) for part in self.GRID[1:]]
        for parts in (six, single):
            other = Grid(self.GRID.size, *parts)
            assert other != self.GRID
            assert same_grid(self.GRID, other)

    @pytest.mark.parametrize(
        "change",
        [
            {"size": (512, 400, 61)},
            {"origin": (-180.0, 90.0, 1000.1)},
            {"spacing": (0.7, 0.7, 5.001)},
            {"direction": oblique(0.3, 0.701)},
            {"direction": oblique(0.3, 0.7 + math.pi)},
        ],
    )
    def test_any_other_difference_counts(self, change):
        assert same_grid(self.GRID, self.GRID)
        assert not same_grid(self.GRID, self.GRID._replace(**change))

    def test_the_error_has_both_grids_in_readable_form(self, tmp_path):
        other = self.GRID._replace(spacing=(0.7, 0.7, 5.5), direction=STRAIGHT)
        with pytest.raises(DataError) as caught:
            check_same_grid(tmp_path / "mask.nii", other, tmp_path / "image.nii", self.GRID)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / 'mask.nii'}: expected the grid of image.nii, 512 x 400 x 60 voxels of ")
        assert "0.7 x 0.7 x 5 mm, origin (-180, 90, 1000), direction (0.7648422, -0.6442177, 0; " in message
        assert message.endswith("0.7 x 0.7 x 5.5 mm, origin (-180, 90, 1000), direction (1, 0, 0; 0, 1, 0; 0, 0, 1)")


class TestWithoutSimpleItk:
    def test_data_of_images_needs_none(self, root):
        code = "import sys, softcp_gpu.data; print('SimpleITK' in sys.modules)"
        ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
        assert ran.stdout == "False\n"

    def test_its_absence_is_one_line_that_says_what_to_install(self, monkeypatch, tmp_path):
        path = put(tmp_path / "a.nii", values_of("uint8"))
        monkeypatch.setitem(sys.modules, "SimpleITK", None)
        with pytest.raises(DataError, match=r"a.nii: expected SimpleITK .*pip install 'softcp-gpu\[volumes\]'"):
            read_volume(path)
