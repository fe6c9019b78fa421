"""The documentation as a site: `make docs`. MkDocs calls the functions named `on_…`.

The documents are written for readers in the repository. Those outside of this folder become pages
of the site, too, and the links between all of them are adapted.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    **{
        path.relative_to(ROOT).as_posix(): f"sample_projects/{path.parent.name}.md"
        for path in sorted(ROOT.glob("sample_projects/*/README.md"))
    },
}
"""The path of each document outside of this folder → its page."""
_IN_REPOSITORY = {page: path for path, page in OUTSIDE.items()}
_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents outside of this folder."""
    for path, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Adapt the links of a document."""
    return with_links_of_site(markdown, page.file.src_uri)


def with_links_of_site(markdown: str, page: str) -> str:
    """A document whose links lead from its page to other pages of the site.

    What leads nowhere stays as it is, and MkDocs rejects it.
    """
    document = _IN_REPOSITORY.get(page, f"docs/{page}")

    def adapted(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(document), link[0]))
        # On the site of a repository, a folder shows its README.
        target = OUTSIDE.get(path) or OUTSIDE.get(f"{path}/README.md")
        if target is None and path.startswith("docs/"):
            target = path.removeprefix("docs/")
        return posixpath.relpath(target, posixpath.dirname(page) or ".") if target else link[0]

    # What is in a code block is not a link.
    parts = _FENCED.split(markdown)
    parts[::2] = (_LINK.sub(adapted, part) for part in parts[::2])
    return "".join(parts)
