"""The published site without a browser: links, weight, what it loads, and the extension's own pieces."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from course import cells, glossary, numbers, outline, pages, static_math, tables  # noqa: E402

KILOBYTE = 1024
PAGE_BUDGET = 700 * KILOBYTE  # gzipped, a first visit to a lesson
HERE = "http://site/"
LESSONS = "notebooks/phase_*/[0-9][0-9]_*.ipynb"


# ---------------------------------------------------------------- the built site


@pytest.fixture(scope="module")
def documents(site) -> dict[str, BeautifulSoup]:
    """Every page of the site by its path."""
    files = (f for f in site.rglob("*.html") if "_static" not in f.parts)
    return {str(f.relative_to(site)): BeautifulSoup(f.read_text(encoding="utf-8"), "html.parser") for f in files}


@pytest.mark.slow
def test_every_page_says_what_it_is(documents):
    assert {"index.html", "404.html", "search.html", "book/glossary.html"} <= documents.keys()
    for path, page in documents.items():
        assert page.title and len(page.title.text.strip()) > 3, path
        assert page.html.get("lang") == "en", path
        description = page.find("meta", attrs={"name": "description"})
        assert description and 10 < len(description["content"]) <= 170, f"{path}: {description}"
        assert len(page.find_all("h1")) == 1, path
        assert len(page.find_all("main")) == 1, path


@pytest.mark.slow
def test_every_lesson_was_run_to_its_last_cell(site):
    """This build is the one time that a run of the tests executes the lessons, whose asserts hold their claims."""
    how = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["execute"]
    assert (how["execute_notebooks"], how["raise_on_error"]) == ("force", True)
    for source in sorted(ROOT.glob(LESSONS)):
        ran = json.loads((site.parent / "jupyter_execute" / source.relative_to(ROOT)).read_text(encoding="utf-8"))
        code = [cell for cell in ran["cells"] if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), source.name


def _targets(page: BeautifulSoup):
    """(address, what holds it) for everything on a page that points somewhere."""
    for tag in page.find_all(True):
        for attribute in ("href", "src", "action"):
            if tag.get(attribute) and tag.name != "use":
                yield tag[attribute], tag


@pytest.mark.slow
def test_every_link_inside_the_site_leads_somewhere(site, documents):
    broken = []
    for path, page in documents.items():
        for address, _ in _targets(page):
            target, fragment = urldefrag(urljoin(HERE + path, address))
            if not target.startswith(HERE) or path == "404.html" and address == "/":
                continue
            name = unquote(urlsplit(target).path.lstrip("/"))
            if not (site / name).is_file():
                broken.append(f"{path}: {address} (no such file)")
            elif fragment and name in documents and not documents[name].find(id=unquote(fragment)):
                broken.append(f"{path}: {address} (no such place on that page)")
    assert not broken, "\n".join(broken)


@pytest.mark.slow
def test_nothing_is_loaded_from_outside(site, documents):
    for path, page in documents.items():
        for address, tag in _targets(page):
            if tag.name != "a":
                assert not re.match(r"(https?:)?//", address), f"{path}: {tag}"
        assert not re.search(r"url\(\s*['\"]?(https?:)?//", str(page)), path
    outside = re.compile(r"""(?:@import|\bfrom\s*['"]|\bimport\(|url\(|fetch\(|Worker\()\s*['"(]*\s*(?:https?:)?//""")
    for file in [*site.glob("_static/*.css"), *site.glob("_static/*.mjs"), *site.glob("_static/*.js")]:
        assert not outside.search(file.read_text(encoding="utf-8")), file


def _packed(file: Path) -> int:
    return len(gzip.compress(file.read_bytes(), 6))


def first_visit(site: Path, path: str, page: BeautifulSoup) -> int:
    """Gzipped bytes of a page with the styles, scripts and pictures it names."""
    loaded = [tag["src"] for tag in page.find_all(["script", "img"], src=True)]
    loaded += [tag["href"] for tag in page.find_all("link", rel=["stylesheet", "icon"])]
    names = {unquote(urlsplit(urljoin(HERE + path, address)).path.lstrip("/")) for address in loaded}
    return _packed(site / path) + sum(_packed(site / name) for name in names if not name.startswith("data:"))


@pytest.mark.slow
def test_pages_keep_to_the_weight_budget(site, documents):
    heavy = {path: first_visit(site, path, page) for path, page in documents.items() if path != "404.html"}
    assert max(heavy.values()) <= PAGE_BUDGET, heavy
    assert heavy["book/glossary.html"] <= 60 * KILOBYTE, "a page without figures or math should be small"


@pytest.mark.slow
def test_a_page_loads_only_what_it_uses(documents):
    def loaded(path):
        return " ".join(tag["src"] for tag in documents[path].find_all("script", src=True))

    assert "lessons.mjs" in loaded("index.html")
    assert "lessons.mjs" not in loaded("book/glossary.html")
    assert "python-cell.mjs" in loaded("book/notation.html")
    assert "pyodide" not in loaded("book/notation.html")


@pytest.mark.slow
def test_without_an_address_there_are_no_buttons_and_no_tags(documents):
    for path, page in documents.items():
        assert not page.find("meta", property=re.compile("^og:")), path
        assert not page.find("link", rel="canonical"), path
        assert not page.find("a", href=re.compile("colab|mybinder")), path


@pytest.mark.slow
def test_the_comparison_page_holds_the_methods_table(documents):
    from lessons_lib.methods import METHODS

    text = " ".join(documents["book/comparison.html"].get_text().replace("’", "'").split())
    for method in METHODS.values():
        assert method.fixes in text
        assert f"{method.policy_passes} policy + {method.reference_passes} reference" in text
        for knob in method.hyperparameters.values():
            assert f"= {knob.default:g} ({knob.usual[0]:g} to {knob.usual[1]:g})" in text
            assert knob.direction in text


@pytest.mark.slow
def test_the_start_page_holds_the_decision_tree_that_the_library_walks(documents):
    from lessons_lib.advice.cards import cards, default_card
    from lessons_lib.advice.decide import load_tree
    from lessons_lib.methods import METHODS

    questions = documents["index.html"].select(".tree > li")
    tree = load_tree()
    assert [question.p.text for question in questions] == [question.text for question in tree.questions.values()]
    for shown, question in zip(questions, tree.questions.values(), strict=True):
        ends = [METHODS[cards()[a.then]["start_with"]].name for a in question.answers if a.then in tree.leaves]
        assert [leaf.text for leaf in shown.select("li > p + p > strong")] == ends
    default = METHODS[default_card()["method"]].name
    assert f"When nothing can be told apart: {default}." in documents["index.html"].get_text()


@pytest.mark.slow
def test_formulas_are_pictures_with_mathml_beside_them(documents):
    page = documents["book/notation.html"]
    formulas = page.find_all("mjx-container")
    assert len(formulas) > 20
    assert all(formula.svg and formula.math for formula in formulas)
    drawn = {use["href"] for formula in formulas for use in formula.find_all("use")}
    shapes = {"#" + path["id"] for path in page.select("svg.glyphs path")}
    assert drawn == shapes, "each glyph once, and none missing"


@pytest.mark.slow
def test_the_site_ships_the_librarys_own_textbook(site):
    assert (site / "_static/textbook.py").read_text() == (ROOT / "lessons_lib/textbook.py").read_text()


@pytest.mark.slow
def test_an_address_brings_tags_and_buttons(site, tmp_path):
    """Built with the one setting filled in (notebooks not executed: this is about the frame)."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["sphinx"]["config"]["course_repository"] = "https://github.com/some-owner/some.course"
    config["sphinx"]["local_extensions"]["course"] = str(ROOT / "book" / "_ext")
    config["execute"]["execute_notebooks"] = "off"
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--config", tmp_path / "_config.yml"]
    subprocess.run([*command, "--path-output", tmp_path], cwd=ROOT, check=True, capture_output=True)
    page = BeautifulSoup((tmp_path / "_build/html/index.html").read_text(encoding="utf-8"), "html.parser")
    tags = {tag["property"]: tag["content"] for tag in page.find_all("meta", property=True)}
    assert tags["og:url"] == "https://some-owner.github.io/some.course/book/index.html"
    assert tags["og:image"] == "https://some-owner.github.io/some.course/_static/card.png"
    assert (tmp_path / "_build/html/_static/card.png").is_file()
    assert page.find("a", href="https://github.com/some-owner/some.course")
    for lesson in (tmp_path / "_build/html/notebooks").rglob("*.html"):
        assert "colab.research.google.com/github/some-owner/some.course/blob/main/notebooks/" in lesson.read_text()


# ---------------------------------------------------------------- the sources


def test_the_table_of_contents_names_every_lesson_that_exists():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    named = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    lessons = sorted(str(f.relative_to(ROOT).with_suffix("")) for f in ROOT.glob(LESSONS))
    assert [name for name in named if name.startswith("notebooks/")] == lessons, "all of them, in order"
    assert len(named) == len(set(named))
    assert all((ROOT / f"{name}.md").is_file() for name in named if name.startswith("book/"))


def test_a_lessons_notebook_carries_the_outlines_title():
    files = {int(f.name[:2]): f for f in ROOT.glob(LESSONS)}
    for phase in outline.read_outline(set()):
        for lesson in phase.lessons:
            if lesson.number in files:
                cells = json.loads(files[lesson.number].read_text(encoding="utf-8"))["cells"]
                heading = "".join(cells[0]["source"]).partition("\n")[0]
                assert re.sub(r"^# (Lesson )?(\d+ *[.:·]? *)?", "", heading) == lesson.title


def test_outline_has_four_phases_fourteen_lessons_and_finds_published_ones():
    name = "notebooks/phase_2_match_each_algorithm/05_ipo_knows_when_to_stop"
    phases = outline.read_outline({name, "book/index"})
    lessons = [lesson for phase in phases for lesson in phase.lessons]
    assert [lesson.number for lesson in lessons] == list(range(1, 15))
    assert [lesson.docname for lesson in lessons if lesson.docname] == [name]
    assert [phase.minutes for phase in phases] == [40, 52, 43, 9]


def test_lock_file_holds_what_arrives_and_not_where_from():
    """Each package is held by its hash; which registry or mirror delivers it is the machine's own setting."""
    packages = json.loads((ROOT / "book/package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert not any("resolved" in package for package in packages.values())
    assert all("integrity" in package for name, package in packages.items() if name)


def test_workflow_pins_its_actions_and_grants_little():
    workflow = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text(encoding="utf-8"))
    uses = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert uses and all(re.search(r"@[0-9a-f]{40}$", action) for action in uses)
    assert workflow["permissions"] == {"contents": "read"}


# ---------------------------------------------------------------- the extension's pieces


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<p>at 50 % of ± 0.2 nats</p>", "<p>at 50~% of ±~0.2~nats</p>"),
        ("<b>16</b> GB, 5 <a href='#'>nats</a>", "<b>16</b>~GB, 5~<a href='#'>nats</a>"),
        ("<td>5e-07</td>", '<td><span class="one-line">5e-07</span></td>'),
        (
            "<code>sleep 5 s</code> <svg><path d='M0 5 M'/></svg>",
            "<code>sleep 5 s</code> <svg><path d='M0 5 M'/></svg>",
        ),
        ("in 2024 models, 5 seconds", "in 2024 models, 5 seconds"),
    ],
)
def test_a_number_keeps_its_sign_and_unit(written, shown):
    assert numbers.keep_together(written) == shown.replace("~", "\N{NO-BREAK SPACE}")


