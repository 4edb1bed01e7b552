"""The pipeline: from files and queries of orders and their events to the sales of each day."""
