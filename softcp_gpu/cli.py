"""The command line: arguments, progress and messages. The work is in `softcp_gpu.synthesize`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the `softcp` command."""
    try:
        from softcp_gpu.commands import app
    except ModuleNotFoundError as error:
        if error.name in ("typer", "rich", "scipy", "matplotlib"):
            sys.exit(f"softcp needs {error.name}. Install it with: pip install 'softcp-gpu[cli]'")
        raise
    app()


if __name__ == "__main__":
    main()
