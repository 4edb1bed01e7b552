"""The sample pipeline: from orders and their events (paid, shipped, returned) to the sales of each day and channel.

`inputs.py` says what is read, `transform.py` what is computed, `models.py` which table it fills, `report.py` what
people read, `sample.py` makes files to try it on, and `pipeline.py` puts them together.
"""
