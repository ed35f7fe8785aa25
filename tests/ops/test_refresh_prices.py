"""A price list is compared, shown, and taken over only when told; what is odd in it changes nothing.

`price_list/` holds rows of AWS's lists of 2026-08-31 for eu-west-2, as they were; what is odd is written below.
"""

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from catalog.prices import PRICES_CSV, PriceError, read
from ops.refresh_prices import main, merge, offered

TODAY = date(2026, 11, 21)
HEAD = '"FormatVersion","v1.0"\n"Disclaimer","-"\n"Publication Date","2026-11-01"\n"Version","1"\n"OfferCode","{}"\n'
COLUMNS = (
    "SKU,RateCode,TermType,EffectiveDate,StartingRange,EndingRange,Unit,PricePerUnit,Currency,Product Family,"
    "Instance Type,Tenancy,Operating System,Pre Installed S/W,CapacityStatus,usageType\n"
)
LAMBDA = HEAD.format("AWSLambda") + COLUMNS + (
    "A,A.1,OnDemand,2026-10-01,0,6000000000,Lambda-GB-Second,0.0000166667,USD,Serverless,,,,,,Lambda-GB-Second\n"
    "A,A.2,OnDemand,2026-10-01,6000000000,15000000000,Lambda-GB-Second,0.0000150000,USD,Serverless,,,,,,Lambda-GB-Second\n"
    "A,A.3,OnDemand,2026-10-01,15000000000,Inf,Lambda-GB-Second,0.0000133334,USD,Serverless,,,,,,Lambda-GB-Second\n"
    "B,B.1,OnDemand,2026-10-01,0,Inf,Requests,0.0000003000,USD,Serverless,,,,,,Request\n"
    "C,C.1,OnDemand,2026-10-01,0,Inf,Lambda-GB-Second,0.0000097222,USD,Serverless,,,,,,Lambda-Provisioned-GB-Second\n"
)  # fmt: skip
EC2 = HEAD.format("AmazonEC2") + COLUMNS + (
    "A,A.1,OnDemand,2026-10-01,0,Inf,Hrs,0.1070,USD,Compute Instance,m6i.large,Shared,Linux,NA,Used,EU-BoxUsage:m6i.large\n"  # noqa: E501 - one row of the list
    "B,B.1,OnDemand,2026-10-01,0,Inf,Hrs,0.1990,USD,Compute Instance,m6i.large,Shared,Windows,NA,Used,EU-BoxUsage:m6i.large\n"  # noqa: E501 - one row of the list
    "C,C.1,Reserved,2026-10-01,0,Inf,Hrs,0.0600,USD,Compute Instance,m6i.large,Shared,Linux,NA,Used,EU-HeavyUsage\n"
    "D,D.1,OnDemand,2026-10-01,0,Inf,Hrs,0.0000,USD,Compute Instance,m6i.large,Shared,Linux,NA,Used,EU-Reservation\n"
    "E,E.1,OnDemand,2026-10-01,0,Inf,Hrs,0.5000,USD,Compute Instance,z9.large,Shared,Linux,NA,Used,EU-BoxUsage:z9.large\n"  # noqa: E501 - one row of the list
    "F,F.1,OnDemand,2026-10-01,0,Inf,GB-Mo,0.0880,USD,Storage,,,,,,EU-EBS:VolumeUsage.gp3\n"
)  # fmt: skip


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text(PRICES_CSV.read_text())
    return path


def recorded(tmp_path: Path, offer: str, text: str) -> str:
    path = tmp_path / f"{offer}.csv"
    path.write_text(text)
    return f"{offer}={path}"


def test_only_plain_linux_on_demand_and_what_we_use_is_read() -> None:
    found = {row["item"]: row for row in offered(EC2.splitlines(keepends=True), "AmazonEC2", "eu-west-1", TODAY)}
    assert {item: (row["usd"], row["unit"]) for item, row in found.items()} == {
        "ec2:m6i.large": ("0.1070", "hour"),
        "ebs:gp3": ("0.0880", "GB-month"),
    }


