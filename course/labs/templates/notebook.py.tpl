# %% [markdown]
# # ${notebook_title}
#
# This notebook is new. Write here, in a paragraph, what the company needs and why it matters.

# %% [markdown]
# ## What you will ship
#
# Each exercise says what it ships, how many points it is worth and how it is judged.

# %% [markdown]
# ## Objectives
#
# When you are done, you can
#
# - ship a number and read what its checks report.

# %% [markdown]
# ## Before you start
#
# You need nothing but the course.

# %% [markdown]
# ## Time
#
# About 30 minutes.

# %%
# %load_ext course.shipping

from course.shipping import answers

# %% [markdown]
# ## Summary
#
# All the checks of this notebook that ran, with their points. The hidden ones are decided when your work is graded.

# %%
from course.checks import summary

summary()

# %% [markdown]
# ## Take away
#
# - If it is not in the artifact, it did not ship.

# %% [markdown]
# ## Going further
#
# - Which question would you ask next, and what would have to ship for it?
