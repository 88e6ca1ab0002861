"""
What waiting and triggering cost, this package and its peers side by side, on real deployments.

    python -m tests.benchmarks               # everything, as `make bench`
    python -m tests.benchmarks waits report  # some of it

Each measurement is a module with `measure`, which returns what can be written as JSON, and `figures` and `plots`,
which make of that what the report shows.
"""
