"""The lesion bank: what it holds, whom it draws, and what it gives."""

import copy
import pickle
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from softcp_gpu.functional.bank import addresses, size_groups
from softcp_gpu.modules.bank import LesionBank
from softcp_gpu.sampling import sample_seeds
from softcp_gpu.types import LesionCrop

COUNT = 6000
LIKELY = 1e-4  # p-values of fixed draws, as in test_draws.py
SEEDS = sample_seeds(5, torch.arange(COUNT))


def crop(size=(6, 7), volume=4, *, case="a", patient=None, label=1, channels=1, spacing=None, other=None, **fields):
    """A lesion of `volume` pixels, its class the first half of them and `other` the second."""
    values = torch.arange(channels * torch.Size(size).numel(), dtype=torch.float32).view(channels, *size) + label * 1000
    labels = torch.zeros(1, *size, dtype=torch.int32)
    labels.view(-1)[:volume] = label
    if other is not None:
        labels.view(-1)[volume // 2 : volume] = other
    limits = torch.tensor([[-10.0 * label, 5000.0 * label]] * channels, dtype=torch.float64)
    given = LesionCrop(values, labels, limits, (3,) * len(size), spacing, case, patient)
    return given._replace(**fields)


@pytest.fixture
def bank():
    """Six lesions: three of one patient, one of another, two without."""
    return LesionBank(
        [
            crop((6, 7), 4, case="a", patient="p"),
            crop((9, 3), 9, case="b", patient="p", label=2),
            crop((5, 5), 1, case="b", patient="p", label=2),
            crop((4, 8), 16, case="c", patient="q", label=1, other=2),
            crop((3, 3), 2, case="d"),
            crop((3, 3), 3, case="d", label=300),
        ]
    )


def same(one, two):
    assert one._replace(image=0, labels=0, value_range=0) == two._replace(image=0, labels=0, value_range=0)
    assert torch.equal(one.image, two.image.to(one.image.dtype))
    assert torch.equal(one.labels.long(), two.labels.long())
    assert torch.equal(one.value_range, two.value_range)


class TestWhatItHolds:
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize(
        ("sizes", "spacing"), [([(4, 5), (7, 2)], None), ([(2, 3, 4), (3, 2, 5)], (5.0, 0.6, 0.6))]
    )
    def test_a_lesion_comes_out_as_it_went_in(self, channels, sizes, spacing):
        crops = [crop(size, case=str(size), channels=channels, spacing=spacing) for size in sizes]
        bank = LesionBank(crops)
        assert len(bank) == len(crops)
        for inside, original in zip(bank, crops, strict=True):
            same(inside, original)

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int16, torch.float64, torch.float16])
    def test_every_type_becomes_float32(self, dtype):
        given = crop()
        given = given._replace(image=(given.image / 1000).to(dtype), value_range=torch.tensor([[0.0, 9.0]]).double())
        bank = LesionBank([given])
        assert bank.pixels.dtype == torch.float32
        assert torch.equal(bank[0].image, given.image.float())

    def test_labels_stay_integers_where_pixels_change_their_type(self, bank):
        ids = bank.labels.clone()
        halved = copy.deepcopy(bank).half()
        assert (halved.pixels.dtype, halved.value_range.dtype) == (torch.float16, torch.float16)
        assert torch.equal(halved.labels, ids)
        assert int(halved.take(torch.tensor([5])).mask.max()) == 300  # as a tensor, 300 could wrap around and be 44
        part = halved.subset(patients=["q"])
        assert part.pixels.dtype == torch.float16

    def test_it_is_no_part_of_a_checkpoint(self, bank):
        assert bank.state_dict() == {}

    @pytest.mark.parametrize("again", [copy.deepcopy, lambda bank: pickle.loads(pickle.dumps(bank))])
    def test_a_copy_draws_and_gives_the_same(self, bank, again):
        other = again(bank)
        assert other.pixels.data_ptr() != bank.pixels.data_ptr()
        assert torch.equal(other(SEEDS[:20]).image, bank(SEEDS[:20]).image)

    def test_its_repr_says_what_is_in_it(self, bank):
        counts, sizes = "lesions=6, patients=3, classes=(1, 2, 300)", "size_px=(1, 16), size_mm3=None"
        assert repr(bank) == f"LesionBank({counts}, {sizes}, channels=1, axes=2, by='lesion')"
        assert "size_mm3=(16.0, 36.0)" in repr(LesionBank([crop(spacing=(2.0, 2.0)), crop(spacing=(3.0, 3.0))]))


