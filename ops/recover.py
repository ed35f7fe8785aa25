"""After an `up` or `destroy` that was killed: bring the stack up, or end it, with nothing lost in between.

\b
    python -m ops.recover --stack bench-32                # a stack that is up
    python -m ops.recover --stack bench-32 --to nothing   # a stack that is gone, and an audit that says so

The engine notes in its state what it is about to make, and AWS may have made it without the state's knowing. Such
resources are looked for, by name or by tags, and taken into the state; then the engine does the rest, as always.
"""

import json
import subprocess
import sys
from typing import Any

import click

from ops import account
from ops.adopt import identity, wait_until_made
from plan.faults import reported
from plan.rules.tags import STACK
from plan.stack_file import ROOT
from plan.stack_option import StackName


@click.command(help=__doc__)
@click.option("--stack", type=StackName(), required=True, help="the stack whose deploy was killed")
@click.option("--to", type=click.Choice(["up", "nothing"]), default="up", show_default=True, help="how it is to end")
def recover(stack: str, to: str) -> None:
    """Release the lock, take in what was being made, and run `up`, or `destroy` and the audit."""
    _pulumi(stack, "cancel", "--yes", check=False)  # there may be no lock
    state = json.loads(_pulumi(stack, "stack", "export", quiet=True))
    session = account.session()
    adopted = adopt(state, stack, session)
    if adopted is not None:
        for urn, found in adopted.items():
            click.echo(f"{urn.rpartition('::')[2]}: {f'was made, as {found}' if found else 'was not made'}")
        _pulumi(stack, "stack", "import", given=json.dumps(state))
    for rule in revoke_unknown(state, stack, session):
        click.echo(f"{rule}: a rule of a security group that no state knows, revoked")
    _pulumi(stack, "refresh", "--yes", "--skip-preview")
    _pulumi(stack, to.replace("nothing", "destroy"), "--yes", "--skip-preview")
    if to == "nothing":
        sys.exit(subprocess.run([sys.executable, "-m", "ops.audit", "--stack", stack], check=False).returncode)


def adopt(state: dict[str, Any], stack: str, session: Any) -> dict[str, str | None] | None:
    """Move what was being made, and is there, from a state's pending operations to its resources.

    Changes `state`; returns the identifier by URN, None for what was not made; None where no operation is pending.
    """
    deployment = state["deployment"]
    pending = deployment.pop("pending_operations", None)
    if not pending:
        return None
    region = _region(deployment["resources"])
    known = {str(resource.get("id")) for resource in deployment["resources"]}
    there = {resource["urn"]: resource for resource in deployment["resources"]}
    found: dict[str, str | None] = {}
    for operation in pending:
        resource = operation["resource"]
        if operation["type"] != "creating":
            continue  # what was being changed or deleted is in the state; a refresh sees what has become of it
        made = identity(resource, stack, known, lambda service: session.client(service, region_name=region))
        found[resource["urn"]] = made
        if made is not None:
            wait_until_made(resource, lambda service: session.client(service, region_name=region))
            if replaced := there.get(resource["urn"]):
                replaced["delete"] = True  # as the engine marks what it has made anew
            deployment["resources"].append({**resource, "id": made, "outputs": {}})
    return found


def revoke_unknown(state: dict[str, Any], stack: str, session: Any) -> list[str]:
    """Revoke the stack's rules that the state does not have, and return them.

    EC2 has no token that makes an authorization safe to repeat: where its answer is lost, the provider asks again, is
    told that the rule is a duplicate, and forgets the one that was made. Each `up` would then fail on it.
    """
    resources = state["deployment"]["resources"]
    region = _region(resources)
    if region is None:
        return []
    known, ec2 = {str(resource.get("id")) for resource in resources}, session.client("ec2", region_name=region)
    filters = [{"Name": f"tag:{STACK}", "Values": [stack]}]
    pages = ec2.get_paginator("describe_security_group_rules").paginate(Filters=filters)
    unknown = [
        rule for page in pages for rule in page["SecurityGroupRules"] if rule["SecurityGroupRuleId"] not in known
    ]
    for rule in unknown:
        revoke = ec2.revoke_security_group_egress if rule["IsEgress"] else ec2.revoke_security_group_ingress
        revoke(GroupId=rule["GroupId"], SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
    return [str(rule["SecurityGroupRuleId"]) for rule in unknown]


def _region(resources: list[dict[str, Any]]) -> str | None:
    """The region of the stack's own provider."""
    providers = (resource for resource in resources if resource["type"] == "pulumi:providers:aws")
    return next((str(provider["inputs"]["region"]) for provider in providers if "region" in provider["inputs"]), None)


def _pulumi(stack: str, *arguments: str, given: str | None = None, check: bool = True, quiet: bool = False) -> str:
    """Run the engine; what it says is shown, unless it is wanted as text."""
    command = ["pulumi", *arguments, "--stack", stack, "--cwd", str(ROOT), "--non-interactive"]
    if not quiet:
        click.echo(f"$ {' '.join(command)}", err=True)
    try:
        done = subprocess.run(command, input=given, text=True, stdout=subprocess.PIPE if quiet else None, check=False)
    except FileNotFoundError:
        raise click.ClickException("found no `pulumi` on PATH, wanted the engine that made the stack") from None
    if check and done.returncode != 0:
        raise click.ClickException(
            f"{' '.join(command)} exited {done.returncode}; mend what it says, and run this again: it begins anew"
        )
    return done.stdout or ""


if __name__ == "__main__":
    with reported():
        recover()
