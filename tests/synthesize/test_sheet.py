"""The contact sheet: a readable picture in which every panel shows something."""

from functools import partial

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from softcp_gpu.data import DataError, Sample
from softcp_gpu.synthesize.pair import Parents, paste_pairs
from softcp_gpu.synthesize.picture import pictures
from softcp_gpu.synthesize.run import make_augmentation
from softcp_gpu.synthesize.sample import Shown
from softcp_gpu.synthesize.sheet import TITLES, draw_sheet
from tests.synthesize import trees

GREY_8, COLOUR_8, GREY_16 = (1, np.uint8), (3, np.uint8), (1, np.uint16)


def case(i, shape=(64, 64), kind=COLOUR_8, region=False):
    lesion = trees.lesion(i, shape)
    return Sample(trees.picture(i, shape, *kind), lesion, trees.organ(shape) & ~lesion if region else None)


def pictures_of(samples):
    return [picture for sample in samples for picture in pictures(sample)]


def shown(number, background, source):
    region = None if background.region is None else background.region | background.lesion
    parents = Parents(background, source, region, number)
    [pasted] = paste_pairs(partial(make_augmentation, {}), [parents], torch.device("cpu"))
    return Shown(number, background, pasted)


def panels(path, rows):
    """The picture cut into its rows and columns, title and number aside."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    top = round(0.6 * 110)
    for row in np.array_split(picture[top:], rows):
        yield [panel[20:-5, 20:-5] for panel in np.array_split(row, len(TITLES), axis=1)]


def is_drawn(panel):
    """More than black and white: a share of its pixels lies between."""
    between = ((panel > 30) & (panel < 225)).any(axis=2)
    return between.mean() > 0.02


@pytest.mark.parametrize(("kind", "region"), [(GREY_8, True), (COLOUR_8, False), (GREY_16, True)])
def test_every_panel_of_every_row_shows_something(tmp_path, kind, region):
    samples = [shown(i, case(i, kind=kind, region=region), case(i + 1, kind=kind)) for i in range(2)]
    draw_sheet(tmp_path / "sheet.png", pictures_of(samples), "two")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.format == "PNG"
        assert 900 < picture.width < 2500
        assert 400 < picture.height < 2500
    for row in panels(tmp_path / "sheet.png", 2):
        assert [is_drawn(panel) for panel in row] == [True] * len(TITLES)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_background_and_result_differ_and_so_do_rows(tmp_path):
    samples = [shown(i, case(i), case(i + 1)) for i in range(2)]
    draw_sheet(tmp_path / "sheet.png", pictures_of(samples), "two")
    rows = list(panels(tmp_path / "sheet.png", 2))
    width = min(panel.shape[1] for row in rows for panel in row)
    height = min(panel.shape[0] for row in rows for panel in row)
    flat = [[panel[:height, :width] for panel in row] for row in rows]
    assert not np.array_equal(flat[0][0], flat[0][3])
    assert not np.array_equal(flat[0][0], flat[1][0])


def test_the_new_lesion_is_told_from_the_old_one(tmp_path):
    """Who judges a result has to know which lesion was pasted: its outline has a colour of its own."""
    background, source = case(0, kind=GREY_8), case(1, kind=GREY_8)
    draw_sheet(tmp_path / "sheet.png", pictures_of([shown(0, background, source)]), "one")
    [row] = panels(tmp_path / "sheet.png", 1)
    result = row[3].reshape(-1, 3)
    colours = result[np.ptp(result, axis=1) > 60]  # a grey image: what has a colour was drawn on it
    hues = np.round(matplotlib.colors.rgb_to_hsv(colours / 255)[:, 0] * 12) % 12
    assert len([hue for hue in np.unique(hues) if (hues == hue).sum() > 10]) >= 2


def test_large_and_odd_shapes(tmp_path):
    samples = [shown(0, case(0, (40, 160)), case(1, (160, 40))), shown(1, case(2, (500, 300)), case(3))]
    draw_sheet(tmp_path / "sheet.png", pictures_of(samples), "odd")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.width * picture.height < 4_000_000


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (2, 2), (1, 1)])
def test_the_smallest_images(tmp_path, shape):
    background = Sample(np.full((*shape, 1), 90, np.uint8), np.zeros(shape, bool))
    source = Sample(np.full((*shape, 1), 200, np.uint8), np.zeros(shape, bool))
    background.lesion.flat[0] = source.lesion.flat[-1] = True
    draw_sheet(tmp_path / "sheet.png", pictures_of([shown(0, background, source)]), "small")
    assert (tmp_path / "sheet.png").is_file()


def test_even_images_and_full_masks(tmp_path):
    background = Sample(np.zeros((32, 32, 1), np.uint8), np.zeros((32, 32), bool))
    source = Sample(np.zeros((32, 32, 1), np.uint8), np.ones((32, 32), bool))
    draw_sheet(tmp_path / "sheet.png", pictures_of([shown(0, background, source)]), "even")
    assert (tmp_path / "sheet.png").is_file()


def test_a_sheet_without_a_sample(tmp_path):
    draw_sheet(tmp_path / "none.png", [], "none")
    assert (tmp_path / "none.png").is_file()


def test_the_same_samples_make_the_same_bytes_whatever_the_reader_has_set(tmp_path):
    samples = [shown(0, case(0), case(1))]
    draw_sheet(tmp_path / "a.png", pictures_of(samples), "one")
    with matplotlib.rc_context({"savefig.facecolor": "red", "image.origin": "lower", "font.size": 20}):
        draw_sheet(tmp_path / "b.png", pictures_of(samples), "one")
        assert matplotlib.rcParams["font.size"] == 20
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="file"):
        draw_sheet(tmp_path / "file" / "sheet.png", pictures_of([shown(0, case(0), case(1))]), "one")
    assert (tmp_path / "file").read_text() == "mine"
