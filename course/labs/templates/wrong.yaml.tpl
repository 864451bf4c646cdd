says: This person adds the two numbers.
notebook: ${notebook}
cells:
  ${grade_id}-answer: |
    answers["${key}"] = 6 + 7
grades:
  ${grade_id}: 1
messages:
- ✗ ${key} is the product of both numbers (hidden)
- a product is what `*` gives
