#!/usr/bin/env bash
# The head of a Ray cluster: GCS and the autoscaler's monitor, no slots. Ends when Ray ends.
# shellcheck source=runtimes/cluster/phases.sh
source "$(dirname "$0")/phases.sh"
prepare
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$secrets/token
autoscaling=()
if [ -n "${BREAKEVEN_MAX_NODES:-}" ]; then
  here=$(cd "$(dirname "$0")" && pwd)
  export PYTHONPATH=$here AUTOSCALER_UPDATE_INTERVAL_S=1
  export RAY_enable_autoscaler_v2=0 # the second version knows no node provider of one's own
  config=${log%/*}/autoscaling.json
  python "$here/ray_group_provider.py" "$address" >"$config"
  autoscaling=(--autoscaling-config="$config")
fi
stamp engine
publish
# No dashboard: its agents would take 0.1 GB from each node's workers, and nothing here asks them.
exec ray start "${autoscaling[@]}" --head --block --node-ip-address="$address" --port=6379 --num-cpus=0 \
  --include-dashboard=false --node-manager-port=8076 --object-manager-port=8077 --runtime-env-agent-port=8078 \
  --min-worker-port=10002 --max-worker-port=19999 --disable-usage-stats \
  --system-config='{"idle_worker_killing_time_threshold_ms": 3600000}' # warm workers outlive other engines' turns
