"""What people are shown: the terminal's text and the page, from matches made by hand."""

import dataclasses
import html.parser
import io
import re

import pytest
from rich.console import Console

from lessons_lib.advice.decide import Constraints, briefs
from lessons_lib.advice.match import hardware_of, match
from lessons_lib.advice.report import (
    TITLES,
    figure_rows,
    headline,
    html_page,
    method_name,
    print_match,
    print_profile,
    second_thoughts,
    sections,
    unknown_figures,
)
from lessons_lib.data.profile import profile

VERDICTS = [
    {"prompt": f"p{i}", "first": "a b " * (1 + i % 3), "second": "c d", "verdict": side, "item": str(i), "rater": rater}
    for i in range(60)
    for rater, side in (("ann", "first"), ("<b>bo</b>", "first" if i % 3 else "second"))
]
THUMBS = [{"prompt": f"p{i // 2}", "completion": f"answer {i}", "label": i % 3 > 0} for i in range(40)]


@pytest.fixture(scope="module")
def found():
    return match("a <file> [red].jsonl", Constraints("sft", "live"), hardware_of("gpt2", None), rows=VERDICTS)


def shown(printer, thing, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    printer(thing, console)
    return console.file.getvalue()


class Page(html.parser.HTMLParser):
    """Collects tags and text, and fails on a tag that is never closed."""

    VOID = {"meta", "link", "br", "img", "input", "path", "use", "rect"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.attributes = [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


# The sections


def test_every_figure_has_a_heading():
    listed = {name for names in TITLES.values() for name in names}
    assert len(listed) == sum(map(len, TITLES.values()))
    for rows in (VERDICTS, THUMBS):
        assert set(profile(rows).figures) <= listed


def test_known_and_unknown_figures_are_all_there_and_apart():
    measured = profile(VERDICTS)
    known = [name for _, figures in figure_rows(measured) for name, _ in figures]
    unknown = [name for names in unknown_figures(measured).values() for name in names]
    assert sorted(known + unknown) == sorted(measured.figures)
    assert unknown_figures(measured)["the rows carry no scores"] == ["hidden_ties", "small_gaps", "score_contradicts"]


def test_the_headline_says_how_the_others_stand(found):
    def said(**fields):
        none = {"start_with": "dpo", "regimes": ("clean",), "equivalents": (), "cannot_tell": (), "behind": ()}
        return headline(dataclasses.replace(found.recommendation, **none | fields))

    assert said(behind=("ipo",)) == "Start with DPO: IPO was behind it."
    assert said(equivalents=("ipo", "kto"), cannot_tell=("orpo",), behind=("simpo",)) == (
        "Start with DPO: IPO and KTO would do as well; ORPO cannot be told from it; SimPO was behind it."
    )
    assert said() == "Start with DPO: it alone can use what you have."
    assert "the mechanism's answer" in said(regimes=())
    assert said(instead="None of the five.") == "None of the five."


def test_mechanism_evidence_and_cost_stand_apart(found):
    lines = dict(sections(found))
    advice = found.recommendation
    assert lines["The mechanism: what was made for this"][0] == advice.mechanism
    told = lines["The evidence: what runs say"]
    assert told[0] == advice.verdict and told[1].startswith("Expected regret, in points of gold reward")
    labels = [f"{c.label[0].upper()}{c.label[1:]}: {c.badge}." for c in advice.evidence]
    assert [line for line in told if line in labels] == labels and len(labels) == 3
    assert [line.partition(":")[0] for line in lines["What it costs"]] == [method_name(m) for m in advice.costs]
    assert lines["What one pilot would tell"] == [advice.pilot]


# The terminal


def test_the_advice_is_read_from_the_top(found):
    text = shown(print_match, found)
    order = ["Start with", "How sure: ", *(title for title, _ in sections(found))]
    places = [text.index(part) for part in [*order, "Where to start", "Memory. Predicted peak on each of one GPU"]]
    assert places == sorted(places)
    flat = " ".join(text.split())
    for line in (*found.recommendation.warnings, *found.recommendation.reasons):
        assert line in flat
    assert "a <file> [red].jsonl" in text  # names with brackets are no markup
    assert "arXiv 2310.12036" in flat and "learning_rate" in flat and "SimPO" in flat


def test_lines_stay_within_the_terminal(found):
    paired = dataclasses.replace(found, profile=dataclasses.replace(found.profile, form="paired"))
    lines = shown(print_match, paired, 60).splitlines()
    *others, following, pilot = lines  # the last two are whole, to be copied
    assert following.startswith("Next: ")
    assert following.endswith(f"--output recipes/{found.recommendation.start_with}")
    assert pilot == "Pilot first: lessons-lib trial 'a <file> [red].jsonl' --model MODEL --minutes 30"
    assert max(map(len, others)) <= 60
    assert max(map(len, shown(print_profile, found.profile, 72).splitlines())) <= 72


def test_a_brief_stands_first(found):
    brief = briefs()["tulu1_human_eval"]
    text = " ".join(shown(print_match, dataclasses.replace(found, brief=brief)).split())
    assert text.startswith(f"The brief. {brief.text}")


def test_a_profile_shows_values_meanings_and_what_is_unknown():
    text = " ".join(shown(print_profile, profile(VERDICTS), 200).split())
    assert "agreement 66.7 %" in text and "of 60 pairs of raters of one item" in text
    assert "<b>bo</b> and ann" in text and "What these rows cannot tell" in text
    assert "the rows carry no scores: hidden_ties" in text


# The page


def test_the_page_is_complete_in_itself(found):
    text = html_page(found.profile, found)
    page = Page(text)
    assert "script" not in page.tags and "link" not in page.tags and "img" not in page.tags
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith("#"), f"{name}={value} is fetched from elsewhere"
    assert "http" not in re.sub(
        r"http://www\.w3\.org/\S+|http://purl\.org/\S+|http://creativecommons\.org/\S+", "", text
    )
    assert "@import" not in text
    assert "color-scheme: light dark" in text and 'lang="en"' in text


def test_the_page_says_what_the_terminal_says(found):
    words = Page(html_page(found.profile, found)).words
    for line in (
        headline(found.recommendation),
        *found.recommendation.warnings,
        *second_thoughts(found.recommendation),
    ):
        assert " ".join(line.split()) in words
    assert "Predicted peak on each of one GPU" in words
    for question, answer in found.recommendation.path:
        assert question in words and answer in words


def test_names_from_the_file_are_escaped(found):
    text = html_page(found.profile, found)
    assert "<b>bo</b>" not in text and "&lt;b&gt;bo&lt;/b&gt; and ann" in text
    assert "a &lt;file&gt; [red].jsonl" in text


def test_the_pictures_carry_finding_values_and_a_text_for_those_who_cannot_see_them(found):
    text = html_page(found.profile, found)
    assert text.count("<figure") == 3
    for part in ("Two raters agree on 67 % of what both judged", "The longer response wins", "n = 60"):
        assert part in text
    assert re.search(r'="Two raters agree[^"]*raters agree \(n = 60\): 66\.7 %', text)  # the text beside the picture


def test_the_page_of_a_profile_alone_and_of_ratings():
    words = Page(html_page(profile(THUMBS))).words
    assert "profile" in words and "of the ratings are up" in words and "Where to start" not in words


@pytest.mark.parametrize(
    "rows",
    [
        [{"prompt": "p", "chosen": "a", "rejected": "b"}],
        [{"prompt": "p", "chosen": "a", "rejected": "b b"}] * 3,
        [{"prompt": "p", "completion": "a", "label": True}],
        [{"prompt": "p", "first": "a", "second": "b", "verdict": None}],
    ],
    ids=["one pair", "never longer", "one thumb", "no verdict"],
)
def test_even_next_to_nothing_can_be_shown(rows):
    tiny = match("tiny", rows=rows)
    Page(html_page(tiny.profile, tiny))
    assert headline(tiny.recommendation) in " ".join(shown(print_match, tiny, 200).split())
    assert shown(print_profile, tiny.profile)


@pytest.mark.browser
def test_the_page_in_a_browser_light_dark_and_on_a_phone(found, chromium, tmp_path):
    from playwright.sync_api import sync_playwright

    path = tmp_path / "report.html"
    path.write_text(html_page(found.profile, found), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        backgrounds = []
        for width, scheme in ((1100, "light"), (390, "dark")):
            page = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
            complaints = []
            page.on("console", lambda message, seen=complaints: seen.append(message.text))
            page.on("request", lambda request, seen=complaints: seen.append(request.url))
            page.goto(path.as_uri())
            assert complaints == [path.as_uri()]  # the page itself, and nothing else
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            backgrounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            for box in page.locator("svg").all():
                assert not box.is_visible() or box.bounding_box()["width"] <= width  # a phone has its own
        browser.close()
    assert backgrounds == ["rgb(255, 255, 255)", "rgb(22, 22, 22)"]
