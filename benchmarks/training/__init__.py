"""The paper's comparison: MONAI's U-Net trained on real data, and on real data with lesions pasted in."""
