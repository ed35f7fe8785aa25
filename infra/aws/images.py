"""Container images: a repository each, built from `runtimes/<image>/` and used by digest."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build

UNTAGGED_DAYS = 14
PLATFORM = "linux/amd64"
"""What images are built for, whatever the deployer's machine is: the wheels are pinned for it, and hosts, nodes and
functions of another architecture are refused."""


@dataclass(frozen=True)
class ImagesArgs:
    """`contexts`: image name to the folder with its Dockerfile."""

    contexts: Mapping[str, Path]


def expire_untagged(days: int) -> str:
    """A lifecycle policy, as JSON: an image that lost its tag to a newer build goes after so many days."""
    selection = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days}
    return json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]})


class Images(pulumi.ComponentResource):
    """A registry repository and an image per runtime, built on the deployer's machine (Docker) and pushed.

    Why so: used as URL and digest, an image cannot change under a stack that is measured; a new build moves the tag
    and leaves the old digest for two weeks. Costs 0.10 USD per GB and month, about 0.20 USD for both. Outputs: `uris`
    (image name to URL@digest), `repository_arns`.
    """

    uris: dict[str, pulumi.Output[str]]
    repository_arns: list[pulumi.Output[str]]

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:Images", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        login = aws.ecr.get_authorization_token_output(opts=pulumi.InvokeOptions(parent=self))
        self.uris, self.repository_arns = {}, []
        for image, context in args.contexts.items():
            repository = aws.ecr.Repository(
                f"{name}-{image}",
                image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
                force_delete=True,
                opts=child,
            )
            aws.ecr.LifecyclePolicy(
                f"{name}-{image}", repository=repository.name, policy=expire_untagged(UNTAGGED_DAYS), opts=child
            )
            built = docker_build.Image(
                f"{name}-{image}",
                # Relative to the program's folder, where the engine starts both: with an absolute path in the state, an
                # `up` from another checkout would build the images anew and replace what runs them.
                context=docker_build.BuildContextArgs(location=os.path.relpath(context)),
                # As text, so that the rules see what it is built from.
                dockerfile=docker_build.DockerfileArgs(inline=(context / "Dockerfile").read_text()),
                platforms=[docker_build.Platform(PLATFORM)],
                tags=[pulumi.Output.concat(repository.repository_url, ":current")],
                push=True,
                registries=[
                    docker_build.RegistryArgs(
                        address=repository.repository_url, username=login.user_name, password=login.password
                    )
                ],
                opts=child,
            )
            self.uris[image] = pulumi.Output.concat(repository.repository_url, "@", built.digest)
            self.repository_arns.append(repository.arn)
        self.register_outputs({"uris": self.uris, "repositoryArns": self.repository_arns})


def repository_arn(uri: str) -> str:
    """The ARN of the repository that an image's URL@digest is in. Raises ValueError for another form of address."""
    registry, _, rest = uri.partition("/")
    parts = registry.split(".")
    if len(parts) < 4 or parts[1:3] != ["dkr", "ecr"] or "@sha256:" not in rest:
        raise ValueError(f"found image {uri!r}, wanted <account>.dkr.ecr.<region>.amazonaws.com/<name>@sha256:<digest>")
    return f"arn:aws:ecr:{parts[3]}:{parts[0]}:repository/{rest.split('@')[0]}"
