"""What people read: a page and a plot, made of the files that the pipeline has written."""

from pathlib import Path

import polars as pl
from matplotlib import rc_context
from matplotlib.figure import Figure

from app.pipeline.load import whole
from app.pipeline.run import REPORT
from app.pipeline.statistics import bootstrap_mean

PLOT = "revenue.svg"


def write_report(output: Path) -> Path:
    """Write the report of all days that are done, and return its path."""
    sales = pl.read_parquet(output / "daily_sales" / "*.parquet").sort("day", "channel")
    clean = pl.scan_parquet(output / "clean" / "orders" / "*" / "*.parquet")
    done = clean.join(sales.lazy(), on="day", how="semi")  # where a run ended, clean rows may wait for their sales
    values = done.group_by("total").len().sort("total").collect()
    # The same plot for the same figures, with text that is text.
    with rc_context({"svg.hashsalt": PLOT, "svg.fonttype": "none"}):
        _plot(sales).savefig(output / PLOT, metadata={"Date": None})
    with whole(output / REPORT) as page:
        page.write_text(_page(sales, values), encoding="utf-8")
    return output / REPORT


def _page(sales: pl.DataFrame, values: pl.DataFrame) -> str:
    lines = [
        "# Sales",
        "",
        f"![Revenue a day]({PLOT})",
        "",
        "| day | orders | paid | returned | revenue |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for day, orders, paid, returned, revenue in (
        sales.group_by("day").agg(pl.col("orders", "paid", "returned", "revenue").sum()).sort("day").iter_rows()
    ):
        lines.append(f"| {day} | {orders:,} | {paid:,} | {returned:,} | {revenue / 100:,.2f} |")
    if len(values):
        mean, low, high = bootstrap_mean(values["total"].to_numpy(), values["len"].to_numpy())
        lines += [
            "",
            f"An order is worth {mean / 100:,.2f} on average (95 % interval: {low / 100:,.2f} to {high / 100:,.2f}).",
        ]
    return "\n".join(lines) + "\n"


def _plot(sales: pl.DataFrame) -> Figure:
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for (channel,), part in sales.group_by("channel", maintain_order=True):
        axes.plot(
            part["day"].str.to_date().to_numpy(), part["revenue"].to_numpy() / 100, marker="o", label=str(channel)
        )
    axes.set_ylabel("revenue a day")
    axes.set_ylim(bottom=0)
    if len(sales):
        axes.legend()
    figure.autofmt_xdate()
    return figure
