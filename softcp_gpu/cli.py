"""The entry point of the command line; what it does is in `softcp_gpu.commands`."""

from __future__ import annotations

import sys
from importlib.util import find_spec

_NEEDED = ("typer", "rich", "scipy", "matplotlib", "jinja2", "jsonschema", "imagehash", "filelock")


def main() -> None:
    """Runs the `softcp` command; what a long run would miss at its end is missed at its start."""
    for name in _NEEDED:
        try:
            found = find_spec(name) is not None
        except ModuleNotFoundError:
            found = False
        if not found:
            sys.exit(f"softcp needs {name}. Install it with: pip install 'softcp-gpu[cli]'")
    from softcp_gpu.commands import app

    try:
        app()
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        sys.exit(f"softcp: {error}")


if __name__ == "__main__":
    main()
