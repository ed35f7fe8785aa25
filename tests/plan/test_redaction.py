"""No text that a user may pass on holds a secret, in whatever form an engine's error shows it."""

import pytest

from plan import redaction
from plan.redaction import redacted

SECRET = "wJalrXUtnFEMI/K7MDENG"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"Access(endpoint_url='http://x', secret_access_key='{SECRET}')", "endpoint_url='http://x'"),
        (f'{{"key": "k", "secret": "{SECRET}", "client_kwargs": {{}}}}', "client_kwargs"),
        (f"aws_secret_access_key = {SECRET}", "aws_secret_access_key"),
        ("failed for AKIAIOSFODNN7EXAMPLE in us-east-1", "in us-east-1"),
        (f"redis://:{SECRET}@127.0.0.1:6379/0 refused", "127.0.0.1:6379/0 refused"),
        (f"https://b/k?X-Amz-Signature={SECRET}&x=1", "x=1"),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----\nrefused", "refused"),
    ],
)
def test_forms_of_secrets(text: str, kept: str) -> None:
    found = redacted(text)
    assert SECRET not in found
    assert "AKIA" not in found
    assert kept in found
    assert redacted(found) == found


def test_what_was_read_is_known_by_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", set())
    redaction.keep("hunter2hunter2", "short", None)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token-of-the-session")
    assert redacted("('hunter2hunter2', 'a-token-of-the-session', 'short')") == "('[redacted]', '[redacted]', 'short')"


@pytest.mark.parametrize(
    "text", ["C error: Expected 3 fields, saw 4", "secret_at: /run/secrets/ray", "secret_access_key=None", "a: b@c"]
)
def test_other_text_stays(text: str) -> None:
    assert redacted(text) == text
