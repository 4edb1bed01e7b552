"""The pipeline: `python -m app pipeline sales`, or `poe pipeline sales`."""

from app.core.pipeline import Pipeline
from app.sales.inputs import EVENTS, ORDERS
from app.sales.report import write_report
from app.sales.sample import write_sample
from app.sales.transform import daily_sales

pipeline = Pipeline(
    description="Compute the daily sales from orders and their events.",
    inputs=(ORDERS, EVENTS),
    transform=daily_sales,
    table="daily_sales",
    dimensions=("channel",),
    measures=("orders", "paid", "returned", "revenue"),
    write_report=write_report,
    write_sample=write_sample,
)
