"""The sample pipeline: computes sales by day and channel from orders and their events (paid, shipped, returned).

`inputs.py` declares the inputs, `transform.py` the computation, `models.py` the table, `report.py` the report.
`sample.py` generates sample files. `pipeline.py` combines all of them.
"""
