"""Which builder makes the images, and what it is told."""

from pathlib import Path

import click
import pytest

from infra.aws.images import PLATFORM
from ops import images
from tests.images.containers import write

BASE = "registry.example/python:3.11"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (("docker", "podman", "buildah"), "docker"),
        (("podman", "buildah"), "podman"),
        (("buildah",), "buildah"),
    ],
)
def test_the_first_builder_that_works_is_taken(tools: Path, there: tuple[str, ...], wanted: str) -> None:
    for name in there:
        write(tools / name, "#!/bin/sh\n")
    command = images.build_command("cluster", {"PATH": str(tools)})
    assert command[:2] == [wanted, "build"]
    assert command[command.index("--platform") + 1] == images.PLATFORM == PLATFORM
    assert command[-1].endswith("runtimes/cluster")


def test_a_docker_without_its_daemon_is_passed_over(tools: Path) -> None:
    write(tools / "docker", "#!/bin/sh\nexit 1\n")
    with pytest.raises(click.ClickException, match="found none of docker, podman and buildah"):
        images.build_command("cluster", {"PATH": str(tools)})
    write(tools / "podman", "#!/bin/sh\n")
    assert images.build_command("cluster", {"PATH": str(tools)})[0] == "podman"


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ("docker", ["--build-context", f"{images._base_of('functions')}=docker-image://{BASE}"]),
        ("podman", ["--from", BASE]),
    ],
)
def test_another_base_replaces_the_dockerfile_s(tools: Path, tool: str, said: list[str]) -> None:
    write(tools / tool, "#!/bin/sh\n")
    command = images.build_command("functions", {"PATH": str(tools), "BREAKEVEN_IMAGE_BASE": BASE})
    assert [command[command.index(said[0])], command[command.index(said[0]) + 1]] == said


def test_a_named_builder_gets_folder_tag_and_base(tools: Path) -> None:
    command = images.build_command("functions", {"BREAKEVEN_IMAGE_BUILDER": "make it", "BREAKEVEN_IMAGE_BASE": BASE})
    assert command == ["make", "it", str(images.RUNTIMES / "functions"), images.tag("functions"), BASE]


def test_a_tag_is_of_the_folder_s_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "RUNTIMES", tmp_path)
    (tmp_path / "cluster").mkdir()
    script = write(tmp_path / "cluster" / "boot.sh", "a")
    tags = {images.tag("cluster")}
    script.chmod(0o644)
    tags.add(images.tag("cluster"))
    script.write_text("b")
    tags.add(images.tag("cluster"))
    assert len(tags) == 3
