"""Complete response bodies of both API versions; tests/contract compares them with Airflow's OpenAPI descriptions."""

from __future__ import annotations

from typing import Any, TypeAlias

JSON: TypeAlias = "dict[str, Any] | list[Any] | str | int | float | bool | None"

DATE = "2026-01-31T06:00:00Z"
V1_REMOVED = {"error": "/api/v1 has been removed in Airflow 3, please use its upgraded version /api/v2 instead."}
"""The response of Airflow 3 to GET with a path of v1."""

METHOD_NOT_ALLOWED = {"detail": "Method Not Allowed"}
"""The response of Airflow 3 to another method with a path of v1 or an unknown path."""


class Payloads:
    """The response bodies of one API version. Keyword arguments replace fields of a body."""

    name: str

    def collection(self, key: str, *items: JSON, total: int | None = None) -> dict[str, Any]:
        return {key: list(items), "total_entries": len(items) if total is None else total}


class V2(Payloads):
    name = "v2"

    def error(self, status: int, detail: str) -> dict[str, Any]:
        return {"detail": detail}

    def version(self) -> dict[str, Any]:
        return {"version": "3.3.2", "git_version": None}

    def dag(self, dag_id: str = "d", **other: JSON) -> dict[str, Any]:
        return {
            "dag_id": dag_id,
            "dag_display_name": dag_id,
            "is_paused": False,
            "is_stale": False,
            "last_parsed_time": DATE,
            "last_parse_duration": 0.1,
            "last_expired": None,
            "bundle_name": "dags-folder",
            "bundle_version": None,
            "relative_fileloc": "d.py",
            "fileloc": "/dags/d.py",
            "description": None,
            "timetable_summary": None,
            "timetable_description": "Never, external triggers only",
            "timetable_partitioned": False,
            "timetable_periodic": False,
            "tags": [],
            "max_active_tasks": 16,
            "max_active_runs": 16,
            "max_consecutive_failed_dag_runs": 0,
            "has_task_concurrency_limits": False,
            "has_import_errors": False,
            "next_dagrun_logical_date": None,
            "next_dagrun_data_interval_start": None,
            "next_dagrun_data_interval_end": None,
            "next_dagrun_run_after": None,
            "allowed_run_types": None,
            "owners": ["airflow"],
            "is_backfillable": False,
            "file_token": "a.b.c",
            **other,
        }

    def dag_run(self, run_id: str = "r", state: str = "success", **other: JSON) -> dict[str, Any]:
        return {
            "dag_run_id": run_id,
            "dag_id": "d",
            "logical_date": DATE,
            "queued_at": DATE,
            "start_date": DATE,
            "end_date": DATE,
            "duration": 1.5,
            "data_interval_start": DATE,
            "data_interval_end": DATE,
            "run_after": DATE,
            "last_scheduling_decision": DATE,
            "run_type": "manual",
            "state": state,
            "triggered_by": "rest_api",
            "triggering_user_name": "admin",
            "conf": {},
            "note": None,
            "dag_versions": [],
            "bundle_version": None,
            "dag_display_name": "d",
            "partition_key": None,
            "partition_date": None,
            **other,
        }

    def task_instance(self, task_id: str = "t", state: str | None = "success", **other: JSON) -> dict[str, Any]:
        return {
            "id": "0194b8f0-0000-7000-8000-000000000000",
            "task_id": task_id,
            "dag_id": "d",
            "dag_run_id": "r",
            "map_index": -1,
            "logical_date": DATE,
            "run_after": DATE,
            "start_date": DATE,
            "end_date": DATE,
            "duration": 1.5,
            "state": state,
            "try_number": 1,
            "max_tries": 0,
            "task_display_name": task_id,
            "dag_display_name": "d",
            "hostname": "worker",
            "unixname": "airflow",
            "pool": "default_pool",
            "pool_slots": 1,
            "queue": "default",
            "priority_weight": 1,
            "operator": "PythonOperator",
            "operator_name": "PythonOperator",
            "queued_when": DATE,
            "scheduled_when": DATE,
            "pid": 1,
            "executor": None,
            "executor_config": "{}",
            "note": None,
            "rendered_map_index": None,
            "rendered_fields": {},
            "trigger": None,
            "triggerer_job": None,
            "dag_version": None,
            **other,
        }

    def task(self, task_id: str = "t") -> dict[str, Any]:
        return {
            "task_id": task_id,
            "task_display_name": task_id,
            "owner": "airflow",
            "start_date": None,
            "end_date": None,
            "trigger_rule": "all_success",
            "depends_on_past": False,
            "wait_for_downstream": False,
            "retries": 0,
            "queue": "default",
            "pool": "default_pool",
            "pool_slots": 1,
            "execution_timeout": None,
            "retry_delay": None,
            "retry_exponential_backoff": 0,
            "priority_weight": 1,
            "weight_rule": "downstream",
            "ui_color": "#ffefeb",
            "ui_fgcolor": "#000",
            "template_fields": [],
            "downstream_task_ids": [],
            "doc_md": None,
            "operator_name": "PythonOperator",
            "params": {},
            "class_ref": {"module_path": "airflow.providers.standard.operators.python", "class_name": "PythonOperator"},
            "is_mapped": False,
            "extra_links": [],
        }

    def pool(self, name: str = "default_pool") -> dict[str, Any]:
        return {
            "name": name,
            "slots": 128,
            "description": None,
            "include_deferred": False,
            "occupied_slots": 0,
            "running_slots": 0,
            "queued_slots": 0,
            "scheduled_slots": 0,
            "open_slots": 128,
            "deferred_slots": 0,
            "team_name": None,
        }

    def xcom_entry(self, **fields: Any) -> dict[str, Any]:
        return {
            "key": "return_value",
            "timestamp": DATE,
            "logical_date": DATE,
            "map_index": -1,
            "task_id": "t",
            "dag_id": "d",
            "run_id": "r",
            "dag_display_name": "d",
            "task_display_name": "t",
            "run_after": DATE,
            **fields,
        }

    def xcom(self, value: JSON, **fields: Any) -> dict[str, Any]:
        return {**self.xcom_entry(**fields), "value": value}

    def log(self) -> dict[str, Any]:
        """The log of a task that failed."""
        detail = {"exc_type": "ValueError", "exc_value": "no rows", "is_cause": False, "frames": []}
        return {
            "content": [
                {"event": "::group::Log message source details", "sources": ["/logs/attempt=1.log"]},
                {"timestamp": DATE, "event": "Starting", "level": "info", "logger": "task"},
                {
                    "timestamp": DATE,
                    "event": "Task failed with exception",
                    "level": "error",
                    "logger": "task",
                    "error_detail": [detail],
                },
                {"timestamp": DATE, "event": "Done", "level": "info", "logger": "task"},
            ],
            "continuation_token": None,
        }


