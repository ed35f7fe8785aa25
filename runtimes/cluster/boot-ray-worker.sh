#!/usr/bin/env bash
# One worker node of a Ray cluster: a slot per worker. Ends when Ray ends, or when the head has been silent for
# BREAKEVEN_HEAD_LOST_S seconds.
# shellcheck source=runtimes/cluster/phases.sh
source "$(dirname "$0")/phases.sh"
prepare
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$secrets/token
export RAY_gcs_rpc_server_reconnect_timeout_s=${BREAKEVEN_HEAD_LOST_S:-60}
head=$(boot head "$BREAKEVEN_HEAD_GROUP")
stamp head-found
until python -c "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)" \
  "$head" 6379 2>/dev/null; do
  # The worker outlives a head that never answers by no more than this script's own deadline.
  if [ "$SECONDS" -gt "${BREAKEVEN_JOIN_DEADLINE_S:-600}" ]; then
    echo "no answer from $head:6379 in $SECONDS s" >&2
    exit 1
  fi
  sleep 1
done
stamp engine
publish
# Raylets listen on every address, so that several nodes on one machine need ports of their own.
shift=${BREAKEVEN_PORT_SHIFT:-0}
exec ray start --block --address="$head:6379" --node-ip-address="$address" \
  --num-cpus=$((BREAKEVEN_SLOTS * BREAKEVEN_VCPU_PER_SLOT)) \
  --memory=$((BREAKEVEN_SLOTS * BREAKEVEN_LIMIT_MIB * 1024 * 1024)) \
  --node-manager-port=$((8076 + shift)) --object-manager-port=$((8077 + shift)) \
  --runtime-env-agent-port=$((8078 + shift)) \
  --min-worker-port=$((10002 + 10 * shift)) --max-worker-port=19999 --disable-usage-stats
