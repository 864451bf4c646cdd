"""Pipelines of Airflow: `dags` runs a shipped DAG day by day, in a process of its own."""
