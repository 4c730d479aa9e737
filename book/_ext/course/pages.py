"""What each page's template is told, and the pages and files that no source file stands for."""

from __future__ import annotations

import hashlib
import posixpath
import re
import shutil
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

from course import numbers

ROOT = Path(__file__).parents[3]
WORDS_A_MINUTE = 200
DESCRIPTION_LENGTH = 160
PLAN = "<!-- course plan -->"

# A page loads a file only if its text holds the mark.
STYLES = (
    ("sd-", "sphinx-design.min.css"),
    ('class="lx', "lessons.css"),
    ('class="lq', "lessons.css"),
    ("", "site.css"),
)
MODULES = (
    ("", "site.mjs"),
    ('class="lx', "lessons.mjs"),
    ('class="lq', "lessons.mjs"),
    ("python-cell", "python-cell.mjs"),
    ("tag_try-it", "python-cell.mjs"),
    ("sd-tab-set", "design-tabs.js"),
)


class CoursePlan(Directive):
    """``{course-plan}``: the phases with their lessons, as on the start page."""

    def run(self):
        return [nodes.raw("", PLAN, format="html")]


def needed(files: tuple[tuple[str, str], ...], body: str) -> list[str]:
    return list(dict.fromkeys(file for mark, file in files if mark in body))


def site_address(repository: str) -> str:
    """Where GitHub Pages serves a repository: https://github.com/owner/name -> https://owner.github.io/name/."""
    if not repository:
        return ""
    if not (match := re.fullmatch(r"https://github\.com/([\w-]+)/([\w.-]+)", repository)):
        raise ValueError(f"course_repository: expected https://github.com/OWNER/NAME, got {repository!r}")
    return f"https://{match[1]}.github.io/{match[2]}/"


def _paragraphs(doctree) -> list[str]:
    return [p.astext().replace("\n", " ") for p in doctree.findall(nodes.paragraph)]


def _shorten(text: str) -> str:
    if len(text) <= DESCRIPTION_LENGTH:
        return text
    return text[:DESCRIPTION_LENGTH].rpartition(" ")[0].rstrip(",;:") + " …"


def _asset(app, pathto):
    """A static file's address with a mark of its content, so that a browser's copy is never stale."""

    def address(name: str) -> str:
        file = Path(app.outdir, "_static", name)
        return f"{pathto('_static/' + name, 1)}?v={hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"

    return address


def _add_context(app, pagename, templatename, context, doctree):
    phases = app.env.course_phases
    lessons = [lesson for phase in phases for lesson in phase.lessons]
    lesson = next((one for one in lessons if one.docname == pagename), None)
    paragraphs = _paragraphs(app.env.get_doctree(pagename)) if doctree else []  # as written, without glossary links
    address = site_address(app.config.course_repository)
    context.update(
        phases=phases,
        lesson=lesson,
        lesson_count=len(lessons),
        published=sum(one.docname is not None for one in lessons),
        reference_pages=_reference_pages(app.env),
        description=_shorten(lesson.claim if lesson else next(iter(paragraphs), "")),
        reading_minutes=round(sum(len(p.split()) for p in paragraphs) / WORDS_A_MINUTE),
        repository=app.config.course_repository,
        repository_name=app.config.course_repository.removeprefix("https://github.com/"),
        site_address=address,
        home=context["pathto"]("index.html", 1),
        prev_is_home=bool(context.get("prev")) and context["prev"]["link"] == context["pathto"](app.config.root_doc),
        author=app.config.author,
        asset=_asset(app, context["pathto"]),
    )
    body = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')  # as ARIA 1.2 has it
    body = body.replace(' aria-label="Toggle hidden content"', "")  # folded code is called what it shows
    if PLAN in body:
        body = body.replace(PLAN, app.builder.templates.render("plan.html", context))
    context["body"] = body = numbers.keep_together(body)
    context["styles"] = needed(STYLES, body)
    context["modules"] = needed(MODULES, body)


def _reference_pages(env) -> list[tuple[str, str]]:
    names = [name for name in env.toctree_includes.get(env.config.root_doc, []) if not name.startswith("notebooks/")]
    return [(name, env.titles[name].astext()) for name in names]


def _set_address(app, config):
    config.html_baseurl = site_address(config.course_repository)


def _copy_textbook(app):
    """The module that editable cells import is the library's own file."""
    target = Path(app.outdir, "_static")
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "lessons_lib" / "textbook.py", target)


def _not_found_page(app):
    yield "404", {}, "404.html"


def _start_page_at_root(app, exception):
    """Serve the start page at the site's root as well: a copy with its relative addresses moved up."""
    if exception or app.builder.name != "html" or app.tags.has("pages_alone"):
        return
    folder = posixpath.dirname(app.config.root_doc)
    page = Path(app.outdir, app.config.root_doc + ".html").read_text(encoding="utf-8")

    def moved(match):
        attribute, url = match.groups()
        relative = not re.match(r"[a-z]+:|/|#", url)
        return f'{attribute}="{posixpath.normpath(posixpath.join(folder, url)) if relative else url}"'

    page = re.sub(r'\b(href|src|action)="([^"]+)"', moved, page).replace('content_root="../"', 'content_root="./"')
    Path(app.outdir, "index.html").write_text(page, encoding="utf-8")


def setup(app):
    app.add_directive("course-plan", CoursePlan)
    app.connect("config-inited", _set_address)
    app.connect("builder-inited", _copy_textbook)
    app.connect("html-collect-pages", _not_found_page)
    app.connect("html-page-context", _add_context)
    app.connect("build-finished", _start_page_at_root)
