"""What a results file holds, `results/<version>/<machine>.json`, and the check of it.

    {"schema": 1,
     "machine": {"softcp_gpu": version, "cpu": name, "cores": n, "system": ..., "python": ..., "torch": ...,
                 "threads": n, "device": "cpu" or "cuda",          on CUDA also "gpu" and "cuda"
                 "kornia", "numpy", "opencv", "numba", "scipy", "albumentationsx", "segpaste": their versions},
     "date": "YYYY-MM-DD",
     "commit": of the code, with "+" after it if files had changed; or null,
     "entries": [{"group": what was computed, on what,
                  "who": who computed it,
                  "median_s", "q1_s", "q3_s", "min_s": seconds per call,
                  "rounds": number of calls,
                  "bytes_floor": the least bytes that must move, or null,
                  "peak_bytes": memory of a call beside its inputs    optional
                  "x": what a curve is drawn over           optional
                  "medians_s": of each run                            with "runs"}],
     "command": what was run,                                       optional without "runs"
     "runs": how often, in fresh processes; the times of a row are those of the run in the middle    optional
     "failed": {what: error},                                       optional
     "checks": {what: "passed: ...", "failed: ..." or "not measured: ..."}}    optional, of gpu_checks.py

Entries of one group were measured in one process, one after the other; only they may be compared.
"""

from __future__ import annotations

from typing import Any

SCHEMA = 1
_TOP = {"schema": int, "machine": dict, "date": str, "entries": list}
_MACHINE = {
    "softcp_gpu": str,
    "cpu": str,
    "cores": int,
    "system": str,
    "python": str,
    "torch": str,
    "threads": int,
    "device": str,
}
_CUDA = {"gpu": str, "cuda": str}
_ENTRY = {
    "group": str,
    "who": str,
    "median_s": float,
    "q1_s": float,
    "q3_s": float,
    "min_s": float,
    "rounds": int,
    "bytes_floor": (int, type(None)),
}
_OPTIONAL = {"peak_bytes": (int, "int"), "x": (int, "int")}


def check(results: Any) -> dict[str, Any]:
    """The results themselves if they are complete.

    Raises:
        ValueError: naming the field, what was expected and what was found.
    """
    fields("results", results, _TOP)
    if results["schema"] != SCHEMA:
        raise ValueError(f"results.schema: expected {SCHEMA}, found {results['schema']}")
    check_machine(results["machine"])
    if not results["entries"]:
        raise ValueError("entries: expected at least one, found none")
    for name in ("failed", "checks"):
        for what, found in results.get(name, {}).items():
            if not isinstance(found, str):
                raise ValueError(f"{name}[{what!r}]: expected text, found {found!r}")
    runs = results.get("runs")
    if "command" in results:
        fields("results", results, {"command": str})
    if runs is not None:
        fields("results", results, {"runs": int, "command": str})
    for i, line in enumerate(results["entries"]):
        fields(f"entries[{i}]", line, _ENTRY)
        for name, (kind, word) in _OPTIONAL.items():
            if not isinstance(line.get(name, 0), kind):
                raise ValueError(f"entries[{i}].{name}: expected {word}, found {line[name]!r}")
        if len(line.get("medians_s", ())) != (runs or 0):
            raise ValueError(f"entries[{i}].medians_s: expected {runs or 0} of them, found {line.get('medians_s')}")
        if not 0 < line["min_s"] <= line["q1_s"] <= line["median_s"] <= line["q3_s"]:
            raise ValueError(f"entries[{i}]: expected 0 < min_s <= q1_s <= median_s <= q3_s, found {line}")
    return results


def check_machine(machine: Any) -> None:
    """Whether a results file tells what its figures depend on.

    Raises:
        ValueError: naming the field that is missing.
    """
    fields("machine", machine, _MACHINE)
    if machine["device"] == "cuda":
        fields("machine", machine, _CUDA)


def fields(name: str, value: Any, kinds: dict[str, Any]) -> None:
    """Whether a JSON object has all these fields, none of them an empty string.

    Raises:
        ValueError: naming the field, what was expected and what was found.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected an object, found {type(value).__name__}")
    for field, kind in kinds.items():
        if field not in value:
            raise ValueError(f"{name}.{field}: expected it, found nothing")
        if not isinstance(value[field], kind) or value[field] == "":
            raise ValueError(f"{name}.{field}: expected {kind}, found {value[field]!r}")
