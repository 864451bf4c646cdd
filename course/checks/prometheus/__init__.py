"""What watches a service: the text of /metrics, alert rules and their tests, and whom Alertmanager calls."""