def _table(*rows):
    def part(kind, some):
        entries = [[nodes.entry("", nodes.paragraph("", text)) for text in row] for row in some]
        return kind("", *(nodes.row("", *row) for row in entries))

    return nodes.table(
        "", nodes.tgroup("", part(nodes.thead, rows[:1]), part(nodes.tbody, rows[1:]), cols=len(rows[0]))
    )


def test_a_table_of_words_becomes_cards_whose_cells_say_their_columns_name():
    words = "a sentence that is long enough to wrap"
    table = _table(("Method", "Idea", "Cost"), ("DPO", words, words))
    tables.prepare(table)
    assert "cards" in table["classes"]
    assert [label.astext() for label in table.findall(nodes.inline)] == ["Idea", "Cost"]
    numbers_alone = _table(("Method", "Gold", "KL"), ("DPO", "1.25 ± 0.10", "3.5"))
    tables.prepare(numbers_alone)
    assert not numbers_alone["classes"] and not list(numbers_alone.findall(nodes.inline))


def test_a_picture_stands_before_the_code_that_draws_it():
    code = nodes.container("", nodes.literal_block("", "plots.bars_plot(values)"), classes=["cell_input"])
    picture = nodes.raw("", '<figure class="lx-figure"></figure>', format="html")
    document = nodes.container("", nodes.container("", code, picture, classes=["cell"]))
    cells._put_pictures_first(document)
    kinds = [part.astext() for part in document.children[0].children]
    assert kinds == [picture.astext(), cells.FOLD, "plots.bars_plot(values)", "</details>"]


