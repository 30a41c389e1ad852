#!/usr/bin/env bash
# CUDA parity, then times, on any NVIDIA machine, in less than 8 minutes:
#
#     benchmarks/gpu_suite.sh OUT
#
# OUT gets parity.xml, parity.log and cuda.json; nothing is timed if parity fails.
# Needs torch, kornia, numpy and pytest (PYTHONPATH may hold them); the package is taken from this repository. Without
# triton, which torch for CUDA brings along, the kernels are left out.
# PYTHON=python3 is the interpreter. DEVICE=cpu tries the script itself; ARGS is passed on to bench_cuda.py.
# Exit status: 0 done, 2 wrong use, 3 no GPU, 4 a package is missing, 5 parity failed, 6 some times are missing.
set -u
: "${PYTHON:=python3}" "${DEVICE:=cuda}" "${ARGS:=}"

fail() {
    echo "gpu_suite: $2" >&2
    exit "$1"
}

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

# Without the other tests' conftest.py: it needs packages that only tests on a CPU need.
timeout 240 "$PYTHON" -m pytest tests/gpu --noconftest -m gpu -q -p no:cacheprovider --junitxml "$out/parity.xml" \
    2>&1 | tee "$out/parity.log"
[ "${PIPESTATUS[0]}" -eq 0 ] || fail 5 "parity failed: $out/parity.log; nothing was timed"

# shellcheck disable=SC2086  # ARGS is a list of words
timeout 220 "$PYTHON" -m benchmarks.bench_cuda "$out/cuda.json" --device "$DEVICE" $ARGS ||
    fail 6 "not all times were taken: $out/cuda.json"
echo "gpu_suite: done, results in $out"
