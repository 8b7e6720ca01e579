"""The decks: what is in them, that they need nothing else, and how each slide looks."""

import base64
import io
import re
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import site_pages  # noqa: E402
import slides  # noqa: E402
import sync  # noqa: E402

DECKS = slides.decks_in(slides.DECKS)
MEASURE = (ROOT / "tests" / "measure_slide.js").read_text(encoding="utf-8")
NUMBER_OF_SLIDES, MINUTES = {"00": 10}, {"00": (8, 15)}  # otherwise 30, and 30 to 45


def named(decks):
    return {"argvalues": decks, "ids": [path.stem for path in decks]}


# --- The format ----------------------------------------------------------------------------------


def png(width=40, height=20) -> str:
    picture = Image.new("RGB", (width + 20, height + 20), "white")
    picture.paste("black", (10, 10, 10 + width, 10 + height))
    file = io.BytesIO()
    picture.save(file, format="png")
    return base64.b64encode(file.getvalue()).decode("ascii")


def lesson():
    """A lesson with one cell that prints and draws, tagged deck:curve."""
    stream = nbformat.v4.new_output("stream", text="bound -14.195 nats\nscore  14.210\n")
    figure = nbformat.v4.new_output(
        "display_data", {"image/png": png()}, metadata={"image/png": {"alt": "A curve"}}
    )
    source = "# NBVAL_CHECK_OUTPUT\nfor i in many:\n    fit(i)\n\n    draw(i)  # fmt: skip\nend()"
    cell = nbformat.v4.new_code_cell(source, outputs=[stream, figure])
    cell.metadata["tags"] = ["hide-input", "deck:curve"]
    return nbformat.v4.new_notebook(cells=[cell])


def slide(body: str) -> str:
    """The HTML of a slide with this body."""
    writer = slides.Writer(slides.Lesson(lesson()))
    return writer.slide(slides.Slide(2, "A headline", body.splitlines()))


def test_a_deck_is_slides_with_headlines_and_minutes():
    title, one = slides.read("# Title\n\nWhy?\n\nNote: 2 min. Ask.\n\n## One idea\n\nText.\n")
    assert (title.headline, title.minutes, title.notes) == ("Title", 2, "Ask.")
    assert (one.number, one.headline, one.minutes) == (2, "One idea", 0)
    assert "".join(one.lines) == "Text."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Text.\n# Title", "begins with its title"),
        ("## One", "one title"),
        ("# One\n# Two", "one title"),
        ("# One\nNote: 2 min. A.\nNote: 3 min. B.", "slide 1, One: one"),
    ],
)
def test_what_is_no_deck_is_said(text, said):
    with pytest.raises(slides.DeckError, match=said):
        slides.read(text)


def test_numbers_come_from_what_the_cell_printed():
    assert "<p>It is −14.195, below 14.210.</p>" in slide(
        r'It is {{number curve "bound (\S+)"}}, below {{number curve "score +(\S+)"}}.'
    )


def test_steps_take_what_follows_them():
    page = slide("One.\n{{step}}\nTwo.\n{{columns 2:1}}\nA\n{{|}}\n{{step}}\nB\n{{end}}")
    two, b = (page.index(f'data-fragment-index="{i}"') for i in (0, 1))
    assert page.index("One.") < two < page.index("Two.") < page.index(">A<") < b < page.index(">B<")
    assert "minmax(0, 2fr) minmax(0, 1fr)" in page


def test_steps_take_the_rows_of_a_derivation():
    page = slide("$$\n\\begin{aligned}\na &= {b \\\\ c} \\\\\n{{step}}\n&= d\n\\end{aligned}\n$$")
    tex = " ".join(re.search(r"\\\[(.*)\\\]", page, re.S)[1].split())
    assert tex == (
        r"\begin{aligned} a &amp;= {b \\ c} \\ &amp; \class{fragment at-0}{{}= d}\end{aligned}"
    )


def test_a_figure_has_its_alternative_and_loses_its_rim():
    page = slide("{{figure curve x 0 0.5}}")
    assert 'alt="A curve"' in page
    data = re.search(r"base64,([^\"]+)", page)[1]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (20, 20)


def test_code_is_cut_out_and_lit():
    page = slide('{{code curve from "for" to "draw" without "fit" lit "draw"}}')
    line = r'<span class="line (\w+)" .*?>(.*?)</span>(?=<span class="line|</pre>)'
    lines = re.findall(line, page)
    text = [(state, re.sub("<.*?>", "", line)) for state, line in lines]
    assert text == [("dim", "for i in many:"), ("dim", " "), ("lit", "    draw(i)")]


