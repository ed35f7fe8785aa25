"""Policies, certificates, user data and schedules: pure functions, tested as text."""

import json
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.aws.expiry import expires_after, terminate, to_zero
from infra.aws.images import repository_arn
from infra.aws.kept_secret import cache_secret, certificate, dask_certificate, ray_token
from infra.aws.user_data import LIMIT_BYTES, render


def test_certificate_is_its_own_authority_and_opens_a_context(tmp_path: Path) -> None:
    made = certificate("breakeven-dask")
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    context = ssl.create_default_context(cafile=str(tmp_path / "ca"))
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")  # raises when the key is another's
    assert context.cert_store_stats()["x509_ca"] == 1


def test_no_secret_is_made_twice() -> None:
    for make in (ray_token, dask_certificate, cache_secret):
        assert make() != make()
    assert len(json.loads(ray_token())["token"]) == 64


def test_user_data_quotes_what_a_shell_would_read() -> None:
    text = render("echo\n", {"A": "x; rm -rf $HOME 'y'"})
    assert text == "#!/bin/bash\nexport A='x; rm -rf $HOME '\"'\"'y'\"'\"''\necho\n"


def test_user_data_that_ec2_would_refuse_is_refused_here() -> None:
    with pytest.raises(ValueError, match=f"wanted at most {LIMIT_BYTES}"):
        render("#" * LIMIT_BYTES, {})


def test_expiry_is_an_instant_in_utc_and_schedules_end_what_they_name() -> None:
    assert expires_after(1.5, datetime(2026, 11, 21, 23, 0, tzinfo=UTC)) == "2026-11-22T00:30:00Z"
    assert json.loads(to_zero("g")) == {"AutoScalingGroupName": "g", "MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0}
    assert json.loads(terminate("i-1")) == {"InstanceIds": ["i-1"]}


def test_repository_arn_is_read_from_an_image_by_digest() -> None:
    uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/cluster@sha256:" + "a" * 64
    assert repository_arn(uri) == "arn:aws:ecr:eu-west-1:123456789012:repository/team/cluster"
    with pytest.raises(ValueError, match=r"wanted <account>"):
        repository_arn(uri.split("@", maxsplit=1)[0] + ":latest")
