#!/usr/bin/env bash
# One worker node of a Dask cluster: a nanny per slot, each worker held to its limit. Ends when the scheduler has been
# silent for BREAKEVEN_HEAD_LOST_S seconds.
# shellcheck source=runtimes/cluster/phases.sh
source "$(dirname "$0")/phases.sh"
prepare
head=$(boot head "$BREAKEVEN_HEAD_GROUP")
stamp head-found
stamp engine
publish
exec dask worker "tls://$head:8786" --host "$address" --worker-port 9000:9499 \
  --nanny-port 9500:9999 --nworkers "$BREAKEVEN_SLOTS" --nthreads "$BREAKEVEN_VCPU_PER_SLOT" \
  --memory-limit "${BREAKEVEN_LIMIT_MIB}MiB" --death-timeout "${BREAKEVEN_HEAD_LOST_S:-60}" --no-dashboard \
  --name "$instance" --tls-ca-file "$secrets/ca" --tls-cert "$secrets/cert" --tls-key "$secrets/key"
