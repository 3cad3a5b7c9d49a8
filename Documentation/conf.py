# SPDX-License-Identifier: GPL-2.0-only
"""Sphinx: sphinx-build -n -W Documentation build/html"""

project = "minikvm"
root_doc = "index"
html_theme = "alabaster"
html_copy_source = False
html_show_copyright = False
highlight_language = "none"
smartquotes = False
