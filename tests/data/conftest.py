import os
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets."""
    root = Path(os.environ.get("SOFTCP_DATA") or REPOSITORY.parent / "shared" / "data")
    if not root.is_dir():
        pytest.skip(f"no real data: neither $SOFTCP_DATA nor {root} is a folder")
    return root


@pytest.fixture
def photo() -> np.ndarray:
    """An RGB image of 20 x 30 pixels, no two alike."""
    y, x = np.mgrid[:20, :30]
    return np.stack([y * 10, x * 8, (y * 30 + x) % 251], axis=2).astype(np.uint8)


@pytest.fixture
def lesion() -> np.ndarray:
    """A lesion of 20 x 30 pixels: a rectangle, and one pixel alone."""
    mask = np.zeros((20, 30), dtype=bool)
    mask[4:12, 6:17] = True
    mask[17, 25] = True
    return mask
