"""Volumes as others write them: with SimpleITK alone."""

import locale
import math

import numpy as np

SHAPE = (6, 7, 9)
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
SLICES_FIRST = (0.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0)  # as KiTS19 has them


def oblique(a=0.3, b=0.7):
    x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    z = np.array([[math.cos(b), -math.sin(b), 0], [math.sin(b), math.cos(b), 0], [0, 0, 1]])
    return tuple((x @ z).ravel().tolist())


def values_of(dtype, shape=SHAPE):
    ramp = np.arange(np.prod(shape)).reshape(shape)
    if np.dtype(dtype).kind == "f":
        return (ramp / 7 - 11).astype(dtype)
    return (ramp * 11 - (1024 if np.dtype(dtype).kind == "i" else 0)).astype(dtype)


def put(path, values, *, spacing=(0.703125, 0.8, 5.0), origin=(-123.4, 77.7, -1000 / 3), direction=STRAIGHT):
    """Write a file."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), True)
    return path


def put_series(folder, values, *, uid="1.2.3", spacing=(0.7, 0.7, 5.0), direction=STRAIGHT, leave_out=(), shift_mm=0.0):
    """Write a DICOM series: values + 1024 are stored, and the slope and intercept of CT."""
    import SimpleITK as sitk

    before = locale.setlocale(locale.LC_ALL)  # writing DICOM leaves the whole process in the locale "C"
    folder.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(values.astype(np.int16))
    image.SetSpacing(spacing)
    image.SetOrigin((-10.0, 20.0, 30.0))
    image.SetDirection(direction)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in (k for k in range(len(values)) if k not in leave_out):
        plane = image[:, :, k]
        place = np.array(image.TransformIndexToPhysicalPoint((0, 0, k))) + np.array((0, k * shift_mm, 0))
        rows, columns = direction[0::3], direction[1::3]
        tags = {
            "0008|0018": f"{uid}.{k + 1}",
            "0008|0060": "CT",
            "0020|000d": "1.2",
            "0020|000e": uid,
            "0020|0013": str(k),
            "0020|0032": "\\".join(f"{x:.10g}" for x in place),
            "0020|0037": "\\".join(f"{x:.10g}" for x in (*rows, *columns)),
            "0028|1052": "-1024",
            "0028|1053": "1",
        }
        for tag, text in tags.items():
            plane.SetMetaData(tag, text)
        writer.SetFileName(str(folder / f"{uid}_{len(values) - k:03d}.dcm"))  # names against the order of the slices
        writer.Execute(plane)
    locale.setlocale(locale.LC_ALL, before)
    return folder
