"""The page over HTTP and in a browser: scores, limits, and what is refused."""

import asyncio
import html
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from conftest import ROOT, write_pictures
from PIL import Image
from servers import free_port
from test_commands import call
from test_service import known_head

from pipeline.serve.service import Service


def test_mistakes(capsys, tmp_path):
    """A port that is taken or no port, a damaged head: one line."""
    pytest.importorskip("gradio")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = call(capsys, "serve", "--port", port)
    assert code == 1 and f"--port {port} is taken: name another" in err
    code, _, err = call(capsys, "serve", "--port", 70000)
    assert code == 1 and "expected 1 to 65535" in err
    code, _, err = call(capsys, "serve", "--host", "a..b")
    assert code == 1 and "--host a..b --port 7860 cannot be had" in err
    (tmp_path / "head.zip").write_text("x")
    code, _, err = call(capsys, "serve", "--head", tmp_path / "head.zip")
    assert code == 1 and "is no head" in err


def serving(home, *arguments):
    """Start the command; returns the process and its address once it answers."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.serve", "--port", str(port), *arguments],
        cwd=ROOT,
        env=os.environ | {"MEANOPINION_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    if not line.startswith("http"):
        process.kill()
        raise AssertionError(process.stderr.read())
    return process, line.strip().replace("0.0.0.0", "127.0.0.1")


@pytest.fixture(scope="module")
def address(finished):
    """The address of a page of the finished runs."""
    pytest.importorskip("gradio")
    process, address = serving(finished.home)
    yield address
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def post(url, data, kind="application/json", cookie=""):
    """POST, and return status and body."""
    request = urllib.request.Request(url, data, {"Content-Type": kind, "Cookie": cookie})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def upload(address, name, data):
    """Upload a file as the page does."""
    edge = "edge-of-parts"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{edge}--\r\n".encode()
    return post(f"{address}/gradio_api/upload", body, f"multipart/form-data; boundary={edge}")


def scored(address, head, path):
    """Ask for the score of a path as a client may; returns the server's events."""
    data = [head, [{"path": path, "meta": {"_type": "gradio.FileData"}}], ""]
    body = json.dumps({"data": data}).encode()
    status, answer = post(f"{address}/gradio_api/call/score", body)
    assert status == 200, answer
    url = f"{address}/gradio_api/call/score/{json.loads(answer)['event_id']}"
    with urllib.request.urlopen(url, timeout=60) as events:
        return events.read().decode()


@pytest.mark.slow
def test_over_http(address, finished, tmp_path):
    """An upload has its score; what is no upload, too large, or leads out is refused."""
    head = known_head(Service(finished.home / "runs", finished.home / "weights", tmp_path))
    write_pictures(tmp_path / "new", 1)
    data = (tmp_path / "new" / "p000.png").read_bytes()
    status, answer = upload(address, "photo.png", data)
    assert status == 200
    (path,) = json.loads(answer)
    assert "1 scored, 0 could not be" in scored(address, head, path)
    with urllib.request.urlopen(f"{address}/gradio_api/file={path}", timeout=60) as own:
        assert own.status == 200  # an upload is given back: the route is right
    status, answer = upload(address, "../../../../evil.png", data)
    (escaped,) = json.loads(answer) if status == 200 else (path,)
    assert os.path.dirname(os.path.dirname(escaped)) == os.path.dirname(os.path.dirname(path))
    for stolen in ("/etc/passwd", str(ROOT / "README.md"), f"{path}/../../../secret"):
        events = scored(address, head, stolen)
        assert "event: error" in events and "scored" not in events and "root:" not in events
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{address}/gradio_api/file={stolen}", timeout=60)
    try:
        status, answer = upload(address, "huge.png", bytes(60_000_000))
    except urllib.error.URLError:  # the server hung up before all of it came
        status = 413
    assert status == 413
    assert "1 scored, 0 could not be" in scored(address, head, path)


