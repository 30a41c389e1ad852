import io
from functools import cache
from itertools import combinations, product

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from softcp_gpu.data import find_layout, make_split, read_image
from softcp_gpu.synthesize.duplicates import NEAR, Fingerprint, NearDuplicate, fingerprint, near_duplicates


def texture(seed, shape=(300, 400), channels=3):
    """Smooth noise, uint8."""
    noise = np.random.default_rng(seed).normal(size=(*shape, channels))
    smooth = gaussian_filter(noise, [*(length / 25 for length in shape), 0])
    return ((smooth - smooth.min()) / np.ptp(smooth) * 200).round().astype(np.uint8)


def jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(image, width, height):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def bits(phash):
    return np.unpackbits(np.frombuffer(bytes.fromhex(phash), np.uint8))


def distance(one, two):
    return int((bits(fingerprint(one)) != bits(fingerprint(two))).sum())


SAME = {
    "compressed": lambda image: jpeg(image, 40),
    "smaller": lambda image: resized(image, 200, 150),
    "of another shape": lambda image: resized(image, 352, 352),
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "brighter": lambda image: image + 50,
    "of 16 bits": lambda image: image.astype(np.uint16) * 257,
    "in other units": lambda image: (image.astype(np.float64) - 100) / 55,
    "grey": lambda image: image.mean(axis=-1, keepdims=True),
    "noisy": lambda image: image + np.random.default_rng(0).integers(0, 20, image.shape, np.uint8),
    "without a hundredth on each side": lambda image: image[3:-3, 4:-4],
}
OTHER = {
    "mirrored": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "turned": lambda image: np.rot90(image),
    "negative": lambda image: 255 - image,
    "cut in half": lambda image: image[:, :200],
}


class TestFingerprint:
    @pytest.mark.parametrize("change", SAME)
    @pytest.mark.parametrize("seed", range(3))
    def test_an_image_is_still_the_same(self, change, seed):
        assert distance(texture(seed), SAME[change](texture(seed))) <= NEAR

    @pytest.mark.parametrize("change", OTHER)
    @pytest.mark.parametrize("seed", range(3))
    def test_an_image_is_another_one(self, change, seed):
        assert distance(texture(seed), OTHER[change](texture(seed))) > 2 * NEAR

    def test_different_textures_are_far_apart(self):
        hashes = [bits(fingerprint(texture(seed))) for seed in range(12)]
        assert min(int((one != two).sum()) for one, two in combinations(hashes, 2)) > 2 * NEAR

    def test_an_outline_that_all_images_share_does_not_make_them_alike(self):
        y, x = np.mgrid[-1:1:300j, -1:1:300j]
        radius = np.hypot(x / 0.7, y / 0.85)[..., None]
        skull = np.where(radius < 1, 250, 0)
        images = [np.where(radius < 0.9, 100 + texture(seed, (300, 300)) / 100, skull) for seed in range(8)]
        assert min(distance(one, two) for one, two in combinations(images, 2)) > NEAR

    def test_has_64_hexadecimal_digits(self):
        assert len(bytes.fromhex(fingerprint(texture(0)))) == 32

    @pytest.mark.parametrize("shape", [(1, 7), (7, 1), (9, 2000)])
    def test_takes_images_of_any_size(self, shape):
        assert fingerprint(texture(0, shape)) is not None

    def test_does_not_change_its_argument(self):
        image = texture(0).astype(np.float32)
        before = image.copy()
        fingerprint(image)
        assert np.array_equal(image, before)

    @pytest.mark.parametrize("value", [0, 0.1, -1000, 1e30])
    def test_of_one_value_there_is_none(self, value):
        assert fingerprint(np.full((37, 53, 3), value)) is fingerprint(np.full((5, 37, 53, 1), value)) is None

    @pytest.mark.parametrize("shape", [(30, 40), (0, 40, 1), (2, 2, 30, 40, 1)])
    def test_refuses_other_shapes(self, shape):
        with pytest.raises(ValueError, match=r"image: expected \(H, W, C\) or \(D, H, W, C\)"):
            fingerprint(np.ones(shape))


class TestFingerprintOfAVolume:
    def volume(self, seed):
        return texture(seed, (24, 60, 80), 1).astype(np.int16) * 10 - 1000

    def test_a_slice_less_is_still_the_same(self):
        volume = self.volume(0)
        assert max(distance(volume, volume[1:]), distance(volume, volume[:-1])) <= NEAR

    def test_another_volume_is_another_one(self):
        volumes = [self.volume(seed) for seed in range(6)]
        assert min(distance(one, two) for one, two in combinations(volumes, 2)) > 2 * NEAR

    def test_sees_more_than_one_slice(self):
        volume = np.zeros((9, 60, 80, 1), np.int16)
        volume[2] = texture(0, (60, 80), 1)
        assert fingerprint(volume) is not None


def random_hash(rng):
    return rng.bytes(32)


def flipped(phash, count, rng):
    changed = bits(phash.hex())
    changed[rng.choice(256, count, replace=False)] ^= 1
    return np.packbits(changed).tobytes()


