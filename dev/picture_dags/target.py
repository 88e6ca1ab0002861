"""Fails in the last of its tasks. For `make pictures`."""

from datetime import datetime, timezone

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def nightly_sales():
    @task
    def extract():
        return {"rows": 1200, "without_price": 3}

    @task
    def load(sales: dict[str, int]):
        if sales["without_price"]:
            raise ValueError(f"{sales['without_price']} of {sales['rows']} rows have no price")

    load(extract())


nightly_sales()
