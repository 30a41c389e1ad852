"""Offline synthesis: a data set folder in, a synthetic set of the same format out, with its record."""

from softcp_gpu.synthesize.run import Summary, synthesize
from softcp_gpu.synthesize.sample import Shown

__all__ = ["Shown", "Summary", "synthesize"]
