"""Daily data pipelines: read files or queries, validate rows, compute results, fill a table and write a report.

A slice declares a pipeline in its `pipeline.py`. `python -m app pipeline SLICE` runs it:

    pipeline = Pipeline(
        description="Compute the daily sales from orders and their events.",
        inputs=(ORDERS, EVENTS),
        transform=daily_sales,
        table="daily_sales",
        dimensions=("channel",),
        measures=("orders", "revenue"),
    )
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.core.pipeline.definition import UTC_TIME, Frame, Input, Pipeline
    from app.core.pipeline.engines import ENGINES, Engine, collect, open_engine
    from app.core.pipeline.errors import HeldBackError, PipelineError
    from app.core.pipeline.output import Output
    from app.core.pipeline.statistics import Interval, bootstrap_mean
    from app.core.pipeline.validation import Checked, validate
else:
    from app.core.lazy import lazily

    __getattr__ = lazily(
        __name__,
        {
            "definition": ["UTC_TIME", "Frame", "Input", "Pipeline"],
            "engines": ["ENGINES", "Engine", "collect", "open_engine"],
            "errors": ["HeldBackError", "PipelineError"],
            "output": ["Output"],
            "statistics": ["Interval", "bootstrap_mean"],
            "validation": ["Checked", "validate"],
        },
    )

__all__ = [
    "ENGINES",
    "UTC_TIME",
    "Checked",
    "Engine",
    "Frame",
    "HeldBackError",
    "Input",
    "Interval",
    "Output",
    "Pipeline",
    "PipelineError",
    "bootstrap_mean",
    "collect",
    "open_engine",
    "validate",
]
