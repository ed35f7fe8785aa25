"""Rules over kinds of machine: what the images, the machine image and the node group can run on."""

from collections.abc import Iterator

from catalog.instances import UnknownInstanceTypeError, instance
from plan.rules.case import Case
from plan.rules.violation import Violation
from plan.settings import Settings

ARCHITECTURE = "x86_64"
"""Of every image that `base` builds, of the hosts' machine image and of the EKS node group."""


def types_known(case: Case) -> Iterator[Violation]:
    """Every instance type is in the catalog and of AWS. Judged first: nothing can be computed of an unknown one."""
    for key, kind in named_types(case.settings).items():
        try:
            provider = instance(kind).provider
        except UnknownInstanceTypeError as error:
            yield case.refused("instance-known", key, repr(kind), "a type of catalog/instances.csv", str(error))
            continue
        if provider != "AWS":
            wanted = "a type of AWS, the only provider that the programs declare"
            yield case.refused("instance-known", key, f"{kind!r} of {provider}", wanted, "choose an AWS type")


def architecture(case: Case) -> Iterator[Violation]:
    """No Arm machine or function: images are built for x86_64, and would not start there."""
    wanted = f"{ARCHITECTURE}, for which the images are built"
    for key, kind in named_types(case.settings).items():
        if (arch := instance(kind).arch) != ARCHITECTURE:
            fix = "take an Intel or AMD type, such as m6i"
            yield case.refused("architecture", key, f"{kind}, which is {arch}", wanted, fix)
    functions = case.settings.functions
    if functions is not None and functions.architecture != ARCHITECTURE:
        fix = "leave it out; `python -m bench.breakeven --arm` says what Arm would cost"
        yield case.refused("architecture", "functions.architecture", functions.architecture, wanted, fix)


def no_gpu(case: Case) -> Iterator[Violation]:
    """No machine with GPUs: no image can use them, they are dear, and count against another quota."""
    for key, kind in named_types(case.settings).items():
        if count := instance(kind).gpus:
            found = f"{kind}, which has {count} GPU"
            wanted = "a type without GPU, since no image here can use one"
            yield case.refused("no-gpu", key, found, wanted, "take an m, c or r type")


def named_types(settings: Settings) -> dict[str, str]:
    """Every instance type that the settings name, by its key."""
    named = {f"clusters.{name}.instanceType": cluster.instance_type for name, cluster in settings.clusters.items()}
    named |= {f"clusters.{name}.headInstanceType": c.head_instance_type for name, c in settings.clusters.items()}
    for key in ("kubernetes", "cache", "driver"):
        named[f"{key}.instanceType"] = getattr(getattr(settings, key), "instance_type", None)
    return {key: kind for key, kind in named.items() if kind is not None}
