"""How long a function is timed with pytest-benchmark."""

import os
import time


def measure(benchmark, run, group, who, bytes_floor, *, least=5, **more):
    """Times `run` for about 2 s, or $SECONDS_EACH, at least 5 calls, so that there is a median and a spread."""
    start = time.perf_counter()
    run()
    once = time.perf_counter() - start
    rounds = min(max(int(float(os.environ.get("SECONDS_EACH", "2")) / once), least), 500)
    benchmark.group = group
    benchmark.extra_info.update(who=who, bytes_floor=bytes_floor, **more)
    benchmark.pedantic(run, rounds=rounds, warmup_rounds=1)
