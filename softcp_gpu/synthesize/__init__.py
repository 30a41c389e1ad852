"""Offline synthesis: a data set folder in, a synthetic set of the same format out, with its record."""

from softcp_gpu.synthesize.run import synthesize
from softcp_gpu.synthesize.summary import Summary

__all__ = ["Summary", "synthesize"]
