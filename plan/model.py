"""The base of every typed document: frozen, camelCase in YAML and JSON, snake_case in Python, unknown keys refused."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Frozen, strict about keys; accepts and writes camelCase, as Pulumi's own documents do."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)