def test_code_of_the_library_comes_without_its_docstring():
    page = re.sub("<.*?>", "", slide("{{code cvae_tf.estimators:reparameterise}}"))
    assert "def reparameterise" in page and "return" in page and "Args" not in page


def test_choices_have_letters():
    page = slide('{{vote at {{number curve "score +(\\S+)"}} | $a \\mid b$}}')
    assert "at 14.210" in page and r"\(a \mid b\)" in page
    assert re.findall('"letter">(.)<', page) == ["A", "B"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{{figure other}}", "no cell of the lesson has the tag deck:other; there are: curve"),
        ("{{figure curve 2}}", "figure 2 of 1"),
        (r'{{number curve "loss (\S+)"}}', "no match with one group"),
        (r'{{number curve "score"}}', "no match with one group"),
        ('{{code curve from "while"}}', 'no line with "while"'),
        ('{{code curve from "for" to "while"}}', 'no later line with "while"'),
        ('{{code curve lit "while"}}', 'lit "while": in no line'),
        ("{{code cvae_tf.conditional:CVAE1}}", "lines, more than 10"),
        ("{{code cvae_tf.conditional:CVAE9.prior}}", "no CVAE9"),
        ("{{vote one}}", "two to six choices"),
        ("{{explore nothing}}", "no docs/_static/explore/nothing.js"),
        ("{{columns}}\nA", "without {{end}}"),
        ("{{columns}}\nA\n{{end}}", "1 columns"),
        ("A\n{{|}}", "without {{columns}}"),
        ("{{figur curve}}", "not understood"),
        ("$$\na", "opened and not closed"),
    ],
)
def test_what_is_wrong_is_said_with_its_slide(body, said):
    with pytest.raises(slides.DeckError, match="^slide 2, A headline: ") as caught:
        slide(body)
    assert said in str(caught.value)


def test_a_deck_needs_nothing_else():
    page = slides.deck("# Title\n\n## One\n\n{{explore bound}}", lesson())
    own = re.sub(r"<script>.*?</script>|<style>.*?</style>", "", page, flags=re.S)
    assert re.findall(r"""<(?:script|link|img)\b[^>]*(?:src|href)=["'](?!data:)""", own) == []
    sheet = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    assert "@import" not in sheet and re.findall(r"url\((?!data:)", sheet) == []
    assert "script" not in own and "data-explore" in own


def test_without_a_browser_the_pdfs_are_left_out(monkeypatch, capsys):
    monkeypatch.setattr("browser.BROWSER", None)
    assert slides.print_all([Path("01_one.html")]) == 0
    assert capsys.readouterr().out.startswith("No PDFs: none of chromium")


# --- The decks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", **named(DECKS))
def test_a_deck_is_written_for_a_lecture(path):
    """Its labels lead somewhere, its minutes add up, and it has no more slides than they allow."""
    text, lesson = path.read_text(encoding="utf-8"), slides.lesson_of(path)
    writer = slides.Writer(slides.Lesson(lesson))
    written = slides.read(text)
    for each in written:
        writer.slide(each)
    title, _ = site_pages.title_and_question(lesson)
    least, most = MINUTES.get(path.stem[:2], (30, 45))
    assert written[0].headline == title
    assert len(written) <= NUMBER_OF_SLIDES.get(path.stem[:2], 30)
    minutes = sum(each.minutes for each in written)
    assert least <= minutes <= most
    assert f"{minutes:g} min" in "".join(cell.source for cell in lesson.cells[:4]), "as it says"
    assert re.search(r"{{vote ", text) and re.search(r"{{figure ", text)


def opened(path, browser, tmp_path):
    page = tmp_path / f"{path.stem}.html"
    page.write_text(slides.deck(path.read_text("utf-8"), slides.lesson_of(path)), encoding="utf-8")
    shown = browser.open(page, width=1280, height=720)
    shown.wait_for(slides.READY)
    return shown


ALL_STEPS = "while (Reveal.availableFragments().next) Reveal.nextFragment();"
PAINTED = "new Promise(done => setTimeout(done, 100))"


@pytest.mark.slow
@pytest.mark.parametrize("path", **named(DECKS))
def test_each_slide_can_be_read(path, browser, tmp_path):
    """Nothing is cut, overlaps or is small; nothing fails, and the network is not asked."""
    page, faults = opened(path, browser, tmp_path), []
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(f"Reveal.slide({number}); {ALL_STEPS} {PAINTED}")
        faults += [f"slide {number + 1}: {each}" for each in page.evaluate(MEASURE)]
    assert [*faults, *page.said] == [], "\n".join(faults)


