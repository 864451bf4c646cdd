"""A lab as the course knows it: its source, normal form, release, references. In the students' zip, too."""

import sys

# nbformat imports jsonschema, which imports this where it is installed and compiles a grammar of web addresses: nearly
# two seconds in each process, for a format that no notebook uses. Without it jsonschema does without.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
