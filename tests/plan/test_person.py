"""What belongs to a person."""

import pytest

from plan.person import Person, PersonError, is_world, person

ENVIRONMENT = {
    "BREAKEVEN_OWNER": "a@example.org",
    "BREAKEVEN_CLIENT_CIDR": "203.0.113.7/32",
    "BREAKEVEN_REGION": "us-east-1",
    "BREAKEVEN_VCPU_QUOTA": "64",
    "BREAKEVEN_LAMBDA_CONCURRENCY": "1000",
    "BREAKEVEN_LAMBDA_MEMORY_MIB": "3008",
}


def test_config_goes_before_the_environment_and_empty_config_is_none() -> None:
    found = person({"breakeven:region": "eu-west-1", "owner": ""}, ENVIRONMENT)
    assert found == Person("a@example.org", "203.0.113.7/32", "eu-west-1", 64, 1000, 3008)


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_what_is_missing_is_named_with_both_ways_to_set_it(variable: str) -> None:
    rest = {key: value for key, value in ENVIRONMENT.items() if key != variable}
    with pytest.raises(PersonError, match=variable) as error:
        person({}, rest)
    assert len(error.value.missing) == 1
    assert f"pulumi config set breakeven:{error.value.missing[0]}" in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("owner", "a b"),
        ("clientCidr", "0.0.0.0/0"),
        ("clientCidr", "::/0"),
        ("clientCidr", "0.0.0.0/1"),
        ("clientCidr", "203.0.113.7"),
        ("clientCidr", "2001:db8::7"),
        ("clientCidr", "203.0.113.7/24"),
        ("clientCidr", "203.0.0.0/16"),
        ("clientCidr", "2001:db8::/32"),
        ("clientCidr", "10.0.0.1/32"),
        ("clientCidr", "100.64.0.1/32"),
        ("clientCidr", "127.0.0.1/32"),
        ("clientCidr", "169.254.1.1/32"),
        ("clientCidr", "fd00::1/128"),
        ("clientCidr", "my address/32"),
        ("owner", "ädä"),
        ("owner", "a" * 65),
        ("clientCidr", "203.0.113.300/32"),
        ("region", "Frankfurt"),
        ("vcpuQuota", "many"),
        ("lambdaConcurrency", "-1"),
        ("lambdaConcurrency", "1e3"),
        ("lambdaConcurrency", "٣٢"),
        ("lambdaMemoryMib", "3 GB"),
        ("lambdaMemoryMib", "10"),
        ("expiresAt", "tomorrow"),
        ("expiresAt", "2026-13-01T00:00:00Z"),
    ],
)
def test_what_cannot_be_used_is_refused(key: str, value: str) -> None:
    with pytest.raises(PersonError, match=key) as refused:
        person({f"breakeven:{key}": value}, ENVIRONMENT)
    assert (len(refused.value.wrong), refused.value.missing) == (1, ())


def test_a_wrong_value_is_said_beside_what_is_missing() -> None:
    with pytest.raises(PersonError, match=r"found vcpuQuota 'many'.*found no owner") as refused:
        person({"vcpuQuota": "many"}, {})
    assert len(refused.value.missing) == len(ENVIRONMENT) - 1


@pytest.mark.parametrize(
    ("cidr", "world"),
    [
        ("0.0.0.0/0", True),
        ("128.0.0.0/1", True),
        ("203.0.0.0/8", True),
        ("203.0.0.0/23", True),
        ("203.0.113.0/24", False),
        ("10.0.0.0/8", False),
        ("192.168.1.0/24", False),
        ("::/0", True),
        ("2001::/16", True),
        ("2001:db8::/48", False),
        ("fd00::/8", False),
    ],
)
def test_what_is_the_world(cidr: str, world: bool) -> None:
    assert is_world(cidr) is world
