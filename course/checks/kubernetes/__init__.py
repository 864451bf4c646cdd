"""Shipped manifests: judged as text, and applied to a cluster."""