class V1(Payloads):
    name = "v1"

    def error(self, status: int, detail: str) -> dict[str, Any]:
        return {"type": "about:blank", "title": "Error", "status": status, "detail": detail}

    def version(self) -> dict[str, Any]:
        return {"version": "2.11.2", "git_version": None}

    def dag(self, dag_id: str = "d", **other: JSON) -> dict[str, Any]:
        return {
            "dag_id": dag_id,
            "dag_display_name": dag_id,
            "root_dag_id": None,
            "is_paused": False,
            "is_active": True,
            "is_subdag": False,
            "last_parsed_time": DATE,
            "last_pickled": None,
            "last_expired": None,
            "scheduler_lock": None,
            "pickle_id": None,
            "default_view": "grid",
            "fileloc": "/dags/d.py",
            "file_token": "a.b.c",
            "owners": ["airflow"],
            "description": None,
            "schedule_interval": {"__type": "CronExpression", "value": "@daily"},
            "timetable_description": "Never, external triggers only",
            "tags": [],
            "max_active_tasks": 16,
            "max_active_runs": 16,
            "has_task_concurrency_limits": False,
            "has_import_errors": False,
            "next_dagrun": None,
            "next_dagrun_data_interval_start": None,
            "next_dagrun_data_interval_end": None,
            "next_dagrun_create_after": None,
            "max_consecutive_failed_dag_runs": 0,
            **other,
        }

    def dag_run(self, run_id: str = "r", state: str = "success", **other: JSON) -> dict[str, Any]:
        return {
            "dag_run_id": run_id,
            "dag_id": "d",
            "logical_date": DATE,
            "execution_date": DATE,
            "start_date": DATE,
            "end_date": DATE,
            "data_interval_start": DATE,
            "data_interval_end": DATE,
            "last_scheduling_decision": DATE,
            "run_type": "manual",
            "state": state,
            "external_trigger": True,
            "conf": {},
            "note": None,
            **other,
        }

    def task_instance(self, task_id: str = "t", state: str | None = "success", **other: JSON) -> dict[str, Any]:
        return {
            "task_id": task_id,
            "task_display_name": task_id,
            "dag_id": "d",
            "dag_run_id": "r",
            "execution_date": DATE,
            "start_date": DATE,
            "end_date": DATE,
            "duration": 1.5,
            "state": state,
            "try_number": 1,
            "map_index": -1,
            "max_tries": 0,
            "hostname": "worker",
            "unixname": "airflow",
            "pool": "default_pool",
            "pool_slots": 1,
            "queue": "default",
            "priority_weight": 1,
            "operator": "PythonOperator",
            "queued_when": DATE,
            "pid": 1,
            "executor": None,
            "executor_config": "{}",
            "sla_miss": None,
            "rendered_map_index": None,
            "rendered_fields": {},
            "trigger": None,
            "triggerer_job": None,
            "note": None,
            **other,
        }

    def task(self, task_id: str = "t") -> dict[str, Any]:
        return {
            "task_id": task_id,
            "task_display_name": task_id,
            "owner": "airflow",
            "start_date": None,
            "end_date": None,
            "trigger_rule": "all_success",
            "depends_on_past": False,
            "is_mapped": False,
            "wait_for_downstream": False,
            "retries": 0.0,
            "queue": "default",
            "executor": None,
            "pool": "default_pool",
            "pool_slots": 1.0,
            "retry_exponential_backoff": False,
            "priority_weight": 1.0,
            "weight_rule": "downstream",
            "ui_color": "#ffefeb",
            "ui_fgcolor": "#000",
            "template_fields": [],
            "downstream_task_ids": [],
            "doc_md": None,
            "class_ref": {"module_path": "airflow.operators.python", "class_name": "PythonOperator"},
            "extra_links": [],
        }

    def pool(self, name: str = "default_pool") -> dict[str, Any]:
        return {
            "name": name,
            "slots": 128,
            "description": None,
            "include_deferred": False,
            "occupied_slots": 0,
            "running_slots": 0,
            "queued_slots": 0,
            "scheduled_slots": 0,
            "open_slots": 128,
            "deferred_slots": 0,
        }

    def xcom_entry(self, **fields: Any) -> dict[str, Any]:
        return {
            "key": "return_value",
            "timestamp": DATE,
            "execution_date": DATE,
            "map_index": -1,
            "task_id": "t",
            "dag_id": "d",
            **fields,
        }

    def xcom(self, value: JSON, **fields: Any) -> dict[str, Any]:
        return {**self.xcom_entry(**fields), "value": value}

    def log(self) -> dict[str, Any]:
        """The log of a task that failed: the repr of a list of pairs."""
        text = "INFO - Starting\nTraceback (most recent call last):\nValueError: no rows\nINFO - Done"
        return {"content": repr([("worker", text)]), "continuation_token": "a.b.c"}


v1, v2 = V1(), V2()


def for_version(api_version: str) -> V1 | V2:
    return v1 if api_version == "v1" else v2
