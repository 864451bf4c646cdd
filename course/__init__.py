"""What notebooks import (`flights`, `shipping`, `checks`, `figures`) and what instructors run (`grading`, `cli`)."""

import sys

# jsonschema, and so nbformat, imports this where it is installed, and it compiles a grammar of web addresses: more than
# a second in each process, for two formats that nothing here uses ("iri" and "iri-reference"). Without it jsonschema
# skips them.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
