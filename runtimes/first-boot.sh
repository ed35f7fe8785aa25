# The beginning of every host's first boot: infra/aws/user_data.py puts settings as exported variables before this text,
# and the host's own script after it. Whatever fails from here on, the host publishes its log and goes: out of its group,
# or, where it is a single host, out of the account. Nobody pays for a host that never became usable.
# shellcheck shell=bash
set -euo pipefail

# Root's own. Nothing that a container or a service may write is ever opened by what runs as root.
BOOT_DIR=/var/lib/breakeven
BOOT_DEADLINE_S=${BREAKEVEN_BOOT_DEADLINE_S:-600}
ATTEMPTS=6
FIRST_WAIT_MS=${BREAKEVEN_FIRST_WAIT_MS:-2000} # doubled each time: a minute in all, as long as a new role needs to be known
METADATA=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
GROUP=${BREAKEVEN_GROUP:-}
install -d -m 755 "$BOOT_DIR"
exec > >(tee -a "$BOOT_DIR/boot.log") 2>&1

stamp() { printf '{"phase": "%s", "at": %s}\n' "$1" "$(date +%s.%N)" >>"$BOOT_DIR/boot.jsonl"; }

# Run a command until it succeeds, at most ATTEMPTS times. The waits are random, because 64 hosts boot at once.
again() {
  local attempt most_ms=$FIRST_WAIT_MS wait_ms
  for ((attempt = 1; attempt <= ATTEMPTS; attempt++)); do
    if "$@"; then return 0; fi
    echo "attempt $attempt of $ATTEMPTS failed: $*" >&2
    if ((attempt < ATTEMPTS)); then
      wait_ms=$((most_ms / 2 + SRANDOM % (most_ms / 2 + 1)))
      sleep "$((wait_ms / 1000)).$(printf '%03d' $((wait_ms % 1000)))"
      most_ms=$((2 * most_ms))
    fi
  done
  return 1
}

metadata() {
  local token
  token=$(curl -sf --max-time 10 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$METADATA/latest/api/token") &&
    curl -sf --max-time 10 -H "X-aws-ec2-metadata-token: $token" "$METADATA/latest/meta-data/$1"
}

publish() {
  timeout 60 aws s3 cp --quiet --region "$BREAKEVEN_REGION" "$BOOT_DIR/leave.log" \
    "s3://$BREAKEVEN_WORKING_BUCKET/boot/$BREAKEVEN_STACK/$1.log"
}

leave_group() {
  timeout 60 aws autoscaling terminate-instance-in-auto-scaling-group --region "$BREAKEVEN_REGION" \
    --instance-id "$1" --should-decrement-desired-capacity
}

# Waits for the boot to end, and in a group for the engine to end, and then goes.
leave() {
  local instance
  until [ -e "$BOOT_DIR/booted" ] || [ -e "$BOOT_DIR/failed" ] || ((SECONDS > BOOT_DEADLINE_S)); do sleep 1; done
  if [ -e "$BOOT_DIR/booted" ]; then
    if [ -z "$GROUP" ]; then return; fi
    docker wait engine || true
  elif [ ! -e "$BOOT_DIR/failed" ]; then
    echo "the boot has not ended within $BOOT_DEADLINE_S s" >>"$BOOT_DIR/boot.log"
  fi
  cat "$BOOT_DIR/boot.jsonl" "$BOOT_DIR/boot.log" >"$BOOT_DIR/leave.log" 2>/dev/null || true
  docker logs engine >>"$BOOT_DIR/leave.log" 2>&1 || true
  if instance=$(again metadata instance-id); then
    again publish "$instance" || true
    # It leaves with its place, so that a group nobody watches does not replace it for ever: sessions ask for another.
    if [ -n "$GROUP" ] && again leave_group "$instance"; then return; fi
  fi
  shutdown -h now # which ends the instance, as its launch says
}

ended() {
  local status=$?
  if ((status == 0)); then touch "$BOOT_DIR/booted"; else
    echo "the boot failed with exit code $status"
    touch "$BOOT_DIR/failed"
  fi
}

# In place before anything that can fail, as a unit of its own: it outlives this script, whatever ends that.
{
  declare -p BOOT_DIR BOOT_DEADLINE_S ATTEMPTS FIRST_WAIT_MS METADATA GROUP BREAKEVEN_REGION BREAKEVEN_WORKING_BUCKET \
    BREAKEVEN_STACK
  declare -f again metadata publish leave_group leave
  echo leave
} >"$BOOT_DIR/leave.sh"
systemd-run --unit breakeven-leave bash "$BOOT_DIR/leave.sh" || shutdown -h now
trap ended EXIT
