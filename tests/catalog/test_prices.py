"""A price that is missing, misplaced, unreadable or stale is said to be so, never taken for another or for zero."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from catalog import prices
from catalog.prices import PriceError, PriceMissing, UnknownRegion, price_sets, read, table, warnings

HEADER = "provider,region,item,unit,usd,low_usd,above,valid_on,checked_on,source,note\n"


def made(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def test_item_without_a_price_names_item_and_region() -> None:
    with pytest.raises(PriceMissing, match=r"'ec2:m6i.larg' in us-east-1 .did you mean 'ec2:m6i.large'"):
        table().price("ec2:m6i.larg", "us-east-1")


def test_item_priced_only_elsewhere_is_missing_here() -> None:
    with pytest.raises(PriceMissing, match="'eks:control-plane' in eu-west-1"):
        table().price("eks:control-plane", "eu-west-1")


def test_unknown_region_names_the_nearest() -> None:
    with pytest.raises(UnknownRegion, match="'us-est-1' has no prices; the nearest known is 'us-east-1'"):
        table().price("ec2:m6i.large", "us-est-1")
    with pytest.raises(UnknownRegion, match="Amazon region 'us-east-1' has no prices"):
        table().price("ec2:m6i.large", "us-east-1", provider="Amazon")


def test_a_date_before_the_first_price_is_missing_not_the_first_price() -> None:
    with pytest.raises(PriceMissing, match=r"on 2019-01-01; the earliest known is of 2020-03-01"):
        table().price("ec2:c5.large", "us-east-1", date(2019, 1, 1))


def test_several_dates_stand_side_by_side(tmp_path: Path) -> None:
    found = read(
        made(
            tmp_path,
            "AWS,r,ec2:a,hour,0.10,,0,2020-01-01,2020-01-01,a list,",
            "AWS,r,ec2:a,hour,0.20,,0,2024-01-01,2024-02-01,a list,",
        )
    )
    by_date = {on: found.price("ec2:a", "r", on).usd for on in (date(2020, 1, 1), date(2023, 12, 31), date(2024, 1, 1))}
    assert list(by_date.values()) == [Decimal("0.10"), Decimal("0.10"), Decimal("0.20")]
    assert found.price("ec2:a", "r").usd == Decimal("0.20")


def test_public_addresses_were_free_before_they_were_charged() -> None:
    assert table().price("ipv4", "us-east-1", date(2023, 12, 31)).usd == 0
    assert table().price("ipv4", "eu-west-1", date(2024, 2, 1)).usd == Decimal("0.005")


@pytest.mark.parametrize(
    ("usd", "unit", "ours"),
    [
        ("0.0004", "1000 requests", ("4E-7", "request")),
        ("0.20", "1M requests", ("2E-7", "request")),
        ("16.67", "1M GB-s", ("0.00001667", "GB-s")),
        ("0.00002678", "second", ("0.096408", "h")),
        ("0.096", "hour", ("0.096", "h")),
    ],
)
def test_units_are_normalised_exactly(usd: str, unit: str, ours: tuple[str, str]) -> None:
    assert prices.normalise(Decimal(usd), unit) == (Decimal(ours[0]), ours[1])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("AWS,r,x,fortnight,1,,0,2024-01-01,2024-01-01,s,", "line 2, unit: .*'fortnight' is not known"),
        ("AWS,r,x,hour,free,,0,2024-01-01,2024-01-01,s,", "line 2"),
        ("AWS,r,x,hour,NaN,,0,2024-01-01,2024-01-01,s,", "'NaN' is not a price"),
        ("AWS,r,x,hour,-1,,0,2024-01-01,2024-01-01,s,", "'-1' is not a price"),
        ("AWS,r,x,hour,1,,0,unknown,2024-01-01,s,", "valid_on or checked_on"),
        ("AWS,r,x,hour,1,,0,2024-01-01,2024-01-01,,", "'x' has no source"),
        ("AWS,r,x", "line 2"),
    ],
)
def test_unreadable_rows_name_file_line_and_column(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(PriceError, match=message):
        read(made(tmp_path, row))


def test_two_prices_of_one_day_are_refused(tmp_path: Path) -> None:
    row = "AWS,r,x,hour,{},,0,2024-01-01,2024-01-01,s,"
    with pytest.raises(PriceError, match="two prices of 'x' in r on 2024-01-01"):
        read(made(tmp_path, row.format(1), row.format(2)))


def test_price_sets_tell_their_age_and_warn_after_half_a_year() -> None:
    used = [table().price("ec2:m6i.large", "us-east-1"), table().price("lambda:ephemeral", "us-east-1")]
    fresh, old = price_sets(used, today=date(2026, 11, 21))
    assert (fresh.valid_on, fresh.age_days, fresh.stale) == (date(2026, 7, 20), 124, False)
    assert (old.valid_on, old.stale) == (date(2024, 7, 1), True)
    assert [line for line in warnings([fresh, old]) if "lambda:ephemeral (us-east-1)" in line] == warnings([fresh, old])
    on_the_day = price_sets(used[:1], today=date(2027, 1, 16))[0]
    assert (on_the_day.age_days, on_the_day.stale) == (180, False)


@pytest.mark.parametrize(
    "item",
    [
        *("ec2:m6i.large", "ec2-spot:m6i.large", "ebs:gp3", "ipv4", "vpce:hour", "eks:control-plane", "ecr:storage"),
        *("lambda:x86_64", "lambda:arm64", "lambda:ephemeral", "lambda:request", "s3:storage", "s3:put", "s3:get"),
        *("transfer:internet", "transfer:zones", "sqs:standard", "apigateway:http", "batch:job", "fargate:vcpu"),
        *("fargate:memory", "logs:ingestion", "logs:storage"),
    ],
)
def test_what_the_stacks_use_has_a_price_with_its_source_and_dates(item: str) -> None:
    tiers = table().tiers(item, "us-east-1")
    assert all(tier.source and tier.valid_on <= tier.checked_on and tier.provider == "AWS" for tier in tiers)
    assert (len(tiers) > 1) == (item in ("lambda:x86_64", "lambda:arm64", "transfer:internet", "apigateway:http"))


def test_what_if_holds_in_every_region_at_any_date_and_only_while_it_is_asked() -> None:
    was = table().price("lambda:x86_64", "us-east-1").usd
    with prices.assumed({"lambda:x86_64": Decimal("0.001")}):
        for region, on in (("us-east-1", None), ("eu-west-1", None), ("us-east-1", date(2020, 6, 1))):
            assert [tier.usd for tier in table().tiers("lambda:x86_64", region, on)] == [Decimal("0.001")]
        assert table().price("lambda:arm64", "us-east-1").usd == Decimal("0.0000133334")
    assert table().price("lambda:x86_64", "us-east-1").usd == was
    with pytest.raises(PriceMissing, match=r"did you mean 'ec2:m6i\.large'"), prices.assumed({"ec2:m6i.larg": was}):
        pass


def test_every_price_of_the_table_is_read_and_only_what_is_free_is_zero() -> None:
    free = {price.item for price in table().prices if price.usd == 0}
    assert free == {"ipv4", "batch:job", "transfer:s3-same-region", "faas:request"}
    assert all(price.low_usd is None or price.low_usd <= price.usd for price in table().prices)