class TestDraws:
    @pytest.mark.parametrize("batch", [1, 3, 16])
    @pytest.mark.parametrize("by", ["lesion", "patient", "class", "size"])
    def test_a_lesion_follows_from_its_seed_alone(self, bank, by, batch):
        whole = bank.draw(SEEDS[:48], by)
        parts = [bank.draw(part, by) for part in SEEDS[:48].split(batch)]
        assert torch.equal(torch.cat(parts), whole)
        assert len(set(whole.tolist())) > 2

    def expected(self, bank, groups):
        """The share of each lesion: a group uniformly, then one of its lesions."""
        shares = [0.0] * len(bank)
        for group in groups:
            for row in group:
                shares[row] += 1 / len(groups) / len(group)
        return shares

    @pytest.mark.parametrize(
        ("by", "groups"),
        [
            ("lesion", [[0, 1, 2, 3, 4, 5]]),
            ("patient", [[0, 1, 2], [3], [4, 5]]),
            ("class", [[0, 3, 4], [1, 2, 3], [5]]),
            ("size", [[2, 4], [5], [0], [1, 3]]),
        ],
    )
    def test_draws_are_uniform_by_their_rule(self, bank, by, groups):
        seen = Counter(bank.draw(SEEDS, by).tolist())
        expected = [share * COUNT for share in self.expected(bank, groups)]
        assert stats.chisquare([seen[row] for row in range(len(bank))], expected).pvalue > LIKELY

    def test_the_constructor_says_how_to_draw(self, bank):
        by_patient = LesionBank(list(bank), by="patient")
        assert torch.equal(by_patient.draw(SEEDS), bank.draw(SEEDS, "patient"))
        assert not torch.equal(by_patient.draw(SEEDS), bank.draw(SEEDS))
        assert by_patient.subset(patients=["p"]).by == "patient"

    def test_the_bits_of_a_draw_are_pinned(self, bank):
        assert bank.draw(sample_seeds(0, torch.arange(12)), "class").tolist() == [4, 5, 1, 2, 2, 5, 3, 4, 3, 3, 0, 5]

    @given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.randoms(use_true_random=False))
    def test_size_groups_are_ranges_of_volume_and_hold_a_quarter_where_volumes_differ(self, volumes, random):
        groups = size_groups(volumes)
        pairs = sorted(zip(volumes, groups, strict=True))
        assert [group for _, group in pairs] == sorted(groups)  # larger ones are in no lower group
        assert len(set(pairs)) == len(set(volumes))  # equal ones are together
        order = random.sample(range(len(volumes)), len(volumes))
        assert size_groups([volumes[i] for i in order]) == [groups[i] for i in order]
        assert size_groups([v**3 * 0.01 for v in volumes]) == groups  # whatever the unit
        if len(set(volumes)) == len(volumes):
            counts = [groups.count(group) for group in range(4)]
            assert max(counts) - min(counts) <= 1

    def test_a_volume_at_an_edge_is_in_the_lower_group(self):
        assert size_groups([1, 2, 3, 4, 5]) == [0, 0, 1, 2, 3]

    def test_volumes_are_compared_in_mm3_where_spacing_is_known(self):
        rows, size = LesionBank([crop(spacing=(0.1, 0.1)), crop(spacing=(1.0, 1.0))]).groups["size"]
        assert (rows.tolist(), size.tolist()) == ([0, 1], [1, 1])  # of one volume in pixels
        assert LesionBank([crop(), crop()]).groups["size"][1].tolist() == [2]


