"""The report: a table and a plot of all days, and the average order."""

import polars as pl

from app.core.pipeline import Output, bootstrap_mean

PLOT = "revenue.svg"


def write_report(output: Output) -> str:
    """Write the plot. Return the report as Markdown."""
    sales = output.results().sort("day", "channel").collect()
    totals = output.accepted("orders").group_by("total").len().sort("total").collect()
    _plot(sales, output)
    return _page(sales, totals)


def _page(sales: pl.DataFrame, totals: pl.DataFrame) -> str:
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
    if len(totals):
        mean, low, high = bootstrap_mean(totals["total"].to_numpy(), totals["len"].to_numpy())
        lines += [
            "",
            f"The average order is {mean / 100:,.2f} (95 % interval: {low / 100:,.2f} to {high / 100:,.2f}).",
        ]
    return "\n".join(lines) + "\n"


def _plot(sales: pl.DataFrame, output: Output) -> None:
    # Imported here, because Matplotlib takes half a second, and only a run with new results needs it.
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

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
    # Reproducible output, with labels as text.
    with rc_context({"svg.hashsalt": PLOT, "svg.fonttype": "none"}):
        figure.savefig(output.path / PLOT, metadata={"Date": None})
