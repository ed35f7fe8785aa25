#!/usr/bin/env bash
# The head of a Ray cluster: GCS, dashboard and job server, no slots. Ends when Ray ends.
# shellcheck source=runtimes/cluster/phases.sh
source "$(dirname "$0")/phases.sh"
prepare
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$secrets/token
stamp engine
publish
exec ray start --head --block --node-ip-address="$address" --port=6379 --num-cpus=0 \
  --dashboard-host="$address" --dashboard-port=8265 --ray-client-server-port=10001 \
  --node-manager-port=8076 --object-manager-port=8077 --runtime-env-agent-port=8078 --dashboard-agent-listen-port=8079 \
  --min-worker-port=10002 --max-worker-port=19999 --disable-usage-stats
