"""`python -m ops.refresh_prices`: compare our prices with AWS's public price list; --write takes over what differs.

The list is one CSV per offer and region, public, streamed and filtered line by line (EC2's is hundreds of megabytes).
Nothing is changed silently: the differences are shown, and without --write that is all. Old prices stay, with their
dates; a price found unchanged only gets today's check date. Spot prices are not in the list.
"""

import csv
import io
import re
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import click

from catalog.instances import instances
from catalog.prices import PRICES_CSV, PriceError, normalise, read
from plan.faults import reported

LIST_URL = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/{offer}/current/{region}/index.csv"
METADATA_LINES = 5  # format version, disclaimer, publication date, version, offer code; then the header
TIMEOUT_S = 120
UNITS = {
    "hrs": "hour",
    "hours": "hour",
    "gb-mo": "GB-month",
    "gb": "GB",
    "lambda-gb-second": "GB-s",
    "gb-seconds": "GB-s",
    "gb-second": "GB-s",
    "requests": "request",
    "request": "request",
}
# The list says "hours" of these.
UNITS_OF = {"fargate:vcpu": "vCPU-hour", "fargate:memory": "GB-hour"}
# Usage types carry a region's prefix outside us-east-1 (EU-, EUC1-, USW2-, ...).
_PREFIX = r"(?:[A-Z]{2,4}\d?-)?"
USAGE = {
    "AWSLambda": {
        "Lambda-GB-Second": "lambda:x86_64",
        "Lambda-GB-Second-ARM": "lambda:arm64",
        "Request": "lambda:request",
        "Lambda-Storage-GB-Second": "lambda:ephemeral",
    },
    "AmazonS3": {"TimedStorage-ByteHrs": "s3:storage", "Requests-Tier1": "s3:put", "Requests-Tier2": "s3:get"},
    "AmazonEKS": {"AmazonEKS-Hours:perCluster": "eks:control-plane"},
    "AmazonECR": {"TimedStorage-ByteHrs": "ecr:storage"},
    "AmazonVPC": {
        "PublicIPv4:InUseAddress": "ipv4",
        "VpcEndpoint-Hours": "vpce:hour",
        "VpcEndpoint-Bytes": "vpce:data",
    },
    "AWSQueueService": {"Requests-Tier1": "sqs:standard", "Requests-FIFO-Tier1": "sqs:fifo"},
    "AmazonApiGateway": {"ApiGatewayRequest": "apigateway:rest", "ApiGatewayHttpRequest": "apigateway:http"},
    "AmazonCloudWatch": {"DataProcessing-Bytes": "logs:ingestion", "TimedStorage-ByteHrs": "logs:storage"},
    "AmazonECS": {"Fargate-vCPU-Hours:perCPU": "fargate:vcpu", "Fargate-GB-Hours": "fargate:memory"},
    "AWSDataTransfer": {"DataTransfer-Out-Bytes": "transfer:internet", "DataTransfer-Regional-Bytes": "transfer:zones"},
    "AmazonEC2": {"EBS:VolumeUsage.gp3": "ebs:gp3"},
}
SHARED_LINUX = {"Tenancy": "Shared", "Operating System": "Linux", "Pre Installed S/W": "NA", "CapacityStatus": "Used"}


@dataclass(frozen=True)
class Change:
    """One line of the comparison. before is None for a price that we did not have; both equal: checked, unchanged."""

    item: str
    region: str
    above: Decimal
    before: Decimal | None
    after: Decimal


def offered(lines: Iterable[str], offer: str, region: str, today: date) -> list[dict[str, str]]:
    """Rows for prices.csv from one offer's CSV. Raises PriceError if it is not one, or has an unknown unit."""
    stream = iter(lines)
    head = [next(stream, "") for _ in range(METADATA_LINES)]
    if not head[0].startswith('"FormatVersion"'):
        raise PriceError(f"{offer} in {region}: found {head[0]!r:.80}, wanted a price list's FormatVersion")
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in csv.DictReader(stream):
        item = _item(offer, row)
        if item is None or row["TermType"] != "OnDemand" or Decimal(row["PricePerUnit"]) == 0:
            continue  # zero: free tiers and reserved hours, which are no price of ours
        unit = UNITS_OF.get(item) or UNITS.get(row["Unit"].lower())
        if unit is None:
            raise PriceError(f"{offer} in {region}: unit {row['Unit']!r} of {item!r} is not known; add it to UNITS")
        above = row["StartingRange"] or "0"
        found[item, above] = {
            "provider": "AWS",
            "region": region,
            "item": item,
            "unit": unit,
            "usd": row["PricePerUnit"],
            "low_usd": "",
            "above": above,
            "valid_on": row["EffectiveDate"],
            "checked_on": today.isoformat(),
            "source": f"AWS public price list, {offer}, rate {row['RateCode']}",
            "note": "",
        }
    if not found:
        raise PriceError(f"{offer} in {region}: found no price that we use; the list's columns may have changed")
    return list(found.values())


