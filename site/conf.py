"""Settings of the course's site and of the lecturer's slides. build.py calls Sphinx with them."""

project = "Late Flights"
author = "the authors of the course"
language = "en"
extensions = ["myst_nb", "sphinx_revealjs"]
exclude_patterns = ["**/given/**", "**/README.md"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # the labs are shown as students get them: not yet run
nb_ipywidgets_js = {}  # would be loaded from another host
suppress_warnings = ["misc.highlighting_failure"]  # cells that ship YAML or a Makefile are no Python

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["static"]
html_css_files = ["course.css"]
html_favicon = "static/favicon.svg"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {
    "logo": {"text": project},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "navbar_persistent": ["search-button"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_start": [],
    "footer_end": [],
    "use_edit_page_button": False,
    "show_prev_next": True,
}
html_sidebars = {"index": [], "search": []}

revealjs_html_theme = "revealjs-simple"
revealjs_style_theme = "white-contrast"
revealjs_static_path = ["static"]
revealjs_css_files = ["slides.css"]
revealjs_script_conf = {"hash": True, "slideNumber": "c/t", "center": False, "transition": "none", "width": 1100}
revealjs_script_plugins = [{"src": "revealjs/plugin/notes/notes.js", "name": "RevealNotes"}]
