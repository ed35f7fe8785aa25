"""What every stack exports: addresses, names and control handles, the same model for `dev` and AWS.

Secrets are named by where they are kept, never by value: a path on `local`, a Secrets Manager secret on AWS.
"""

from typing import Literal

from plan.model import Model
from plan.settings import Autoscale, Engine, Platform


class ClusterOutputs(Model):
    """One engine's cluster as a session finds it."""

    engine: Engine
    platform: Platform
    address: str | None = None
    """Ray: GCS host:port. Dask: tcp:// or tls:// URL. None while the cluster is at zero nodes."""
    secret_at: str | None = None
    """Ray: the token. Dask: the folder or secret with CA, certificate and key. eks: the Secret of the namespace."""
    nodes: int
    """What the engine counts as nodes: hosts, or on eks pods, each of which has one slot."""
    slots_per_node: int
    group: str | None = None
    """What `scale` moves: an autoscaling group's name, a custom resource's name, or the part's name on `local`."""
    head_group: str | None = None
    """ec2: the autoscaling group, of one at most, that holds the head or scheduler; at zero as well until a session."""
    instance_type: str | None = None
    head_instance_type: str | None = None
    """ec2: the type of the head or scheduler, which is billed beside the nodes."""
    limit_mib: int
    limit_enforced_by: Literal["nanny", "cgroup", "none"] = "none"
    autoscale: Autoscale | None = None
    """Bounds between which the engine's own autoscaler moves the cluster; `nodes` is then the most."""


class FunctionsOutputs(Model):
    """The function pool as Lithops is configured for it."""

    platform: Literal["local", "lambda"]
    name: str | None = None
    max_workers: int
    memory_mib: int
    timeout_s: int
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    runtime: str
    """Lambda: Lithops' name for the image and its digest. Local: the worker's Python interpreter."""
    temp_dir: str | None = None
    """`local` only: what TMPDIR must be when Lithops is first imported, so that what it leaves lies in the stack."""
    namespace: str | None = None
    user_id: str | None = None
    """Lambda: what Lithops must be given as `user_id`, since its last four characters are in the function's name."""
    role_arn: str | None = None
    limit_enforced_by: Literal["lambda", "cgroup", "none"] = "none"


class CacheOutputs(Model):
    """The Redis host."""

    host: str
    port: int
    tls: bool
    secret_at: str


class KubernetesOutputs(Model):
    """The EKS cluster that all `eks` clusters of the stack share."""

    cluster: str
    """EKS's name for it: `aws eks update-kubeconfig --name` makes it known to kubectl."""
    namespace: str
    """Where the custom resources and a session's Job live."""
    driver_account: str
    """The service account of a session's Job: it may scale this namespace's clusters and use the stack's buckets."""
    nodes: int


class Outputs(Model):
    """Everything a session needs to open an engine on this stack."""

    stack: str
    program: Literal["embedded", "base", "bench"]
    region: str
    worker_memory_mib: int
    worker_vcpu: int
    s3_endpoint: str | None = None
    s3_secret_at: str | None = None
    """A JSON file with accessKeyId and secretAccessKey on `local`; None where the role of the host is used."""
    data_bucket: str | None = None
    working_bucket: str | None = None
    results_bucket: str | None = None
    images: dict[str, str] = {}
    """Container images by name, as URL@digest; from `base`."""
    clusters: dict[str, ClusterOutputs] = {}
    kubernetes: KubernetesOutputs | None = None
    functions: FunctionsOutputs | None = None
    cache: CacheOutputs | None = None
    driver_instance: str | None = None
    state_dir: str | None = None
    """`local` only: where the supervisor keeps state and logs."""
    worker_python: str | None = None
    """`local` only: the interpreter of the workers, which cannot import this project."""
    startup_s: dict[str, float] = {}
    """`local` only: by part, seconds from its start command until it answered."""
    began_at: dict[str, float] = {}
    """`local` only: by part, when its process began, in epoch seconds; another time is another process."""
    expires_at: str | None = None
    """UTC, ISO 8601; None where nothing costs money."""
