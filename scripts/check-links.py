"""Fails if a link of the built site, or of a Markdown file beside it, leads nowhere. Links to other hosts are not followed.

Arguments: the repository, the site's directory, Markdown files of the repository. A page's links to files of the repository
outside of docs/ stay as they are: those files are copied to where the site has them.
"""

import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.S | re.M)
LINK = re.compile(r"\]\(<?([^)\s>]+)>?\)")
HEADING = re.compile(r"^#+ +(.*?)\s*$", re.M)


class Page(HTMLParser):
    """The links of a page, and what may be linked to in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes[key] for key in ("id", "name") if attributes.get(key)}
        self.links += [attributes[key] for key in ("href", "src") if attributes.get(key)]


class Markdown:
    """The same of a Markdown file, with headings named as forges name them."""

    def __init__(self, path):
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        self.links = LINK.findall(text)
        names = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text))
        self.ids = {name.replace(" ", "-") for name in names}


def parsed(path, known={}):
    if path not in known:
        known[path] = Page(path) if path.suffix == ".html" else Markdown(path)
    return known[path]


def problem(source, link, repository, site):
    """Why the link leads nowhere; brings a file of the repository to the site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    target = (source.parent / unquote(parts.path)).resolve() if parts.path else source
    if target.is_relative_to(site) and not target.exists():
        original = repository / target.relative_to(site)
        if original.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(original, target)
    # A forge shows directories, a site doesn't.
    if not (target.is_file() or target.is_dir() and not target.is_relative_to(site)):
        return "no such file"
    fragment = unquote(parts.fragment)
    if fragment and target.suffix in (".html", ".md") and fragment not in parsed(target).ids:
        return "no such place in the file"
    return None


def main(repository, site, *files):
    repository, site = Path(repository).resolve(), Path(site).resolve()
    pages = sorted((site / "docs").rglob("*.html")) + [(repository / file).resolve() for file in files]
    found = [(page, link) for page in pages for link in parsed(page).links]
    broken = [(page, link, why) for page, link in found if (why := problem(page, link, repository, site))]
    for page, link, why in broken:
        root = site if page.is_relative_to(site) else repository
        print(f"check-links: {page.relative_to(root)}: {link}: {why}", file=sys.stderr)
    print(f"check-links: {len(found)} links in {len(pages)} pages, {len(broken)} broken")
    return 1 if broken or len(pages) < 20 else 0


sys.exit(main(*sys.argv[1:]))
