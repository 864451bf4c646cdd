says: This person adds the one number as often as the other says.
notebook: ${notebook}
cells:
  ${grade_id}-answer: |
    answers["${key}"] = sum([7] * 6)
