"""Offline synthesis: a data set folder in, a synthetic set of the same format out, with its record."""

from softcp_gpu.synthesize.run import Shown, Summary, synthesize

__all__ = ["Shown", "Summary", "synthesize"]