class TestNearDuplicates:
    @pytest.mark.parametrize("part", ["val", "test", "unused"])
    def test_of_training_and_any_other_part(self, part):
        cases = [Fingerprint("a", part, "0" * 64), Fingerprint("b", "train", "0" * 63 + "7")]
        assert near_duplicates(cases) == [NearDuplicate("b", "a", part, 3)]

    def test_not_within_a_part_nor_between_parts_that_are_not_trained_on(self):
        parts = ("train", "train", "val", "test", "unused")
        cases = [Fingerprint(str(i), part, f"{i % 2:064x}") for i, part in enumerate(parts)]
        assert {(pair.train, pair.other) for pair in near_duplicates(cases)} == set(product("01", "234"))
        assert near_duplicates(cases[2:]) == near_duplicates(cases[:2]) == near_duplicates([]) == []

    def test_up_to_the_limit_and_not_beyond(self):
        rng = np.random.default_rng(0)
        phash = random_hash(rng)
        cases = [Fingerprint("a", "train", phash.hex())]
        cases += [Fingerprint(str(d), "val", flipped(phash, d, rng).hex()) for d in (0, NEAR, NEAR + 1, 128, 255, 256)]
        assert [(pair.other, pair.distance) for pair in near_duplicates(cases)] == [("0", 0), (str(NEAR), NEAR)]

    def test_a_case_without_a_hash_is_like_none(self):
        assert near_duplicates([Fingerprint("a", "train", None), Fingerprint("b", "val", None)]) == []

    def test_two_cases_of_one_patient_are_no_pair(self):
        cases = [Fingerprint("a", "train", "0" * 64, "p"), Fingerprint("b", "unused", "0" * 64, "p")]
        assert near_duplicates(cases) == []
        assert len(near_duplicates([cases[0], cases[1]._replace(patient="q")])) == 1
        assert len(near_duplicates([case._replace(patient=None) for case in cases])) == 1

    @pytest.mark.parametrize("phash", ["", "0" * 16, "0" * 65])
    def test_a_hash_of_another_length_is_an_error(self, phash):
        with pytest.raises(ValueError, match=f"phash: expected 64 hexadecimal digits, found '{phash}' of b"):
            near_duplicates([Fingerprint("a", "train", "0" * 64), Fingerprint("b", "val", phash)])

    def test_blocks_find_what_a_plain_loop_finds_in_any_order(self):
        rng = np.random.default_rng(0)
        centres = [random_hash(rng) for _ in range(300)]
        parts = ["train"] * 2 + ["val", "test", "unused"]
        cases = [
            Fingerprint(
                f"c{i}", parts[rng.integers(5)], flipped(centres[rng.integers(300)], rng.integers(30), rng).hex()
            )
            for i in range(2800)  # more than one block of both kinds
        ]
        numbers = [int(case.phash, 16) for case in cases]
        expected = []
        for (i, one), (j, two) in product(enumerate(cases), enumerate(cases)):
            if one.part == "train" != two.part and (apart := (numbers[i] ^ numbers[j]).bit_count()) <= NEAR:
                expected.append((apart, one.id, two.id, two.part))
        found = near_duplicates(cases)
        assert len(found) > 1000
        assert [(pair.distance, pair.train, pair.other, pair.part) for pair in found] == sorted(expected)
        assert near_duplicates([cases[i] for i in rng.permutation(len(cases))]) == found


@pytest.fixture(scope="module")
def hashed(real_data):
    """The cases of a real data set, and their hashes by id."""

    def listing(name):
        root = real_data / name
        if not root.is_dir():
            pytest.skip(f"no real data: {root} is not a folder")
        cases, _ = find_layout(root).cases(root)
        return cases, {case.id: fingerprint(read_image(case.image)) for case in cases}

    return cache(listing)


def across(split, hashes):
    return near_duplicates(
        [Fingerprint(c.id, part, hashes[c.id], c.patient) for part, cases in split._asdict().items() for c in cases]
    )


BUSI_TWINS = {
    ("benign (10)", "benign (327)"),
    ("benign (139)", "benign (157)"),
    ("benign (205)", "benign (262)"),
    ("benign (233)", "benign (299)"),
    ("benign (308)", "benign (424)"),
    ("benign (404)", "benign (415)"),
    ("benign (433)", "malignant (145)"),  # the same picture
}


@pytest.mark.real_data
class TestRealData:
    def test_of_145_images_of_busi_seven_pairs_show_one_picture_and_nothing_else_is_near(self, hashed):
        _, hashes = hashed("busi")
        pairs = combinations(hashes, 2)
        assert {pair for pair in pairs if (bits(hashes[pair[0]]) != bits(hashes[pair[1]])).sum() <= NEAR} == BUSI_TWINS

    def test_a_split_of_busi_by_chance_parts_some_of_them_and_those_are_found(self, hashed):
        cases, hashes = hashed("busi")
        split = make_split(cases, seed=0)
        train, *others = ({case.id for case in part} for part in split)
        parted = {pair for pair in BUSI_TWINS if len(train & set(pair)) == 1}
        assert parted
        assert {tuple(sorted(pair[:2])) for pair in across(split, hashes)} == parted
        assert all(pair.other in others[pair.part == "test"] for pair in across(split, hashes))

    def test_heads_of_110_patients_are_not_near(self, hashed):
        cases, hashes = hashed("lgg")
        for number, case in enumerate(cases):
            others = [Fingerprint(c.id, "val", hashes[c.id], c.patient) for c in cases[:number]]
            assert near_duplicates([Fingerprint(case.id, "train", hashes[case.id], case.patient), *others]) == []

    @pytest.mark.slow
    def test_a_polyp_of_the_test_part_is_in_the_training_part_too(self, hashed):
        cases, hashes = hashed("kvasir-seg-352")
        assert [pair[:3] for pair in across(make_split(cases), hashes)] == [("train_222", "test_16", "test")]
