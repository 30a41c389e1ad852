"""A page about a finished run that a person can read anywhere: `report.html`."""

from softcp_gpu.synthesize.report.page import write_report

__all__ = ["write_report"]
