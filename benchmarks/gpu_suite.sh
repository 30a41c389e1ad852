#!/usr/bin/env bash
# CUDA parity, then times, on any NVIDIA machine, in less than 8 minutes:
#
#     benchmarks/gpu_suite.sh OUT
#
# OUT gets parity.xml, parity.log, step.json and cuda.json; nothing is timed if parity fails. Each part has a budget, and
# what it leaves no time for is named in its file.
# Needs torch, kornia, numpy and pytest (PYTHONPATH may hold them); the package is taken from this repository. Without
# triton, which torch for CUDA brings along, the kernels are left out. The OpenCV loop is timed if cv2 imports, the
# network of benchmarks/training if monai does.
# AGAIN=OUT1 takes parity over from an earlier run of the same files on the same machine, so that three runs take less.
# PYTHON=python3 is the interpreter. ARGS is passed on to bench_cuda.py, STEP_ARGS to bench_step.py. To try the script:
#     DEVICE=cpu STEP_ARGS='--quick --backend eager' ARGS='--sizes 64 --seconds 0.02 --backend eager' \
#         benchmarks/gpu_suite.sh OUT
# Exit status: 0 done, 2 wrong use, 3 no GPU, 4 a package is missing, 5 parity failed, 6 some times are missing.
set -u
: "${PYTHON:=python3}" "${DEVICE:=cuda}" "${ARGS:=}" "${STEP_ARGS:=}" "${AGAIN:=}"

fail() {
    echo "gpu_suite: $2" >&2
    exit "$1"
}

if [ -n "$AGAIN" ]; then
    [ -d "$AGAIN" ] || fail 2 "no earlier run in $AGAIN"
    AGAIN=$(cd "$AGAIN" && pwd)
fi
[ $# -eq 1 ] || fail 2 "expected one folder for the results: benchmarks/gpu_suite.sh OUT"
mkdir -p "$1" || fail 2 "cannot write to $1"
out=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.." || fail 2 "the repository is not there"
export SOFTCP_TEST_DEVICE=$DEVICE PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"

for package in torch kornia numpy pytest; do
    "$PYTHON" -c "import $package" || fail 4 "$PYTHON cannot import $package"
done
if [ "$DEVICE" = cuda ]; then
    "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || fail 3 "torch sees no CUDA device"
    "$PYTHON" -c 'import torch; print(torch.__version__, torch.version.cuda, torch.cuda.get_device_name())'
fi

if [ -n "$AGAIN" ]; then
    cp "$AGAIN/parity.xml" "$AGAIN/parity.log" "$out/" || fail 5 "no parity results in $AGAIN; nothing was timed"
    ! grep -qE '(errors|failures)="[1-9]|tests="0"' "$out/parity.xml" || fail 5 "parity failed in $AGAIN"
else
    # Most of their time is compiling, so they go side by side where pytest-xdist is there. Their times say nothing.
    beside=""
    if [ "$DEVICE" = cuda ] && "$PYTHON" -c 'import xdist' 2>/dev/null; then beside="-n 12"; fi
    # Without the other tests' conftest.py: it needs packages that only tests on a CPU need.
    # shellcheck disable=SC2086  # beside is a list of words
    timeout 240 "$PYTHON" -m pytest tests/gpu --noconftest -m gpu -q -p no:cacheprovider $beside \
        --junitxml "$out/parity.xml" 2>&1 | tee "$out/parity.log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || fail 5 "parity failed: $out/parity.log; nothing was timed"
fi

missing=0
# shellcheck disable=SC2086  # STEP_ARGS and ARGS are lists of words
timeout 130 "$PYTHON" -m benchmarks.bench_step "$out/step.json" --device "$DEVICE" --budget 70 $STEP_ARGS || missing=1
# What is left of 8 minutes; no figure is begun in the last 80 seconds, for one that compiles takes long.
left=$((470 - SECONDS))
# shellcheck disable=SC2086
timeout "$left" "$PYTHON" -m benchmarks.bench_cuda "$out/cuda.json" --device "$DEVICE" --budget $((left - 80)) $ARGS ||
    missing=1
[ "$missing" -eq 0 ] || fail 6 "not all times were taken, or a check failed: $out/step.json, $out/cuda.json"
echo "gpu_suite: done, results in $out"
