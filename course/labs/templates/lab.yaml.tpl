# What this lab says of itself. docs/authoring.md describes every key; `course describe --check` reads the file.
title: $title
short: $short
line: $line
ships: a number
notebooks:
  ${notebook}:
    title: $notebook_title
    minutes: 30
    ships: one number, in `answers`
# Take this line out when the lab has its 100 points, its kept submissions and its reading: then it is released.
draft: true
