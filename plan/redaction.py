"""Keeps secrets out of rows, messages and tracebacks: by value where this process has read them, otherwise by form."""

import os
import re

REDACTED = "[redacted]"
# Shorter values occur in ordinary text.
_LEAST_CHARACTERS = 8
_IN_ENVIRONMENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE")
_known: set[str] = set()

_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REDACTED),
    (re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"), REDACTED),
    (re.compile(r"(\w://)[^\s/@:]*:[^\s@]+@"), rf"\1{REDACTED}@"),
    (
        re.compile(
            r"(?i)(\b(?:aws_|s3_)?(?:access_key(?:_id)?|secret(?:_?access)?(?:_key)?|session_token|password|passphrase|"
            r"auth_token|x-amz-(?:security-token|signature|credential))['\"]?\s*[=:]\s*['\"]?)(?!None\b|\[redacted\])"
            r"[^\s'\",;)}&\]]+"
        ),
        rf"\1{REDACTED}",
    ),
)


def keep(*secrets: str | None) -> None:
    """Remember secrets that this process has read, so that `redacted` knows them wherever they appear."""
    _known.update(secret.strip() for secret in secrets if secret and len(secret.strip()) >= _LEAST_CHARACTERS)


def redacted(text: str) -> str:
    """The text with every secret replaced."""
    held = {os.environ.get(name, "") for name in _IN_ENVIRONMENT}
    for secret in sorted(_known | {value for value in held if len(value) >= _LEAST_CHARACTERS}, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    return text
