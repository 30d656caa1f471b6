"""The site in a real browser, opened from its folder: formulas, search, languages, and what a page asks for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tfbp import InputError

ROOT = Path(__file__).parents[2]
WIDTHS = (390, 1280, 1440, 1920)
# a word, and a page that has to be among what is found
WORDS = {
    "损失": "zh/",
    "误差": "zh/",
    "梯度": "zh/gradient_descent.html",
    "链式法则": "zh/derivatives.html",
    "激活函数": "zh/activations.html",
    "卷积": "zh/convolution.html",
    "归一化": "zh/normalization.html",
    "遗忘门": "zh/recurrence.html",
    "注意力": "zh/attention.html",
    "delta": "derivation.html",
    "filter": "tour/convolution.html",
    "dropout": "tour/dropout.html",
    "LSTM": "tour/recurrence.html",
    "attention": "tour/attention.html",
    "sigmoid": "tour/activations.html",
    "broadcast": "tour/worked_example.html",
    "histogram": "guides/tensorboard.html",
    "TF32": "guides/gpu.html",
}
# how far what is drawn reaches out of the place that it has, in pixels
OVERHANG = """() => [...document.querySelectorAll("math")].map(formula => {
    const place = formula.getAttribute("display") === "block" ? formula : formula.closest("td, p, li, div, h1, h2, h3");
    const box = place.getBoundingClientRect();
    const parts = [...formula.querySelectorAll("*")].map(each => each.getBoundingClientRect());
    const right = Math.max(...parts.map(each => each.right)) - box.right;
    const left = box.left - Math.min(...parts.map(each => each.left));
    return [Math.max(left, right), formula.textContent];
})"""

# one process builds the site for all of these
pytestmark = pytest.mark.xdist_group("browser")
in_a_browser = pytest.mark.rare("it takes a browser")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site that `make docs` built where no source is newer, otherwise one of its own."""
    pytest.importorskip("mkdocs")
    built = ROOT / "build" / "site"
    sources = [ROOT / "mkdocs.yml", *(path for room in ("docs", "tfbp") for path in (ROOT / room).rglob("*.*"))]
    newest = max(path.stat().st_mtime for path in sources if path.suffix != ".pyc")
    if (built / "index.html").is_file() and (built / "index.html").stat().st_mtime > newest:
        return built
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder]
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def browser():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")
        import screenshots
    try:
        screenshots.browser_path()
    except InputError as error:
        if "TFBP_COMPLETE" in os.environ:
            raise
        pytest.skip(str(error))
    with screenshots.open_page() as page:
        yield page


def pages(site):
    return [path for path in sorted(site.rglob("*.html")) if path.name != "404.html"]