@pytest.mark.slow
def test_only_its_own_names_are_answered(address):
    """A site whose name leads to this machine cannot read the page, which needs no token."""
    port = address.rpartition(":")[2]
    for host, expected in (("localhost", 200), ("127.0.0.1", 200), ("evil.example", 400)):
        request = urllib.request.Request(f"{address}/config", headers={"Host": f"{host}:{port}"})
        try:
            status = urllib.request.urlopen(request, timeout=60).status
        except urllib.error.HTTPError as error:
            status = error.code
        assert status == expected, host


def test_uploads_have_room_together(tmp_path):
    """Once they take so much, another is refused, and whatever else is asked is answered."""
    pytest.importorskip("starlette")
    from pipeline.serve.room import Room

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    def status(path):
        sent = []

        async def send(message):
            sent.append(message)

        asyncio.run(room({"type": "http", "path": path, "method": "POST"}, None, send))
        return sent[0]["status"]

    room = Room(app, tmp_path, most=100)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.png").write_bytes(bytes(99))
    assert status("/gradio_api/upload") == 200
    (tmp_path / "two.png").write_bytes(b"x")
    assert status("/gradio_api/upload") == 507 and status("/config") == 200


def test_a_strangers_text_is_shown_letter_by_letter():
    """No picture, link or tag comes of it, for the page would fetch what they name."""
    pytest.importorskip("gradio")
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark")
    from pipeline.serve.showing import plain

    evil = (
        '![x](https://tracker.example/p.png) <img src="https://tracker.example/q.png" '
        "onerror=alert(1)> [a](b) `c` *d* # e\n\n# f\n1. g & h &lt; $$i$$ \\ j_k_"
    )
    shown = parser.render(plain(evil))
    assert not set(re.findall(r"<(\w+)", shown)) - {"p"}
    text = html.unescape(re.sub(r"</?p>", "", shown)).strip()
    assert text == " ".join(evil.split())


@pytest.mark.slow
def test_another_host_needs_the_token(finished):
    """Without it the page is not given out."""
    pytest.importorskip("gradio")
    process, address = serving(finished.home, "--host", "0.0.0.0", "--token", "s3cret")
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/config", timeout=60)
        assert refused.value.code == 401
        form = "application/x-www-form-urlencoded"
        wrong = post(f"{address}/login", b"username=meanopinion&password=other", form)
        right = post(f"{address}/login", b"username=meanopinion&password=s3cret", form)
        assert wrong[0] == 400 and right[0] == 200
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_an_address_of_the_newer_kind(finished):
    """It stands in brackets, and asks for a token as any but this machine's usual names."""
    pytest.importorskip("gradio")
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    process, address = serving(finished.home, "--host", "::1", "--token", "s3cret")
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/config", timeout=60)
        assert refused.value.code == 401 and "://[::1]:" in address
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


# --- a real browser


