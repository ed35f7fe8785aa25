"""A copy-on-write view of this machine: what runs as root in it may make users and write below /var, and nothing
outside changes. Its processes and its files go with it.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

_ENTER = """
set -eu
mount -t tmpfs tmpfs "$VIEW"
mkdir "$VIEW/upper" "$VIEW/work" "$VIEW/tree"
mount -t overlay overlay -o "lowerdir=/,upperdir=$VIEW/upper,workdir=$VIEW/work" "$VIEW/tree"
mount -t proc proc "$VIEW/tree/proc"
for folder in dev "${SHARED[@]}"; do mkdir -p "$VIEW/tree/$folder"; mount --rbind "/$folder" "$VIEW/tree/$folder"; done
for file in passwd group; do cp "/usr/share/base-passwd/$file.master" "$VIEW/tree/etc/$file"; done
rm -f "$VIEW"/tree/etc/{shadow,gshadow,subuid,subgid}
chmod 755 "$VIEW/tree$HOME" # this Python may lie there, and others than root have to reach it
exec chroot "$VIEW/tree" bash -c "$SCRIPT"
"""


def missing() -> str | None:
    """Why no view can be made here; None where it can."""
    if os.geteuid() != 0:
        return "only root makes an overlay in a mount namespace"
    if not Path("/usr/share/base-passwd/passwd.master").is_file():
        return "this machine is no Debian, as the images' base is"
    probe = "set -e; mount -t tmpfs t /mnt; mkdir /mnt/{u,w,r}; mount -t overlay o -o lowerdir=/,upperdir=/mnt/u,"
    probe += "workdir=/mnt/w /mnt/r"
    done = subprocess.run([*_unshare(), "bash", "-c", probe], capture_output=True, text=True, check=False)
    return f"no overlay here: {done.stderr.strip()}" if done.returncode else None


def command(folder: Path, script: str, shared: Sequence[Path] = ()) -> list[str]:
    """What runs `script` by bash in a view, with the distribution's first users; ended by SIGKILL, all of it ends.

    `folder`: an empty one. `shared`: folders that are this machine's own in the view, too.
    """
    folder.mkdir(exist_ok=True)
    names = " ".join(f"'{str(path).lstrip('/')}'" for path in shared)
    enter = f"SHARED=({names})\n{_ENTER}"
    return [*_unshare(), "env", f"VIEW={folder}", f"SCRIPT={script}", "bash", "-c", enter]


def _unshare() -> list[str]:
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
