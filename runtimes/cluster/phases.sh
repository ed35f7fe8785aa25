# Sourced by the boot scripts in the image: log a phase, know the host, fetch the secret, publish the log.
# shellcheck shell=bash
set -euo pipefail

stamp() { printf '{"phase": "%s", "at": %s}\n' "$1" "$(date +%s.%N)" >>"$BREAKEVEN_BOOT_LOG"; }

boot() { python "$(dirname "${BASH_SOURCE[0]}")/boot.py" "$@"; }

# Memory-backed where the host has it, so that a secret is never written to a disk.
secrets=${BREAKEVEN_SECRETS_DIR:-/dev/shm/breakeven}

# shellcheck disable=SC2034 # the scripts that source this use both
prepare() {
  stamp script
  address=$(boot fact local-ipv4)
  instance=$(boot fact instance-id)
  boot secret "$BREAKEVEN_SECRET" "$secrets"
  stamp secret
}

publish() { boot publish "$BREAKEVEN_BOOT_LOG" "$BREAKEVEN_WORKING_BUCKET" "boot/$BREAKEVEN_STACK/$instance.jsonl"; }
