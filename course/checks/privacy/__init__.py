"""People's data: tables that lead to nobody, erasure in a company's folder, views by role, lineage as it really was."""
