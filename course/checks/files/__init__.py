"""Shipped files: opened with care, read as text, data or documents."""
