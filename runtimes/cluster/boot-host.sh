# First boot of a cluster's or driver's host on Amazon Linux 2023, after runtimes/first-boot.sh: Docker from the
# distribution, the image by digest, then the engine's own boot script in a container of it.
# shellcheck shell=bash

# The kernel's own start, from its uptime: what came before it is the provider's (request to boot).
printf '{"phase": "kernel", "at": %s}\n' "$(date +%s.%N | awk '{getline up < "/proc/uptime"; split(up, u, " "); printf "%.3f", $1 - u[1]}')" \
  >>"$BOOT_DIR/boot.jsonl"
stamp user-data

again timeout 180 dnf install --quiet --assumeyes docker
again systemctl enable --now docker
stamp docker

log_in() {
  timeout 60 aws ecr get-login-password --region "$BREAKEVEN_REGION" |
    timeout 60 docker login --username AWS --password-stdin "${BREAKEVEN_IMAGE%%/*}"
}
again log_in
again timeout 300 docker pull --quiet "$BREAKEVEN_IMAGE"
stamp image

# Only the driver stops here: a session starts its processes.
if [ "$BREAKEVEN_BOOT" = none ]; then exit 0; fi

environment=$(mktemp)
export AWS_DEFAULT_REGION=$BREAKEVEN_REGION
export BREAKEVEN_HOST_LOG=$BOOT_DIR/boot.jsonl
env | grep -E '^(BREAKEVEN_|AWS_DEFAULT_REGION=)' >"$environment"
# What all workers of the node together are held to, the engine's own processes beside them (plan.sizing).
memory=()
if [ -n "${BREAKEVEN_NODE_MEMORY_MIB:-}" ]; then
  memory=(--memory "${BREAKEVEN_NODE_MEMORY_MIB}m" --memory-swap "${BREAKEVEN_NODE_MEMORY_MIB}m")
fi
# The host's network, because engines tell each other their addresses; its shared memory, because Ray keeps objects
# there. The host's log is read in there and cannot be written.
docker run --detach --name engine --network host --ipc host --ulimit nofile=65536:65536 "${memory[@]}" \
  --env-file "$environment" --volume "$BREAKEVEN_HOST_LOG:$BREAKEVEN_HOST_LOG:ro" "$BREAKEVEN_IMAGE" "$BREAKEVEN_BOOT"
rm "$environment"
