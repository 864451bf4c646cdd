"""A lab as the course knows it: its source, normal form, release, references. In the students' zip, too."""
