#!/usr/bin/env bash
# A Dask cluster of two workers on this machine, and a directory encoded by it:
#     examples/cluster/run.sh recordings/ archive/ [OPTION OF ENCODE...]
# On several machines the same three commands run on each of theirs, see README.md.
set -euo pipefail
python=${PYTHON:-python}
input=$1 output=$2
shift 2

folder=$(mktemp -d)
end() {
    kill $(jobs -p) 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap end EXIT

"$python" -m dask scheduler --host 127.0.0.1 --port 0 --no-dashboard \
    --scheduler-file "$folder/scheduler.json" &>"$folder/scheduler.log" &
for worker in 1 2; do
    "$python" -m dask worker --nthreads 1 --no-dashboard --scheduler-file "$folder/scheduler.json" \
        --local-directory "$folder/$worker" &>"$folder/$worker.log" &
done
until [ -s "$folder/scheduler.json" ]; do sleep 0.1; done
address=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' \
    "$folder/scheduler.json")

"$python" -m neucodec encode "$input" -o "$output" --scheduler "$address" "$@"
