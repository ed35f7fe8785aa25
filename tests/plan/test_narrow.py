"""No figure is cut, whatever the terminal's width."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from plan import narrow
from plan.narrow import Fitted


def printed(width: int) -> str:
    table = Table(title="two engines", caption="median with interval", highlight=False)
    for name in ("engine", "condition", "run s", "USD\nmodelled"):
        table.add_column(name)
    table.add_row("ray+lithops", "warm", "12.34 [11.98, 12.71]", "0.000123")
    table.add_row("arrow", "cold", "1.20 (n=1)", "")
    out = io.StringIO()
    Console(file=out, width=width).print(Fitted(table, lead=2))
    return out.getvalue()


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_every_figure_is_whole_at_every_width(width: int) -> None:
    text = printed(width)
    for figure in ("ray+lithops", "12.34 [11.98, 12.71]", "0.000123", "1.20 (n=1)", "median with interval"):
        assert figure in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_a_wide_terminal_has_a_table_and_a_narrow_one_names_each_cell() -> None:
    assert "┃" in printed(80)
    assert "┃" not in printed(50)
    assert "  run s 12.34 [11.98, 12.71]\n" in printed(40)
    assert "  run s 12.34 [11.98, 12.71]  USD modelled 0.000123\n" in printed(60)


def test_lines_end_between_words_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "  ray: 12.3456 s (11.98 to 12.71), 0.00012345 USD (0.0001 to 0.0002)"
    narrow.echo(line)
    assert capsys.readouterr().out == f"{line}\n"
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    narrow.echo(line)
    out = capsys.readouterr().out
    assert out.split() == line.split()
    assert all(len(one) <= 40 and one.startswith("  ") for one in out.splitlines())
