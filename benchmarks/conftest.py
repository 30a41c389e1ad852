"""What pytest-benchmark's JSON holds besides times: the machine, and what was not measured and why."""

import os
import sys

from benchmarks import common

if folder := os.environ.get("SOFTCP_RIVALS"):  # at the end: what the project uses is not replaced
    sys.path.append(folder)

_failed = {}


def pytest_benchmark_update_machine_info(machine_info):
    machine_info["softcp_gpu"] = common.machine()


def pytest_runtest_logreport(report):
    """Every benchmark records `what` it is before it does anything that may fail."""
    what = dict(report.user_properties).get("what", report.nodeid)
    if report.skipped:
        _failed[what] = report.longrepr[2].removeprefix("Skipped: ")
    elif report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        _failed[what] = "wrong or broken: " + (crash.message if crash else str(report.longrepr))[:300]


def pytest_benchmark_update_json(config, benchmarks, output_json):
    output_json["failed"] = _failed
