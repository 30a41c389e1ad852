"""Whether a run on disk is what its record says: its lines, its files, its split, and its samples made again."""

from softcp_gpu.synthesize.checking.replay import Replay, replay
from softcp_gpu.synthesize.checking.verify import Report, verify

__all__ = ["Replay", "Report", "replay", "verify"]
