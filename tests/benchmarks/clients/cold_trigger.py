"""Trigger one run and exit."""

from __future__ import annotations

import json

from astro_provider.hooks.astro import AstroHook

if __name__ == "__main__":
    with AstroHook("http_conn") as hook:
        print(json.dumps(hook.trigger_dag_run("remote_3")["dag_run_id"]))
