"""The floor on paper: bytes that must move and operations that must be done, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from benchmarks import cases, tables, volumes
from benchmarks.common import GRAPHED, OURS

STEPS = (cases.SOFTNESS["k_erode"], cases.SOFTNESS["k_dilate"])


class Row(NamedTuple):
    """What one stage needs for each pixel, with n axes, C channels, k_e and k_d steps."""

    stage: str
    bytes_formula: str
    operations_formula: str
    bytes_each: dict[int, int]  # by axes
    operations_each: dict[int, int]


def rows() -> list[Row]:
    """2-D with the channels of the benchmark's images, 3-D with one, steps of the benchmark's soft mask."""
    channels, k = {2: cases.CHANNELS, 3: 1}, STEPS
    return [
        Row(
            "soft mask",
            "1 + 4",
            "2n(k_e + k_d) + k_d + 1",
            dict.fromkeys(channels, cases.soft_mask_bytes_each()),
            {n: cases.soft_mask_operations_each(n, *k) for n in channels},
        ),
        Row(
            "soft paste",
            "4 + 8C + 2, 4C + 1",
            "4C + 2",
            {n: cases.paste_bytes_each(c) for n, c in channels.items()},
            {n: cases.paste_operations_each(c) for n, c in channels.items()},
        ),
        Row(
            "whole `forward`",
            "4C + 2, 4C + 5",
            "2n + 3(2^n - 1)C + soft mask + soft paste",
            {n: cases.forward_bytes_each(c) for n, c in channels.items()},
            {n: cases.forward_operations_each(n, c, *k) for n, c in channels.items()},
        ),
    ]


def formulas() -> str:
    """Per pixel, as formulas and as numbers."""
    lines = [
        f"| per pixel | bytes read, written | operations | 2-D, C = {cases.CHANNELS}: bytes | operations "
        "| 3-D, C = 1: bytes | operations |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for row in rows():
        numbers = [row.bytes_each[2], row.operations_each[2], row.bytes_each[3], row.operations_each[3]]
        cells = [row.stage, row.bytes_formula, row.operations_formula, *map(str, numbers)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tables_of(all_results: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """Both tables."""
    folded = "<details><summary>The cases that are timed, and how near ours comes</summary>"
    return f"{formulas()}\n\n{folded}\n\n{measured(all_results)}\n\n</details>"


def bytes_by_group() -> dict[str, int]:
    """The least bytes of the cases that are timed."""
    soft_masks = (*cases.FULL_SOFT_MASK_CASES, cases.MANY)
    found = {f"soft mask, {case.named(1)}": cases.soft_mask_bytes(case) for case in soft_masks}
    found |= {f"soft paste, {case}": cases.paste_bytes(case) for case in cases.FULL_PASTE_CASES}
    for case in (*cases.FULL_FORWARD_CASES, cases.MANY):
        found |= {f"forward, {name}, {case}": cases.forward_bytes(case) for name in cases.FORWARD}
    return found | {f"one scan: {scan}": volumes.bytes_floor(scan) for scan in volumes.SCANS}


def measured(all_results: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """MB of each case, and by machine the share of a copy's bandwidth that ours reaches."""
    shares: dict[str, dict[str, str]] = {}
    for name, results in all_results:
        bandwidth = tables.bandwidth_of(tables.grouped(results["entries"]))
        for line in results["entries"]:
            group, _, scan = line["group"], *line["who"].partition(f"{OURS}, ")[1:]
            key = f"{group}: {scan}" if group == "one scan" else group
            known = key in bytes_by_group()
            if bandwidth and known and (line["who"] == OURS or line["who"].startswith(GRAPHED) or group == "one scan"):
                shares.setdefault(name, {})[key] = tables.share_cell(line, bandwidth)  # of the graph, which comes later
    lines = ["| case | MB |" + "".join(f" {name}: share of copy |" for name in shares)]
    lines += ["|---|---:|" + "---:|" * len(shares)]
    for key, floor in bytes_by_group().items():
        cells = [key, f"{floor / 1e6:.1f}", *(found.get(key, "not measured") for found in shares.values())]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
