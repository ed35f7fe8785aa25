# Sourced by the boot scripts in the image: log a phase, know the host, fetch the secret, publish the log.
# shellcheck shell=bash
set -euo pipefail

# The container's own; it begins with what the host has logged, which it can read and not write.
log=${BREAKEVEN_BOOT_LOG:-$HOME/boot.jsonl}
if [ -n "${BREAKEVEN_HOST_LOG:-}" ]; then cat "$BREAKEVEN_HOST_LOG" >"$log"; fi

stamp() { printf '{"phase": "%s", "at": %s}\n' "$1" "$(date +%s.%N)" >>"$log"; }

boot() { python "$(dirname "${BASH_SOURCE[0]}")/boot.py" "$@"; }

# Memory-backed where the host has it, so that a secret is never written to a disk.
secrets=${BREAKEVEN_SECRETS_DIR:-/dev/shm/breakeven}

# shellcheck disable=SC2034 # the scripts that source this use both
prepare() {
  : "${BREAKEVEN_SECRET?}" "${BREAKEVEN_STACK?}" "${BREAKEVEN_WORKING_BUCKET?}" # named before anything is waited for
  stamp script
  address=$(boot fact local-ipv4)
  instance=$(boot fact instance-id)
  boot secret "$BREAKEVEN_SECRET" "$secrets"
  stamp secret
}

# A log that does not get through ends no engine.
publish() {
  boot publish "$log" "$BREAKEVEN_WORKING_BUCKET" "boot/$BREAKEVEN_STACK/$instance.jsonl" ||
    echo "the boot log was not published" >&2
}
