"""What an HTTP request to AWS asks for: who, which service and operation, with which parameters.

Routes and parameters come from botocore's service models, by way of moto's own router and parsers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model

_SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")

# The name in a signature, where botocore's model has another.
_MODELS = {"tagging": "resourcegroupstaggingapi", "monitoring": "cloudwatch"}


@dataclass(frozen=True)
class Call:
    """One request. `service` as in its signature, `params` by the API's own names, `by` an access key."""

    service: str
    operation: str
    params: Mapping[str, Any]
    region: str = "us-east-1"
    by: str = "test"


def call_of(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Call | None:
    """The call that a request makes; None for one that nobody signed, which is none of AWS's."""
    signed = _SCOPE.search({key.lower(): value for key, value in headers.items()}.get("authorization", ""))
    if signed is None:
        return None
    model = _MODELS.get(signed["service"], signed["service"])
    if model == "s3" and "/v20180820/" in url:
        model = "s3control"
    request = Request.from_primitives(method, url, headers, body)
    operation, path = get_service_router(model).match(request)
    parser = PROTOCOL_PARSERS[determine_request_protocol(get_service_model(model), request.content_type)]
    asked = {
        "method": method,
        "values": request.values,
        "headers": request.headers,
        "body": request.data,
        "url_path": request.path,
        "url_params": path,
    }
    params = parser(operation, map_type=dict).parse(asked)
    return Call(signed["service"], operation.name, params or {}, signed["region"], signed["key"])