class TestBatches:
    @pytest.mark.parametrize("channels", [1, 2])
    @pytest.mark.parametrize("spacing", [None, (4.0, 1.0, 0.5)])
    def test_each_lesion_is_in_the_first_corner_with_its_border_repeated(self, channels, spacing):
        crops = [
            crop(size, case=str(i), channels=channels, spacing=spacing, label=i + 1)
            for i, size in enumerate([(2, 5, 3), (4, 1, 6), (3, 3, 3)])
        ]
        rows = [2, 0, 1, 1]
        out = LesionBank(crops).take(torch.tensor(rows))
        assert out.image.shape == (4, channels, 4, 5, 6)
        for i, row in enumerate(rows):
            given, size = crops[row], crops[row].image.shape[1:]
            index = [torch.arange(length).clamp(max=own - 1) for length, own in zip((4, 5, 6), size, strict=True)]
            assert torch.equal(out.image[i], given.image[:, index[0]][:, :, index[1]][:, :, :, index[2]])
            assert torch.equal(out.mask[i][tuple(slice(own) for own in (1, *size))].int(), given.labels)
            assert out.mask[i].count_nonzero() == given.volume_px
            assert torch.equal(out.value_range[i].double(), given.value_range)
        assert out.spacing is None if spacing is None else out.spacing.tolist() == [list(spacing)] * 4

    def test_spacing_is_each_lesions_own(self):
        bank = LesionBank([crop(spacing=(1.0, 2.0)), crop(spacing=(0.7, 0.1))])
        spacing = bank.half().take(torch.tensor([1, 0])).spacing
        assert spacing.dtype == torch.float64
        assert spacing.tolist() == [[0.7, 0.1], [1.0, 2.0]]

    def test_a_frame_is_that_of_the_largest_lesion_whichever_are_drawn(self, bank):
        assert {bank.take(torch.tensor([row])).image.shape for row in range(6)} == {(1, 1, 9, 8)}

    def test_a_frame_may_be_given_and_holds_what_is_drawn(self, bank):
        rows = torch.tensor([0, 2])
        for shape in ((6, 7), (20, 11)):
            given_frame = bank.take(rows, shape=shape)
            assert given_frame.image.shape == (2, 1, *shape)
            assert torch.equal(given_frame.image[..., :6, :7], bank.take(rows).image[..., :6, :7])
        for shape in ((6, 6), (20,), (20, 11, 3)):
            with pytest.raises(ValueError, match=r"shape: expected at least \(6, 7\)"):
                bank.take(rows, shape=shape)

    @pytest.mark.parametrize(("shape", "frame"), [(None, (9, 8)), ((2, 3), (2, 3))])
    def test_an_empty_batch_is_a_batch(self, bank, shape, frame):
        out = bank.take(bank.draw(SEEDS[:0]), shape=shape)
        assert (out.image.shape, out.mask.shape, out.value_range.shape) == ((0, 1, *frame), (0, 1, *frame), (0, 1, 2))

    @pytest.mark.parametrize("size", [(3, 4), (2, 3, 2)])
    def test_addresses_inside_are_the_pixels_in_their_order(self, size):
        address, inside = addresses(torch.tensor([100]), torch.tensor([size]), tuple(length + 2 for length in size))
        assert address[inside].tolist() == list(range(100, 100 + torch.Size(size).numel()))

    @pytest.mark.gpu
    def test_nothing_waits_for_the_device(self, bank):
        there = copy.deepcopy(bank).cuda()
        there(SEEDS[:4])
        torch.cuda.set_sync_debug_mode("error")
        try:
            out = there(SEEDS[:4])
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert torch.equal(out.image.cpu(), bank(SEEDS[:4]).image)
        assert torch.equal(out.mask.cpu(), bank(SEEDS[:4]).mask)


class TestSubsets:
    def rows(self, bank, **conditions):
        kept = bank.subset(**conditions)
        return [next(i for i, given in enumerate(bank) if torch.equal(given.labels, inside.labels)) for inside in kept]

    @pytest.mark.parametrize(
        ("conditions", "rows"),
        [
            ({}, [0, 1, 2, 3, 4, 5]),
            ({"patients": ["p"]}, [0, 1, 2]),
            ({"patients": ["q", "d"]}, [3, 4, 5]),
            ({"without_patients": {"p", "a stranger"}}, [3, 4, 5]),
            ({"without_patients": ["a", "d"]}, [0, 1, 2, 3]),  # a is a case whose patient is known
            ({"classes": [2]}, [1, 2, 3]),
            ({"classes": (1, 300)}, [0, 3, 4, 5]),
            ({"size_px": (2, 4)}, [0, 4, 5]),
            ({"size_px": (9, float("inf")), "patients": ["p"]}, [1]),
        ],
    )
    def test_a_subset_holds_what_meets_all_conditions(self, bank, conditions, rows):
        assert self.rows(bank, **conditions) == rows

    def test_a_subset_is_a_bank_of_its_own(self, bank):
        kept = bank.subset(patients=["q"])
        assert kept.pixels.shape == (32, 1)
        assert kept.classes == (1, 2)
        same(kept[0], bank[3])
        kept.pixels.zero_()
        assert bank[3].image.any()

    def test_sizes_in_mm3_ask_for_spacing(self, bank):
        known = LesionBank([crop(volume=4, spacing=(0.5, 1.0)), crop(volume=9, spacing=(2.0, 2.0))])
        assert [entry.volume_mm3 for entry in known.subset(size_mm3=(2, 2)).entries] == [2.0]
        with pytest.raises(ValueError, match="size_mm3: expected None for lesions without spacing"):
            bank.subset(size_mm3=(0, 9))

    @pytest.mark.parametrize(
        ("conditions", "message"),
        [
            ({"size_px": (50, 60)}, "subset: expected at least one lesion, found none of 6"),
            ({"classes": [3]}, "subset: expected at least one lesion"),
            ({"patients": ["p", "x", "r"]}, r"patients: expected patients of the bank, found \['r', 'x'\]"),
            ({"patients": "p"}, "patients: expected a collection, found 'p'"),
            ({"without_patients": "p"}, "without_patients: expected a collection, found 'p'"),
            ({"classes": 1}, "classes: expected a collection, found 1"),
            ({"size_px": (4, 2)}, r"size_px: expected a pair \(least, largest\)"),
            ({"size_px": 4}, r"size_px: expected a pair \(least, largest\)"),
        ],
    )
    def test_what_cannot_be_met_is_said(self, bank, conditions, message):
        with pytest.raises(ValueError, match=message):
            bank.subset(**conditions)