SMALL = r"""
# One

Note: 2 min. Ask.

## Steps

A

{{step}}

$$
\begin{aligned}
a &= b
{{step}}
&= c
\end{aligned}
$$

## It moves

{{explore bound}}

Note: 3 min. Drag.
"""


@pytest.fixture(scope="module")
def small_deck(tmp_path_factory):
    """The file of a small deck with a derivation in steps and an explorable."""
    page = tmp_path_factory.mktemp("deck") / "small.html"
    page.write_text(slides.deck(SMALL, lesson()), encoding="utf-8")
    return page


@pytest.mark.slow
def test_what_is_beyond_small_or_pale_is_found(browser, small_deck):
    page = browser.open(small_deck, width=1280, height=720)
    page.wait_for(slides.READY)
    page.evaluate(
        "Reveal.getCurrentSlide().querySelector('h1').style.cssText = "
        "'font-size: 10px; color: #ddd; margin-left: 1300px'"
    )
    found = " ".join(page.evaluate(MEASURE))
    assert [word for word in ("beyond the slide", "10.0 px", "contrast") if word not in found] == []


@pytest.mark.slow
def test_steps_come_one_by_one(browser, small_deck):
    page = browser.open(small_deck, width=1920, height=1080)
    page.wait_for(slides.READY)
    shown = (
        "[Reveal.getIndices().h, [...Reveal.getCurrentSlide().querySelectorAll('.fragment')]"
        ".filter(e => !e.closest('mjx-assistive-mml') && e.classList.contains('visible')).length]"
    )
    found = []
    for _ in range(4):
        page.key("ArrowRight")
        found.append(page.evaluate(shown))
    assert found == [[1, 0], [1, 1], [1, 2], [2, 0]]


@pytest.mark.slow
def test_an_explorable_moves_on_its_slide_and_the_keys_stay_with_the_deck(browser, small_deck):
    page = browser.open(small_deck.as_uri() + "#/2", width=1920, height=1080)
    page.wait_for(slides.READY)
    page.evaluate(PAINTED)
    box = "document.querySelector('.explore')"
    left, top, width, mean = page.evaluate(
        f"(r => [r.x, r.y, r.width, {box}.explore.state.mean])"
        f"({box}.querySelector('canvas').getBoundingClientRect())"
    )

    def at(z):  # on a canvas that shows z from −3.6 to 3.6
        return left + width * (z + 3.6) / 7.2

    page.drag((at(mean), top + 400), (at(mean + 1.5), top + 400))
    assert page.evaluate(f"{box}.explore.state.mean") == pytest.approx(mean + 1.5, abs=0.03)
    page.key("ArrowLeft")
    assert page.evaluate("Reveal.getIndices().h") == 1 and page.said == []


@pytest.mark.slow
def test_the_pdf_has_each_slide_and_what_is_said(browser, small_deck, tmp_path):
    slides.print_pdf(browser, small_deck, tmp_path / "deck.pdf")
    pages = re.findall(rb"/Type /Page\b", (tmp_path / "deck.pdf").read_bytes())
    assert len(pages) == 3 + 2  # slides, and notes of two of them


# --- Tags that are not for decks -----------------------------------------------------------------


def test_a_fold_opens_on_the_page():
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    tagged = {"metadata": {"tags": ["fold"]}}
    cells = [text("# One"), text("### Does it agree?\n\nIt does.", **tagged)]
    cells += [code("check = 1", execution_count=1, **tagged), text("### Two", **tagged)]
    notebook = nbformat.v4.new_notebook(cells=[*cells, text("## Three")])
    page = [cell.source for cell in site_pages.for_reading(notebook).cells]
    opened = "<details class='fold'><summary>{}</summary>"
    assert page == [
        *("# One", opened.format("Does it agree?"), "It does.", "check = 1", "</details>"),
        *(opened.format("Two"), "</details>", "## Three"),
    ]


def test_jupyterlab_begins_with_folds_drawings_and_answers_closed(tmp_path):
    twin = tmp_path / "01_one.py"
    twin.write_text(
        '# %% [markdown] tags=["fold"]\n# ### Deeper\n\n# %% tags=["fold"]\n1\n\n'
        '# %% tags=["hide-input"]\n2\n\n# %% tags=["hide-output"]\n3\n\n# %%\n4\n'
    )
    cells = sync.read_twin(twin).cells
    assert cells[0].metadata["jp-MarkdownHeadingCollapsed"]
    hidden = [dict(cell.metadata.get("jupyter", {})) for cell in cells]
    assert hidden == [{}, {}, {"source_hidden": True}, {"outputs_hidden": True}, {}]
