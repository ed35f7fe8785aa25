"""The line between this program and a run elsewhere: which errors are the line's own, and pass by themselves."""

import ssl
from typing import Any

from botocore import exceptions

# The user's own set-up: waiting mends none of it.
_SET_UP = (
    *(exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound),
    *(exceptions.NoRegionError, exceptions.ParamValidationError, exceptions.InvalidConfigError),
)
_PASSING = (
    *("RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded"),
    *("ExpiredToken", "ExpiredTokenException", "RequestExpired"),  # signing in anew mends it, while the run goes on
)


def is_broken(error: BaseException) -> bool:
    """Whether an error is of the line or the service at its other end, and no word on what was asked."""
    if isinstance(error, exceptions.ClientError):
        told: Any = error.response
        status = told.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or told.get("Error", {}).get("Code") in _PASSING
    if isinstance(error, exceptions.BotoCoreError):
        return not isinstance(error, _SET_UP)
    if isinstance(error, ConnectionError | TimeoutError | ssl.SSLError):
        return True
    # kr8s's, by module: it is not there where no stack has pods.
    module = type(error).__module__.partition(".")[0]
    if module in ("httpx", "httpcore", "kr8s", "kr8s_exceptions"):
        response = getattr(error, "response", None)
        return response is None or response.status_code >= 500 or response.status_code == 429
    return False
