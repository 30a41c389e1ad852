import numpy as np
import pytest

from softcp_gpu.data import find_layout, oriented_like, read_grid, read_volume, write_volume
from softcp_gpu.data.volume_io import Volume, read_header
from tests.data.volumes import STRAIGHT

pytest.importorskip("SimpleITK")
pytestmark = pytest.mark.real_data


def listed(root, folder):
    path = root / folder
    if not path.is_dir():
        pytest.skip(f"no real data: {path} is no folder")
    layout = find_layout(path)
    cases, problems = layout.cases(path)
    return layout, cases, problems


def check_saved(layout, case, out):
    """A new case that changes nothing has the voxels, types and grids of the old one, bit for bit."""
    sample = layout.load(case)
    paths = layout.save(out, "synth_1", case, sample.image, sample.labels)
    files = [case.image, *case.channels, *filter(None, [case.region]), *case.masks]
    for new, old in zip(paths, files, strict=True):
        assert read_header(new) == read_header(old)
        assert np.array_equal(read_volume(new).values, read_volume(old).values)
    [again], problems = layout.cases(out)
    assert problems == []
    assert again.synthetic
    assert np.array_equal(layout.load(again).labels, sample.labels)


class TestKits19:
    def test_labels_without_images_are_told_from_cases(self, real_data):
        layout, cases, problems = listed(real_data, "kits19_labels_only")
        assert layout.name == "kits19"
        assert cases == []
        assert len(problems) == 3
        assert all("expected imaging.nii.gz" in problem.reason for problem in problems)

    @pytest.fixture
    def scans(self, real_data, tmp_path):
        """The label volumes beside made-up images."""
        for problem in listed(real_data, "kits19_labels_only")[2]:
            mask = read_volume(problem.path)
            folder = tmp_path / "kits" / problem.path.parent.name
            folder.mkdir(parents=True)
            (folder / "segmentation.nii.gz").symlink_to(problem.path)
            values = mask.values.astype(np.int16) * 90 - 1000
            write_volume(folder / "imaging.nii.gz", Volume(values, mask.grid), like=problem.path)
        return tmp_path / "kits"

    def test_slice_axis_first_and_spacing_are_as_in_the_file(self, scans):
        layout, cases, problems = listed(scans, ".")
        assert problems == []
        assert layout.check_headers(cases) == (cases, [])
        assert layout.absent_labels(cases) == []
        assert [case.id for case in cases] == ["case_00004", "case_00007", "case_00009"]
        sample = layout.load(cases[0])
        assert sample.image.shape == (512, 512, 64, 1)
        assert sample.grid.spacing_mm == (0.9765625, 0.9765625, 4.0)
        assert np.unique(sample.labels).tolist() == [0, 1, 2]
        assert np.array_equal(sample.lesion, sample.labels == 2)
        assert np.array_equal(sample.region, sample.labels > 0)

    def test_turned_to_axial_slices_the_tumour_is_where_it_was_in_the_body(self, scans):
        layout, cases, _ = listed(scans, ".")
        sample = layout.load(cases[0])
        axial = oriented_like(sample, sample.grid._replace(direction=STRAIGHT))
        assert axial.grid.spacing_mm == (4.0, 0.9765625, 0.9765625)
        places = []
        for turned in (sample, axial):
            index = np.argwhere(turned.lesion)[:, ::-1]
            places.append(np.sort(turned.grid.point_mm(index), axis=0))
        assert np.array_equal(*places)

    def test_a_saved_case_is_as_the_old_one(self, scans, tmp_path):
        layout, cases, _ = listed(scans, ".")
        check_saved(layout, cases[0], tmp_path / "out")


class TestBrats:
    def test_float_labels_channels_and_brain_mask(self, real_data, tmp_path):
        layout, cases, problems = listed(real_data, "brats2015_deepmedic")
        assert (layout.name, problems) == ("brats", [])
        assert [case.patient for case in cases] == ["brats_2013_pat0001", "brats_2013_pat0002"]
        assert layout.check_headers(cases) == (cases, [])
        sample = layout.load(cases[0])
        assert sample.image.shape == (155, 240, 240, 2)
        assert sample.image.dtype == np.float32
        assert sample.image.min() < 0
        assert (sample.labels.dtype, np.unique(sample.labels).tolist()) == (np.uint8, [0, 1, 2, 3, 4])
        assert np.array_equal(sample.lesion, sample.labels > 0)
        assert 0.1 < sample.region.mean() < 0.3
        assert read_header(cases[0].masks[0]).dtype == np.float32
        check_saved(layout, cases[0], tmp_path / "out")


class TestPyradiomics:
    def test_anisotropic_ct_and_mr_with_their_labels(self, real_data, tmp_path):
        layout, cases, problems = listed(real_data, "pyradiomics")
        assert (layout.name, problems) == ("volume_pairs", [])
        assert [case.id for case in cases] == ["brain1", "breast1", "lung1", "lung2"]
        assert layout.check_headers(cases) == (cases, [])
        for case in cases:
            sample = layout.load(case)
            assert sample.image.dtype == np.int16
            assert sample.lesion.any()
            assert sample.region is None
            check_saved(layout, case, tmp_path / case.id)
        lung = cases[2]
        assert read_grid(lung.image).spacing_mm == pytest.approx((5.0, 0.5703125, 0.5703125))
        assert read_volume(lung.image).values.min() == -1024
