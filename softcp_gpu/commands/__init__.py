"""The commands behind `softcp`, with typer and rich."""

from softcp_gpu.commands import bank, demo, synthesize, verify
from softcp_gpu.commands.app import app

__all__ = ["app", "bank", "demo", "synthesize", "verify"]
