"""The Grafana dashboards: written in Python, generated as JSON, provisioned as files."""
