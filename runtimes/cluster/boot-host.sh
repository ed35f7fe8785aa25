# First boot of a host on Amazon Linux 2023: Docker from the distribution, the image by digest, then the engine's own
# boot script inside it. Settings come as exported variables before this text (infra/aws/user_data.py).
# An instance whose engine has ended leaves its group, so that the group neither replaces it nor goes on paying.
# shellcheck shell=bash
set -euo pipefail

BOOT_DIR=/var/lib/breakeven
mkdir -p "$BOOT_DIR"
chmod 777 "$BOOT_DIR" # the image's user, who is not root, adds its phases to the log
stamp() { printf '{"phase": "%s", "at": %s}\n' "$1" "$(date +%s.%N)" >>"$BOOT_DIR/boot.jsonl"; }

# The kernel's own start, from its uptime: what came before it is the provider's (request to boot).
printf '{"phase": "kernel", "at": %s}\n' "$(date +%s.%N | awk '{getline up < "/proc/uptime"; split(up, u, " "); printf "%.3f", $1 - u[1]}')" \
  >>"$BOOT_DIR/boot.jsonl"
chmod 666 "$BOOT_DIR/boot.jsonl"
stamp user-data

dnf install --quiet --assumeyes docker
systemctl start docker
stamp docker

registry=${BREAKEVEN_IMAGE%%/*}
aws ecr get-login-password --region "$BREAKEVEN_REGION" | docker login --username AWS --password-stdin "$registry"
docker pull --quiet "$BREAKEVEN_IMAGE"
stamp image

# Only the driver stops here: a session starts its processes.
if [ "$BREAKEVEN_BOOT" = none ]; then exit 0; fi

environment=$(mktemp)
export AWS_DEFAULT_REGION=$BREAKEVEN_REGION
export BREAKEVEN_BOOT_LOG=$BOOT_DIR/boot.jsonl
env | grep -E '^(BREAKEVEN_|AWS_DEFAULT_REGION=)' >"$environment"
# The host's network, because engines tell each other their addresses; its shared memory, because Ray keeps objects
# there; the cgroup holds the node's workers, all of them together, to what their limits add up to.
docker run --detach --name engine --network host --ipc host --ulimit nofile=65536:65536 \
  --env-file "$environment" --volume "$BOOT_DIR:$BOOT_DIR" "$BREAKEVEN_IMAGE" "$BREAKEVEN_BOOT"
rm "$environment"
stamp container

cat >"$BOOT_DIR/leave.sh" <<'LEAVE'
docker wait engine
docker logs engine >"$1/engine.log" 2>&1
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$5/latest/api/token")
instance=$(curl -sf -H "X-aws-ec2-metadata-token: $token" "$5/latest/meta-data/instance-id")
aws s3 cp --quiet --region "$2" "$1/engine.log" "s3://$3/boot/$4/$instance.log" || true
aws autoscaling terminate-instance-in-auto-scaling-group --region "$2" --instance-id "$instance" \
  --should-decrement-desired-capacity
LEAVE
# As a unit of its own, since cloud-init would otherwise wait for it.
systemd-run --unit breakeven-leave bash "$BOOT_DIR/leave.sh" "$BOOT_DIR" "$BREAKEVEN_REGION" \
  "$BREAKEVEN_WORKING_BUCKET" "$BREAKEVEN_STACK" "${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}"
