"""How long a function is timed with pytest-benchmark."""

import os
import time

LEAST, LEAST_OF_SLOW = 5, 2  # calls; slow ones take more than `SLOW_S`
SLOW_S = 1.0


def measure(benchmark, run, group, who, bytes_floor, **more):
    """Times `run` for about half a second, or $SECONDS_EACH, at least 5 calls, so that there is a median and a spread.

    The caller has called it once, to see what it computes. A call that takes seconds needs no further warm-up, and is
    timed twice in each of the three runs.
    """
    start = time.perf_counter()
    run()
    once = time.perf_counter() - start
    slow = once > SLOW_S
    rounds = int(float(os.environ.get("SECONDS_EACH", "0.5")) / once)
    benchmark.group = group
    benchmark.extra_info.update(who=who, bytes_floor=bytes_floor, **more)
    rounds = min(max(rounds, LEAST_OF_SLOW if slow else LEAST), 500)
    benchmark.pedantic(run, rounds=rounds, warmup_rounds=0 if slow else 1)