def merge(
    rows: list[dict[str, str]], news: Iterable[Mapping[str, str]], today: date
) -> tuple[list[dict[str, str]], list[Change]]:
    """Our rows with the news taken over, sorted, and what that changes. A changed tier brings its whole set with it."""
    merged, changes = [dict(row) for row in rows], []
    by_item: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in news:
        by_item.setdefault((row["region"], row["item"]), []).append(row)
    for (region, item), tiers in by_item.items():
        ours = _newest(merged, region, item)
        before = {Decimal(row["above"]): _price(row) for row in ours}
        after = {Decimal(row["above"]): _price(row) for row in tiers}
        changes += [Change(item, region, above, before.get(above), usd) for above, usd in sorted(after.items())]
        if before == after:
            for row in ours:
                row["checked_on"] = today.isoformat()
            continue
        known = {row["valid_on"] for row in ours}
        # A list may date a changed price like the one it replaces: then the day on which it was seen is its date.
        seen_only = {tier["valid_on"] for tier in tiers} & known
        merged += [{**row, "valid_on": today.isoformat() if seen_only else row["valid_on"]} for row in tiers]
    return sorted(merged, key=_order), changes


def fetch(offer: str, region: str) -> Iterator[str]:
    """Lines of one offer's CSV over the network. Raises OSError."""
    url = LIST_URL.format(offer=offer, region=region)
    with closing(urllib.request.urlopen(url, timeout=TIMEOUT_S)) as answer:  # noqa: S310 - a fixed https address
        yield from io.TextIOWrapper(answer, encoding="utf-8", newline="")


def _explained(offer: str, error: Exception, path: Path, today: date) -> str:
    """What went wrong, what is left as it was, and what to do."""
    if isinstance(error, PriceError):
        return f"{offer}: {error}; nothing was changed"
    last = max(price.checked_on for price in read(path).prices)
    return (
        f"{offer}: AWS's price list cannot be had ({error}); nothing was changed, and {path.name} was last checked on "
        f"{last}, {(today - last).days} days ago. Try with a network, or with a saved list: --from-file {offer}=PATH"
    )


def _item(offer: str, row: Mapping[str, str]) -> str | None:
    if offer == "AmazonEC2" and row.get("Product Family", "").startswith("Compute Instance"):
        kind = row["Instance Type"]
        plain = all(row.get(column) == wanted for column, wanted in SHARED_LINUX.items())
        return f"ec2:{kind}" if plain and kind in instances() else None
    usage = row.get("usageType", "")
    return next((item for name, item in USAGE[offer].items() if re.fullmatch(_PREFIX + re.escape(name), usage)), None)


def _newest(rows: list[dict[str, str]], region: str, item: str) -> list[dict[str, str]]:
    ours = [row for row in rows if (row["provider"], row["region"], row["item"]) == ("AWS", region, item)]
    newest = max((row["valid_on"] for row in ours), default="")
    return [row for row in ours if row["valid_on"] == newest]


def _price(row: Mapping[str, str]) -> Decimal:
    return normalise(Decimal(row["usd"]), row["unit"])[0]


def _order(row: Mapping[str, str]) -> tuple[str, str, str, str, Decimal]:
    return row["provider"], row["region"], row["item"], row["valid_on"], Decimal(row["above"])


def _shown(change: Change) -> str:
    tier = f" above {change.above}" if change.above else ""
    if change.before is None:
        return f"  new       {change.item} ({change.region}){tier}: {change.after}"
    mark = "same" if change.before == change.after else "CHANGED"
    return f"  {mark:9} {change.item} ({change.region}){tier}: {change.before} -> {change.after}"


@click.command()
@click.option("--region", default="us-east-1", show_default=True)
@click.option("--offer", "offers", multiple=True, type=click.Choice(sorted(USAGE)), help="Only these; default all.")
@click.option("--from-file", "recorded", multiple=True, metavar="OFFER=PATH", help="A recorded list, no network.")
@click.option("--prices", "path", type=click.Path(path_type=Path), default=PRICES_CSV, help="The file to compare.")
@click.option("--write", is_flag=True, help="Take over what differs; without it nothing is changed.")
def main(region: str, offers: tuple[str, ...], recorded: tuple[str, ...], path: Path, write: bool) -> None:
    """Compare prices with AWS's public price list and show what differs."""
    today = datetime.now(UTC).date()
    files = dict(given.split("=", 1) for given in recorded if "=" in given)
    if len(files) != len(recorded) or set(files) - set(USAGE):
        raise click.UsageError(f"--from-file wants OFFER=PATH with an offer of {', '.join(sorted(USAGE))}")
    news: list[dict[str, str]] = []
    for offer in offers or tuple(files) or tuple(USAGE):
        try:
            lines = Path(files[offer]).read_text().splitlines(keepends=True) if offer in files else fetch(offer, region)
            news += offered(lines, offer, region, today)
        except (OSError, PriceError) as error:
            raise click.ClickException(_explained(offer, error, path, today)) from None
    with path.open(newline="") as ours:
        reader = csv.DictReader(ours)
        columns, rows = list(reader.fieldnames or ()), list(reader)
    merged, changes = merge(rows, news, today)
    click.echo("\n".join(_shown(change) for change in changes))
    differ = sum(change.before != change.after for change in changes)
    if not write:
        click.echo(f"{differ} of {len(changes)} differ. Nothing was changed; --write takes them over.")
        return
    fresh = path.with_suffix(".new")
    with fresh.open("w", newline="") as out:
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(merged)
    read(fresh)  # what cannot be read back must not replace what can
    fresh.replace(path)
    click.echo(f"{differ} of {len(changes)} differ; wrote {path.name}. Read the difference before you commit it.")


if __name__ == "__main__":
    with reported():
        main()