def test_glossary_terms_are_found_longest_first_once_and_as_whole_words():
    found = glossary.pattern(["margin", "log-prob", "log-probability", "KL"]).findall
    assert found("Margins of a log-probability, log-probs") == ["Margin", "log-probability", "log-prob"]
    assert found("submargin, kl, the margin-based, KLs") == ["KL"]


@pytest.mark.slow
def test_glossary_reads_every_entry_with_its_aliases(site):
    entries = glossary.read_entries(_doctree(site, "book/glossary"))
    assert entries["log-prob"] == entries["log-probability"] != entries["log-ratio"]
    assert len(entries) > 40
    assert all(20 < len(entry.definition) < 240 for entry in entries.values())


def _doctree(site, name):
    import pickle

    return pickle.loads((site.parent / ".doctrees" / f"{name}.doctree").read_bytes())


@pytest.mark.parametrize(
    ("repository", "address"),
    [("", ""), ("https://github.com/owner/course", "https://owner.github.io/course/")],
)
def test_site_address(repository, address):
    assert pages.site_address(repository) == address


def test_site_address_refuses_what_it_cannot_read():
    with pytest.raises(ValueError, match="expected https://github.com/OWNER/NAME, got 'github.com/owner'"):
        pages.site_address("github.com/owner")


@pytest.mark.slow
def test_broken_tex_is_reported_and_not_drawn(site):
    typesetter = static_math.Typesetter()
    try:
        assert "brace" in typesetter.ask(tex=r"\frac{1", display=True)["error"]
        assert "Undefined control sequence" in typesetter.ask(tex=r"\nosuch", display=True)["error"]
        assert "<svg" in typesetter.ask(tex=r"\frac{1}{2}", display=False)["html"]
        assert "<path" in typesetter.ask(glyphs=True)["html"]
        assert "<path" not in typesetter.ask(glyphs=True)["html"], "the next page starts with none"
    finally:
        typesetter.close()