@pytest.mark.parametrize(
    ("offer", "wanted"),
    [
        ("AWSLambda", {"lambda:x86_64": [("0", "0.0000166667"), ("6000000000", "0.0000150000"),
                                         ("15000000000", "0.0000133334")],
                       "lambda:request": [("0", "0.0000002000")], "lambda:ephemeral": [("0", "0.0000000358")]}),
        ("AmazonECS", {"fargate:vcpu": [("0", "0.0465600000")], "fargate:memory": [("0", "0.0051100000")]}),
        ("AWSDataTransfer", {"transfer:internet": [("0", "0.0900000000"), ("10240", "0.0850000000")]}),
    ],
)  # fmt: skip
def test_a_recorded_list_gives_what_we_use_and_no_neighbour(
    offer: str, wanted: dict[str, list[tuple[str, str]]], ours: Path
) -> None:
    path = Path(__file__).parent / "price_list" / f"{offer}.csv"
    found: dict[str, list[tuple[str, str]]] = {}
    for row in offered(path.read_text().splitlines(keepends=True), offer, "eu-west-2", TODAY):
        found.setdefault(row["item"], []).append((row["above"], row["usd"]))
    assert found == wanted
    given = ["--region", "eu-west-2", "--from-file", f"{offer}={path}", "--prices", str(ours), "--write"]
    assert CliRunner().invoke(main, given).exit_code == 0
    item, tiers = next(iter(wanted.items()))
    assert [tier.usd for tier in read(ours).tiers(item, "eu-west-2")] == [Decimal(usd) for _, usd in tiers]


def test_unchanged_prices_are_only_checked_and_changed_ones_stand_beside_the_old(ours: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(
        main, ["--from-file", recorded(tmp_path, "AWSLambda", LAMBDA), "--prices", str(ours), "--write"]
    )
    assert shown.exit_code == 0, shown.output
    assert "CHANGED   lambda:request (us-east-1): 2E-7 -> 3.000E-7" in shown.output
    before, after = read(PRICES_CSV), read(ours)
    assert len(after.prices) == len(before.prices) + 1
    tiers = after.tiers("lambda:x86_64", "us-east-1")
    assert [tier.usd for tier in tiers] == [tier.usd for tier in before.tiers("lambda:x86_64", "us-east-1")]
    assert {tier.valid_on for tier in tiers} == {date(2024, 7, 1)}
    assert all(tier.checked_on > tier.valid_on for tier in tiers)
    assert after.price("lambda:request", "us-east-1").usd == Decimal("3E-7")
    assert after.price("lambda:request", "us-east-1", date(2026, 9, 30)).usd == Decimal("2E-7")


def test_nothing_is_written_unless_told(ours: Path, tmp_path: Path) -> None:
    was = ours.read_bytes()
    shown = CliRunner().invoke(main, ["--from-file", recorded(tmp_path, "AWSLambda", LAMBDA), "--prices", str(ours)])
    assert "1 of 4 differ. Nothing was changed" in shown.output
    assert ours.read_bytes() == was


def test_a_new_region_gets_prices(ours: Path, tmp_path: Path) -> None:
    given = [
        "--region",
        "eu-south-9",
        "--from-file",
        recorded(tmp_path, "AmazonEC2", EC2),
        "--prices",
        str(ours),
        "--write",
    ]
    shown = CliRunner().invoke(main, given)
    assert "new       ebs:gp3 (eu-south-9): 0.0880" in shown.output
    assert read(ours).price("ebs:gp3", "eu-south-9").usd == Decimal("0.088")


def test_a_changed_price_dated_like_the_old_one_is_dated_when_seen() -> None:
    with PRICES_CSV.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    news = offered(
        LAMBDA.replace("2026-10-01", "2024-07-01").splitlines(keepends=True), "AWSLambda", "us-east-1", TODAY
    )
    merged, _ = merge(rows, news, TODAY)
    dates = [row["valid_on"] for row in merged if (row["item"], row["region"]) == ("lambda:request", "us-east-1")]
    assert dates == ["2020-03-01", "2024-07-01", "2026-11-21"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>gone</html>", "wanted a price list's FormatVersion"),
        (HEAD.format("AWSLambda") + COLUMNS, "found no price that we use"),
        (LAMBDA.replace(",Requests,", ",Fortnights,"), "unit 'Fortnights' of 'lambda:request' is not known"),
    ],
)
def test_an_odd_list_changes_nothing(ours: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PriceError, match=message):
        offered(text.splitlines(keepends=True), "AWSLambda", "us-east-1", TODAY)
    was = ours.read_bytes()
    given = ["--from-file", recorded(tmp_path, "AWSLambda", text), "--prices", str(ours), "--write"]
    shown = CliRunner().invoke(main, given)
    assert (shown.exit_code, "nothing was changed" in shown.output) == (1, True)
    assert ours.read_bytes() == was


def test_no_network_is_a_clear_error_that_says_how_old_our_prices_are(
    ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = ours.read_bytes()
    monkeypatch.setattr("ops.refresh_prices.LIST_URL", "http://127.0.0.1:9/{offer}/{region}")
    shown = CliRunner().invoke(main, ["--offer", "AWSLambda", "--prices", str(ours), "--write"])
    assert shown.exit_code == 1
    assert all(
        words in shown.output for words in ("cannot be had", "nothing was changed", "last checked on 2026-10-04")
    )
    assert "--from-file AWSLambda=PATH" in shown.output
    assert ours.read_bytes() == was
