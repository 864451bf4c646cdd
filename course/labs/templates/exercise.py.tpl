# %% [markdown]
# ## Exercise: ${title}
#
# **Given:** the numbers 6 and 7.
#
# **Ship** `answers["${key}"]`: their product.
#
# **Judged:** by a check that you see, and by a hidden one.

# %% nbgrader={"grade_id": "${grade_id}-answer", "solution": true}
### BEGIN SOLUTION
answers["${key}"] = 6 * 7
### END SOLUTION

# %% nbgrader={"grade_id": "${grade_id}", "grade": true, "points": 2}
${grade_cell}
