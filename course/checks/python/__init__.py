"""Shipped Python: modules, test suites, projects and their repositories."""
