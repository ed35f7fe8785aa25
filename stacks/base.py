"""What outlives every measurement: buckets, images, the janitor."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.destroy_guard import DestroyGuard, DestroyGuardArgs
from infra.aws.guard import watch
from infra.aws.images import Images, ImagesArgs
from infra.aws.janitor import Janitor, JanitorArgs
from infra.aws.storage import Storage, StorageArgs
from infra.aws.user_data import RUNTIMES
from plan.person import Person
from plan.settings import Settings
from stacks.judged import judge, judge_stack, stays, tags

IMAGES = ("cluster", "functions")


def program(settings: Settings, person: Person) -> Mapping[str, Any]:
    """Declare the base stack; the returned mapping is `plan.outputs.Outputs` by its wire names."""
    region = person.region
    declared = watch(tags(settings, person), judge(settings, person))
    before = pulumi.StackReference(f"{pulumi.get_organization()}/{pulumi.get_project()}/{settings.stack}")
    there = before.get_output("region").apply(stays(settings.stack, region))
    here = pulumi.ResourceOptions(providers=[aws.Provider("aws", region=there)])
    name = f"breakeven-{settings.stack}"
    storage = Storage(name, StorageArgs(), opts=here)
    images = Images(name, ImagesArgs({image: RUNTIMES / image for image in IMAGES}), opts=here)
    janitor = Janitor(f"{name}-janitor", JanitorArgs(region), opts=here)
    DestroyGuard(f"{name}-guard", DestroyGuardArgs(settings.stack, [storage, images, janitor]), opts=here)
    judge_stack(declared, settings)
    return {
        "stack": settings.stack,
        "program": "base",
        "region": region,
        "workerMemoryMib": settings.worker.memory_mib,
        "workerVcpu": settings.worker.vcpu,
        "dataBucket": storage.data,
        "workingBucket": storage.working,
        "resultsBucket": storage.results,
        "images": images.uris,
    }