BROKEN = [
    ({"image": torch.zeros(6, 7)}, "image: expected numbers"),
    ({"image": torch.zeros(1, 6, 7, dtype=torch.bool)}, "image: expected numbers"),
    ({"image": torch.full((1, 6, 7), float("nan"))}, "image: expected finite values"),
    ({"image": torch.full((1, 6, 7), 6000.0)}, "value_range: expected finite numbers, the crop's values between them"),
    ({"labels": torch.ones(1, 6, 8, dtype=torch.int64)}, r"labels: expected integers \(1, 6, 7\)"),
    ({"labels": torch.ones(1, 6, 7)}, r"labels: expected integers \(1, 6, 7\)"),
    ({"labels": torch.zeros(1, 6, 7, dtype=torch.uint8)}, "found 0 to 0"),
    ({"labels": torch.full((1, 6, 7), -1)}, "found -1 to -1"),
    ({"labels": torch.arange(-1, 41).view(1, 6, 7)}, "found -1 to 40"),
    ({"labels": torch.full((1, 6, 7), 1 << 31)}, "found 2147483648"),
    ({"value_range": torch.zeros(2, 2)}, r"value_range: expected shape \(1, 2\)"),
    ({"value_range": torch.tensor([[0.0, torch.inf]])}, "value_range: expected finite"),
    ({"start_px": (1, 2, 3)}, "start_px: expected 2 whole numbers"),
    ({"start_px": (1, -2)}, "start_px: expected 2 whole numbers"),
    ({"spacing_mm": (1.0,)}, "spacing_mm: expected 2 numbers above 0"),
    ({"spacing_mm": (1.0, 0.0)}, "spacing_mm: expected 2 numbers above 0"),
    ({"patient": 7}, "case, patient: expected a string"),
    ({"case": "b", "spacing_mm": (1.0, 1.0)}, r"expected 1 channel\(s\), 2 axes, no spacing"),
]


class TestErrors:
    @pytest.mark.parametrize(("fields", "message"), BROKEN)
    def test_a_broken_lesion_is_named(self, fields, message):
        good, bad = crop(), crop(**{"case": "second", **fields})
        with pytest.raises(ValueError, match=message) as caught:
            LesionBank([good, bad])
        assert str(caught.value).startswith(f"lesions[1] (case {bad.case})")

    def test_lesions_of_two_kinds_do_not_mix(self):
        for other in (crop((2, 2, 2)), crop(channels=2)):
            with pytest.raises(ValueError, match=r"lesions\[1\] \(case a\): expected 1 channel\(s\), 2 axes"):
                LesionBank([crop(), other])

    @pytest.mark.parametrize("lesions", [[], [1]])
    def test_a_bank_is_made_of_lesions(self, lesions):
        with pytest.raises(ValueError, match="lesions"):
            LesionBank(lesions)

    def test_values_beyond_float32_are_refused(self):
        image = torch.full((1, 6, 7), 1e300, dtype=torch.float64)
        with pytest.raises(ValueError, match="lesions: expected values that float32 can hold"):
            LesionBank([crop(image=image, value_range=torch.tensor([[0, 2e300]], dtype=torch.float64))])

    def test_an_unknown_way_to_draw_is_refused(self, bank):
        for ask in (lambda: LesionBank([crop()], by="chance"), lambda: bank.draw(SEEDS, "chance")):
            with pytest.raises(ValueError, match="by: expected one of 'lesion', 'patient', 'class', 'size'"):
                ask()

    @pytest.mark.parametrize("rows", [torch.tensor([6]), torch.tensor([-1])])
    def test_rows_lie_in_the_bank(self, bank, rows):
        with pytest.raises(ValueError, match="rows: expected 0 to 5"):
            bank.take(rows)

    @pytest.mark.parametrize("value", [[0], torch.tensor([0.0]), torch.tensor(0), torch.zeros(1, 1, dtype=torch.int64)])
    def test_rows_and_seeds_are_whole_numbers_in_a_line(self, bank, value):
        for name, ask in (("rows", bank.take), ("seed", bank.draw)):
            with pytest.raises(ValueError, match=rf"{name}: expected an int64 tensor \(B,\) on the CPU"):
                ask(value)
