"""Resources as plain data, wherever they come from."""

from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from plan.rules.tags import TAGGABLE
from plan.rules.wire import UNKNOWN, at, plain


def test_python_names_become_wire_names_but_not_the_users_own_keys() -> None:
    found = plain(
        {"cidr_ipv4": "x", "tag_specifications": [{"resource_type": "volume", "tags": {"my_key": "v"}}], "a": None}
    )
    assert found == {"cidrIpv4": "x", "tagSpecifications": [{"resourceType": "volume", "tags": {"my_key": "v"}}]}


def test_typed_arguments_and_outputs_of_a_program() -> None:
    options = aws.ec2.LaunchTemplateMetadataOptionsArgs(http_tokens="required", http_put_response_hop_limit=1)
    found = plain({"metadata_options": options, "user_data": pulumi.Output.from_input("x")})
    assert found == {"metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1}, "userData": UNKNOWN}


def test_the_policy_sdk_s_unknowns_do_not_raise() -> None:
    """Touched as they are, they end the rule with an advisory, which stops nothing."""
    raw = {
        "policy": UNKNOWN_STRING_VALUE,
        "rules": [{"cidr": UNKNOWN_STRING_VALUE, "port": 1.0}],
        "ids": [UNKNOWN_STRING_VALUE],
    }
    wanted = {"policy": UNKNOWN, "rules": [{"cidr": UNKNOWN, "port": 1.0}], "ids": [UNKNOWN]}
    assert plain(unknown_checking_proxy(raw)) == wanted
    assert plain(raw) == wanted


def test_an_unknown_value_has_no_truth() -> None:
    with pytest.raises(TypeError, match="UNKNOWN"):
        bool(UNKNOWN)


@pytest.mark.parametrize(
    ("props", "found"),
    [
        ({"a": {"b": 1}}, 1),
        ({"a": [{"b": 1}]}, 1),
        ({"a": UNKNOWN}, UNKNOWN),
        ({"a": {}}, None),
        ({}, None),
        ({"a": 3}, None),
        ({"a": [{"b": 1}, {"b": 2}]}, None),
    ],
)
def test_values_below_a_path(props: dict[str, Any], found: Any) -> None:
    assert at(props, "a", "b") is found if found is UNKNOWN else at(props, "a", "b") == found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the provider's own, at import
@pytest.mark.parametrize("token", sorted(TAGGABLE))
def test_what_is_said_to_carry_tags_does(token: str) -> None:
    """A misspelt token would be a type that no rule looks at."""
    module, kind = token.removeprefix("aws:").split(":")[0].split("/")[0], token.rsplit(":", 1)[1]
    module = {"lambda": "lambda_"}.get(module, module)
    __import__(f"pulumi_aws.{module}")
    resource = getattr(getattr(aws, module), kind)
    assert hasattr(resource, "tags")
    assert resource.pulumi_type == token
