"""Builds the images of `runtimes/` on this machine, as `pulumi up -s base` builds them before it pushes.

    python -m ops.images

The builder is docker, podman or buildah, whichever works first. BREAKEVEN_IMAGE_BASE names another base image for
the Dockerfiles' FROM, where the registry that holds theirs is not reached. BREAKEVEN_IMAGE_BUILDER names a program to
call in the builder's place, with the folder, the tag and, if it is set, the base.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from plan.faults import reported

RUNTIMES = Path(__file__).parents[1] / "runtimes"
IMAGES = ("cluster", "functions")
PLATFORM = "linux/amd64"


def tag(image: str) -> str:
    """The image's name on this machine, by the content of its folder: what is found under it is what is committed."""
    digest = hashlib.sha256()
    for path in sorted((RUNTIMES / image).iterdir()):
        if path.is_file():
            digest.update(f"{path.name}\0{path.stat().st_mode & 0o111}\0".encode() + path.read_bytes())
    return f"localhost/breakeven-{image}:{digest.hexdigest()[:12]}"


def build_command(image: str, environment: Mapping[str, str]) -> list[str]:
    """What builds the image. Raises click.ClickException where no builder is found."""
    context, base = str(RUNTIMES / image), environment.get("BREAKEVEN_IMAGE_BASE")
    if builder := environment.get("BREAKEVEN_IMAGE_BUILDER"):
        return [*shlex.split(builder), context, tag(image), *([base] if base else [])]
    found = next((name for name in ("docker", "podman", "buildah") if _answers(name, environment)), None)
    if found is None:
        raise click.ClickException(
            "found none of docker, podman and buildah on PATH that answers `info`, wanted one to build images with: "
            "install or start one, or name a program in BREAKEVEN_IMAGE_BUILDER"
        )
    replaced = []
    if base and found == "docker":
        replaced = ["--build-context", f"{_base_of(image)}=docker-image://{base}"]
    elif base:
        replaced = ["--from", base]
    return [found, "build", "--platform", PLATFORM, *replaced, "--tag", tag(image), context]


def _answers(name: str, environment: Mapping[str, str]) -> bool:
    """Whether it is there and can work: docker's command line is often there without its daemon."""
    found = shutil.which(name, path=environment.get("PATH"))
    return found is not None and not subprocess.run([found, "info"], capture_output=True, check=False).returncode


def _base_of(image: str) -> str:
    lines = (RUNTIMES / image / "Dockerfile").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("FROM "))


@click.command(help=__doc__)
def cli() -> None:
    for image in IMAGES:
        command = build_command(image, os.environ)
        click.echo(f"{image}: {shlex.join(command)}")
        if code := subprocess.run(command, check=False).returncode:
            raise click.ClickException(
                f"{image}: {command[0]} ended with code {code}, wanted {tag(image)}; its reason is above. Where "
                "the base image's registry is not reached, name another base in BREAKEVEN_IMAGE_BASE"
            )
    click.echo("\n".join(tag(image) for image in IMAGES))


if __name__ == "__main__":
    with reported():
        sys.exit(cli())
