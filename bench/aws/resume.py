"""Follow a run again whose line was lost: what it said since, its rows, and its exit code.

    python -m bench.aws.resume --stack bench-128 --run 20260101T120000-a1b2c3

Rows that had come already are written anew, so that none is there twice. Ctrl-C ends the following and not the run.
"""

from pathlib import Path

import boto3
import click

from bench import command, stack
from bench.aws import remote
from bench.aws.follow import Follow
from bench.aws.mailbox import Mailbox
from bench.sessions import kubernetes_job
from plan.faults import reported
from plan.stack_option import StackName


@click.command(epilog="The line to type was said when the following was given up.")
@click.option("--stack", "name", type=StackName(), required=True, help="The stack that the run is on.")
@click.option("--run", "run_id", required=True, help="The run's name, as it was said when it began.")
@click.option("--command", "ssm_command", default="", help="Session Manager's id of the run on a driver host.")
@click.option("--stop", is_flag=True, help="Ask the run to end in order, then follow it to its end.")
@click.option(
    "--results", default="results", show_default=True, type=click.Path(path_type=Path), help="Folder for rows."
)
def cli(name: str, run_id: str, ssm_command: str, stop: bool, results: Path) -> None:
    """Follow a run again, from its first word."""
    with command.told():
        outputs = stack.outputs(name)
        on_pods = outputs.driver_instance is None
        there = kubernetes_job.there(outputs, run_id) if on_pods else remote.there(outputs, ssm_command)
        s3 = boto3.client("s3", region_name=outputs.region)
        mailbox = Mailbox(s3, str(outputs.working_bucket), remote.prefix_of(run_id))
        if stop:
            mailbox.stop()
        again = remote.resume(outputs, run_id, ssm_command)
        follow = Follow(there, mailbox, results, remote.to_stderr, remote.POLL_S, resume=again, again=True)
        raise SystemExit(follow.until_end())


if __name__ == "__main__":
    with reported():
        cli()