def test_a_group_stays_in_one_process(request):
    """pytest 9.2 and pytest-xdist 3.8 together lose the groups, and build the site in every process."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@browser")


@in_a_browser
@pytest.mark.sampled(2)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_formula_is_cut_off(site, browser, width):
    browser.set_viewport_size({"width": width, "height": 900})
    cut, seen = [], 0
    for path in pages(site):
        browser.goto(path.as_uri())
        found = browser.evaluate(OVERHANG)
        seen += len(found)
        cut += [(path.name, round(pixels), text[:60]) for pixels, text in found if pixels > 1]
    assert cut == []
    assert seen > 100


@in_a_browser
def test_a_formula_that_is_cut_off_is_found(browser):
    wide = "<p style='width: 50px'><math display='block' style='overflow: auto'><mi>xyzxyzxyzxyzxyz</mi></math></p>"
    browser.set_content(wide)
    ((pixels, text),) = browser.evaluate(OVERHANG)
    assert pixels > 1
    assert text.startswith("xyz")


@in_a_browser
@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_found_without_a_server(site, browser, word):
    browser.set_viewport_size({"width": 1280, "height": 900})
    browser.goto((site / "index.html").as_uri())
    browser.fill("input.md-search__input", word)
    browser.wait_for_selector(".md-search-result__item")
    links = browser.eval_on_selector_all(".md-search-result__item a", "all => all.map(each => each.href)")
    assert any(WORDS[word] in link for link in links), links


def test_the_switch_leads_to_the_same_page_in_the_other_language(site):
    switch = re.compile(r'<a href="([^"]*)" hreflang="(\w+)"')
    for path in pages(site):
        text = path.read_text()
        chinese = "zh" in path.relative_to(site).parts
        assert f'<html lang="{"zh" if chinese else "en"}"' in text, path
        links = {language: link for link, language in switch.findall(text)}
        # the page's own language leads nowhere else, the other one to a page of the same name or to the home page
        assert (path.parent / links["zh" if chinese else "en"]).resolve() == path
        other = (path.parent / links["en" if chinese else "zh"]).resolve()
        assert other.is_file()
        assert ("zh" in other.relative_to(site).parts) != chinese
        translated = chinese or ((site / "zh" / path.name).is_file() and "reference" not in path.parts)
        assert other.name == (path.name if translated else "index.html"), path
    for path, words in {
        "zh/derivation": ("搜索", "指南（英文）", "深色"),
        "derivation": ("Search", "Guides", "Dark"),
    }.items():
        text = (site / f"{path}.html").read_text()
        assert [word for word in words if word not in text] == []
    assert "Guides" not in (site / "zh" / "derivation.html").read_text()


def test_a_chinese_page_says_that_what_it_links_to_is_english():
    link = re.compile(r"\[[^\]]+\]\(\.\./(?:guides|reference|tour|several_machines)[^)]*\)")
    for path in sorted((ROOT / "docs" / "zh").glob("*.md")):
        for paragraph in re.split(r"\n\n|\n- ", path.read_text()):
            assert not link.search(paragraph) or re.search("英文", paragraph), (path.name, paragraph)


@in_a_browser
def test_a_page_asks_for_nothing_that_is_missing_and_for_nobody_else(site, browser):
    # a server of its own, for a browser tells of no missing file in a folder
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", site],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        address = re.search(r"http://[\d.:]+", server.stdout.readline())[0]
        answers = {}
        browser.on("response", lambda answer: answers.update({answer.url: answer.status}))
        for path in (site / "index.html", site / "zh" / "derivation.html", site / "tour" / "activations.html"):
            browser.goto(f"{address}/{path.relative_to(site)}")
            browser.wait_for_load_state("networkidle")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert len(answers) > 10
    assert {url: status for url, status in answers.items() if status >= 400 or not url.startswith(address)} == {}


@in_a_browser
@pytest.mark.parametrize("page", ["tour", "zh"])
def test_the_page_to_play_with_computes_what_the_reference_computes(site, browser, page):
    import numpy as np

    from tfbp import reference
    from tfbp.commands.worked_example import NETWORK, parameters

    browser.set_viewport_size({"width": 1280, "height": 900})
    browser.goto((site / page / "play.html").as_uri())

    def shown():
        values = "all => Object.fromEntries(all.map(each => [each.id.slice(5), Number(each.dataset.value)]))"
        return browser.eval_on_selector_all("#play [data-value]", values)

    def expected(weights, x, target):
        loss, gradients, tensors = reference.loss_gradients_and_tensors(NETWORK, weights, x, target)
        names = {"loss": loss, "o": tensors[1]["y"].item(), "dz1": tensors[1]["dz"].item()}
        for unit in range(2):
            names |= {f"x{unit}": x[0, unit], f"y0{unit}": tensors[0]["y"][0, unit]}
            names |= {f"dz0{unit}": tensors[0]["dz"][0, unit], f"w1{unit}": weights[1]["kernel"][unit, 0]}
            names[f"dw1{unit}"] = gradients[1]["kernel"][unit, 0]
            for input in range(2):
                names[f"w0{unit}{input}"] = weights[0]["kernel"][input, unit]
                names[f"dw0{unit}{input}"] = gradients[0]["kernel"][input, unit]
        return names, gradients

    def check(weights, x, target):
        names, gradients = expected(weights, x, target)
        found = shown()
        assert set(found) == set(names)
        for name, value in names.items():
            assert found[name] == pytest.approx(value, rel=1e-12, abs=1e-18), name
        return gradients

    weights, x, target, rate = parameters(), np.array([[0.35, 0.9]]), np.array([[0.5]]), 1.0
    check(weights, x, target)
    for name, value in {"x0": -1.2, "target": 0.8, "rate": 3.5}.items():
        browser.fill(f"#play-slider-{name}", str(value))
    x, target, rate = np.array([[-1.2, 0.9]]), np.array([[0.8]]), 3.5
    for button, steps in (("step", 1), ("many", 100)):
        for _ in range(steps):
            _, gradients = reference.loss_and_gradients(NETWORK, weights, x, target)
            weights = [{"kernel": w["kernel"] - rate * dw["kernel"]} for w, dw in zip(weights, gradients, strict=True)]
        browser.click(f"#play-{button}")
        check(weights, x, target)
    assert browser.inner_text("#play-steps") == "101"
    browser.click("#play-hit")
    found = shown()
    assert found["loss"] == 0
    assert 0 < found["o"] < 1
    assert {name: value for name, value in found.items() if name.startswith("d") and value != 0} == {}
    browser.click("#play-reset")
    check(parameters(), np.array([[0.35, 0.9]]), np.array([[0.5]]))
