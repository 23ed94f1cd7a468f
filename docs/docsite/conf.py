# SPDX-License-Identifier: Apache-2.0
"""Settings of Sphinx for the website that build.sh builds."""

from __future__ import annotations

from docutils.nodes import Element
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

project = "qinling.kolla"
author = copyright = "the qinling.kolla authors"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
exclude_patterns = ["docs/docsite", "changelogs", "LICENSES", "**/*.txt"]
myst_heading_anchors = 3
default_role = "any"

html_theme = "sphinx_ansible_theme"
pygments_style = "ansible"
html_copy_source = False

# Targets in Ansible's own documentation, to which antsibull-docs refers.
_ANSIBLE = ("ansible_collections.ansible.builtin.", "ANSIBLE_")
_ANSIBLE_PAGES = {"action_plugins", "ansible_configuration_settings", "callback_plugins", "common_return_values"}


def _without_link(app: Sphinx, env: BuildEnvironment, node: Element, text: Element) -> Element | None:
    target = node["reftarget"]
    return text if target in _ANSIBLE_PAGES or target.startswith(_ANSIBLE) else None


def setup(app: Sphinx) -> None:
    """Show references to Ansible's own documentation, which is another website, as text."""
    app.connect("missing-reference", _without_link)
