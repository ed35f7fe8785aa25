# First boot of the cache host, after runtimes/first-boot.sh: Redis from the distribution, under TLS, with a password and a
# bound on its memory.
# shellcheck shell=bash

again timeout 180 dnf install --quiet --assumeyes redis6
id cache >/dev/null 2>&1 || useradd --system --no-create-home --shell /sbin/nologin cache
folder=/var/lib/breakeven-cache
install -d -m 700 "$folder"

fetch_secret() {
  timeout 60 aws secretsmanager get-secret-value --region "$BREAKEVEN_REGION" --secret-id "$BREAKEVEN_SECRET" \
    --query SecretString --output text |
    python3 -c '
import json, os, sys
for entry, text in json.load(sys.stdin).items():
    with open(os.open(os.path.join(sys.argv[1], entry), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
' "$folder"
}
again fetch_secret

# The password goes in by file: an argument would show in the process list.
(umask 077 && cat >"$folder/redis.conf") <<CONF
port 0
tls-port $BREAKEVEN_PORT
tls-cert-file $folder/cert
tls-key-file $folder/key
tls-ca-cert-file $folder/ca
tls-auth-clients no
requirepass $(cat "$folder/password")
maxmemory ${BREAKEVEN_MAX_MEMORY_MIB}mb
maxmemory-policy noeviction
save ""
appendonly no
bind 0.0.0.0
dir $folder
CONF
rm "$folder/password"
chown -R cache: "$folder"
# A unit of its own, as a user of its own: cloud-init would otherwise wait for it, and nothing would start it again.
systemd-run --unit breakeven-cache --uid cache --property Restart=on-failure --property LimitNOFILE=65536 \
  "$(command -v redis6-server)" "$folder/redis.conf"
# A cache that never listens is no cache: the boot has failed.
again timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$BREAKEVEN_PORT"