@pytest.fixture
def browser():
    """A headless Chromium; the tests of it are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium here: install one, or name it in $CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def watched(page):
    """Keep what a page complains of."""
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else 0)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


@pytest.mark.slow
def test_the_page_in_a_browser(browser, address, tmp_path):
    """Drop ten pictures, rank them, see where a score comes from; few-shot; bad uploads."""
    names = [tmp_path / "new" / name for name in write_pictures(tmp_path / "new", 10)]
    large, broad = (tmp_path / "new" / name for name in ("large.png", "broad.png"))
    rng = np.random.default_rng(0)
    for path, most in ((large, 255), (broad, 90)):
        Image.fromarray(rng.integers(0, most, (300, 400, 3), np.uint8)).save(path)
    text = tmp_path / "new" / "text.jpg"
    text.write_text("no picture")
    page = browser.new_page()
    page.set_default_timeout(60_000)
    errors = watched(page)
    page.goto(address)
    page.wait_for_selector("text=Nine of ten scores lie within")
    page.click("#score")
    page.wait_for_selector("text=Drop some pictures first")
    page.locator("input[type=file]").first.set_input_files([*names[:8], broad, large, text])
    page.wait_for_selector("text=large")
    page.click("#score")
    page.wait_for_selector("text=10 scored, 1 could not be")
    assert page.locator("text=text.jpg:").count() >= 1
    page.locator("#ranking button").filter(has_text="large.png").first.click()
    page.wait_for_selector("text=Parts score from")
    # whichever head is chosen meanwhile, the map is of the one that ranked
    said = page.locator("text=Parts score from").inner_text()
    page.get_by_label("Head", exact=True).click()
    page.get_by_role("option").filter(has_text="svr-linear").click()
    page.locator("#ranking button").filter(has_text="broad.png").first.click()
    page.wait_for_function(
        "said => !document.body.innerText.includes(said) "
        "&& document.body.innerText.includes('Parts score from')",
        arg=said,
    )
    page.locator("#ranking button").filter(has_text="large.png").first.click()
    page.wait_for_selector(f"text={said}")
    page.get_by_role("tab", name="Few-shot").click()
    page.get_by_label("Feature set, or several").click()
    page.get_by_role("option", name="nss", exact=True).click()
    page.keyboard.press("Escape")
    few, new = (page.locator(f"#{name} input[type=file]") for name in ("rated", "unrated"))
    few.set_input_files(names[:4])
    page.wait_for_selector("text=4: p003.png")
    for number, value in enumerate((90, 70, 50, 30)):
        page.locator(f"#slider-{number} input[type=number]").fill(str(value))
    new.set_input_files(names[4:])
    page.wait_for_selector("#unrated >> text=p009")
    page.click("#few-shot")
    page.wait_for_selector("text=6 scored, 0 could not be")
    page.get_by_role("tab", name="Runs").click()
    page.wait_for_selector("#scatter img")
    # nothing leaves this machine: no image has a button that uploads it
    assert page.get_by_label("Download").count() and not page.get_by_label("Share").count()
    assert not errors


@pytest.mark.slow
def test_two_users_at_once(browser, address, tmp_path):
    """Each has the scores of their own pictures."""
    names = [tmp_path / "new" / name for name in write_pictures(tmp_path / "new", 9)]
    pages = [browser.new_context().new_page() for _ in range(2)]
    for count, page in zip((4, 5), pages, strict=True):
        page.set_default_timeout(60_000)
        page.goto(address)
        page.wait_for_selector("text=Nine of ten scores lie within")
        page.locator("input[type=file]").first.set_input_files(names[:count])
        page.wait_for_selector(f"text=p00{count - 1}")
    for page in pages:
        page.click("#score")
    for count, page in zip((4, 5), pages, strict=True):
        page.wait_for_selector(f"text={count} scored, 0 could not be")


@pytest.mark.slow
def test_the_report_in_a_browser(browser, capsys, finished, tmp_path):
    """It opens without a network and without a complaint, and every image is there."""
    path = tmp_path / "report.html"
    places = ("--runs", finished.home / "runs", "--cache", finished.home / "cache")
    assert call(capsys, "report", "-o", path, *places)[0] == 0
    assert path.stat().st_size < 10_000_000
    page = browser.new_context(offline=True).new_page()
    errors = watched(page)
    page.goto(path.as_uri())
    images = "images => images.map(image => image.naturalWidth)"
    widths = page.locator("img").evaluate_all(images)
    assert len(widths) > 100 and min(widths) > 0
    page.locator("td a").first.click()
    assert "#run-" in page.url
    # on paper nothing scrolls, so that all must be within the 186 mm between A4's margins
    page.set_viewport_size({"width": 702, "height": 1000})
    page.emulate_media(media="print")
    wider = "parts => parts.filter(part => part.scrollWidth > part.clientWidth + 1).length"
    assert page.locator(".scroll").count() > 10
    assert page.locator(".scroll, pre, body").evaluate_all(wider) == 0
    assert not errors


def test_the_page_is_an_extra():
    """Nothing else imports gradio."""
    code = "import sys, pipeline.serve.service, pipeline.report.page as _; "
    code += "sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
    assert importlib.util.find_spec("pipeline.serve.page")
