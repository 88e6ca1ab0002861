"""
Measures the cost of waiting for and triggering dag runs, for this package and its peers, on real deployments.

    python -m tests.benchmarks               # all measurements, as `make bench` does
    python -m tests.benchmarks waits report  # only this measurement

Each measurement is a module. Its `measure` returns rows that are saved as JSON; its `figures`, `plots` and `table` turn
these rows into the parts of the report.
"""
