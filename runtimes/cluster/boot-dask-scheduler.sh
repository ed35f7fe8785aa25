#!/usr/bin/env bash
# The scheduler of a Dask cluster, under TLS. Ends when Dask ends.
# shellcheck source=runtimes/cluster/phases.sh
source "$(dirname "$0")/phases.sh"
prepare
adaptive=()
if [ -n "${BREAKEVEN_MAX_NODES:-}" ]; then
  here=$(cd "$(dirname "$0")" && pwd)
  export PYTHONPATH=$here
  adaptive=(--preload dask_group_adaptive)
fi
stamp engine
publish
# No dashboard: it listens without TLS and shows what runs.
exec dask scheduler "${adaptive[@]}" --protocol tls --host "$address" --port 8786 --no-dashboard \
  --tls-ca-file "$secrets/ca" --tls-cert "$secrets/cert" --tls-key "$secrets/key"
