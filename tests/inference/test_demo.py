"""The page of `demo`: what it answers, whom it refuses, and how it behaves in a real browser."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from browser import CHROMIUM, browser
from conftest import REAL_PHOTOS
from exported_toys import OURS, POINTS
from photographs import GOOD

from facedistill.crops.shards import Crops
from facedistill.inference.commands import main
from facedistill.inference.looking.comparison import Comparison
from facedistill.inference.looking.server import AT_ONCE, BODY, HEADERS, LARGEST, Server
from facedistill.inference.model import FaceModel, ModelFileError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(exported: Path) -> Iterator[Server]:
    with Server(Comparison(FaceModel(exported / OURS.folder, threads=1))) as made:
        thread = Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def body(a: bytes, b: bytes) -> bytes:
    return json.dumps({"a": b64encode(a).decode(), "b": b64encode(b).decode()}).encode()


def post(server: Server, data: bytes, path: str = "verify", **headers: str) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    named = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urlopen(Request(server.address + path, data, named), timeout=60) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="module")
def drawn(exported: Path) -> list[bytes]:
    crops = Crops(exported / "data/crops/faces", "test")
    return [bytes(crops._batches[0]["image"][i].as_buffer()) for i in range(len(crops))]


class TestAnswers:
    def test_it_answers_as_verify_does(self, server: Server, exported: Path, drawn: list[bytes]) -> None:
        model = FaceModel(exported / OURS.folder)
        limit, answers = model.metadata.threshold, set()
        assert limit is not None
        for other in range(len(drawn)):
            status, told = post(server, body(drawn[0], drawn[other]))
            expected = model.verify(model.face(drawn[0]), model.face(drawn[other]))
            assert status == 200
            assert (told["same"], told["distance"]) == (expected.same, pytest.approx(expected.distance, abs=1e-5))
            assert told["answer"] == ("Same person" if expected.same else "Two people")
            answers.add(told["answer"])
        assert len(answers) == 2
        assert told["threshold"] == limit.distance
        assert f"{limit.tpr:.1f} %" in told["sure"][0]
        assert told["warning"].startswith("not as in training")
        assert re.fullmatch(r"small/table2/wang took \d+ milliseconds\.", told["took"])
        assert len(told["scale"]["genuine"]) == len(told["scale"]["impostor"])
        assert "docs/responsible-use.md" in told["limits"]
        for face in told["faces"]:
            assert face["found"] == "Face taken as centred."
            assert (len(face["outline"]), face["points"]) == (4, [])
            assert face["image"].startswith("data:image/jpeg;base64,/9j/")

    def test_the_page_is_three_files_that_name_no_other(self, server: Server) -> None:
        texts = {}
        for path in ("", "page.css", "page.js"):
            with urlopen(server.address + path) as answer:
                assert {name: answer.headers[name] for name in HEADERS} == HEADERS
                texts[path] = answer.read().decode()
        assert set(re.findall(r'(?:src|href)="([^"]*)"', texts[""])) == {"data:,", "/page.css", "/page.js"}
        assert f'data-largest="{LARGEST}"' in texts[""]
        # The one address is the name of SVG's elements.
        assert re.findall(r"\w+://[^\"]*", "".join(texts.values())) == ["http://www.w3.org/2000/svg"]
        assert "url(" not in texts["page.css"]

    def test_a_model_without_a_threshold_is_refused_before_it_starts(self, exported: Path) -> None:
        with pytest.raises(ModelFileError, match="without a threshold"):
            Comparison(FaceModel(exported / POINTS.folder))


class TestRefused:
    @pytest.mark.parametrize(
        ("a", "b", "words"),
        [
            (b"<html>", GOOD["plain"], "the first photograph: cannot be decoded"),
            (GOOD["plain"], b"", "the second photograph: an empty file"),
            (GOOD["plain"], b"GIF89a" + bytes(50), "the second photograph: a GIF, which is not read"),
        ],
    )
    def test_what_is_no_photograph_is_named(self, server: Server, a: bytes, b: bytes, words: str) -> None:
        status, told = post(server, body(a, b))
        assert (status, told["error"][: len(words)]) == (422, words)

    @pytest.mark.parametrize(
        "sent", [b"", b"{}", b"[]", b"null", b'{"a": 1, "b": 2}', b'{"a": "?", "b": "!"}', b"[" * 99999]
    )
    def test_a_request_without_two_photographs(self, server: Server, sent: bytes) -> None:
        assert post(server, sent) == (400, {"error": "expected two photographs, a and b, in base64"})

    def test_what_is_too_large_is_told_how_large_it_may_be(self, server: Server) -> None:
        told = {"error": "a photograph of more than 20 MB; make it smaller"}
        assert post(server, bytes(BODY + 1)) == (413, told)
        assert post(server, body(bytes(LARGEST + 1), b"")) == (413, told)
        assert post(server, body(bytes(LARGEST), bytes(LARGEST)))[0] == 422

    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "attacker.example"},
            {"Host": "127.0.0.1"},
            {"Host": "127.0.0.1:1"},
            {"Origin": "https://attacker.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
        ],
    )
    def test_another_page_of_the_web_cannot_ask(self, server: Server, headers: dict[str, str]) -> None:
        status, told = post(server, body(GOOD["plain"], GOOD["plain"]), **headers)
        assert (status, told["error"]) == (403, f"only the page at {server.address} may ask")
        with pytest.raises(HTTPError, match="403"):
            urlopen(Request(server.address, headers=headers))

    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
    def test_its_own_page_can(self, server: Server, name: str) -> None:
        own = f"{name}:{server.server_port}"
        assert post(server, body(GOOD["plain"], GOOD["plain"]), Host=own, Origin=f"http://{own}")[0] == 200

    def test_a_form_of_another_page_has_no_type_that_is_taken(self, server: Server) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            assert post(server, body(GOOD["plain"], GOOD["plain"]), Content_Type=kind)[0] == 415

    @pytest.mark.parametrize(
        "path",
        [
            "/verify",
            "/lost",
            "/server.py",
            "/../server.py",
            "/page.js/../server.py",
            "/%2e%2e/server.py",
            "//etc/passwd",
            "/page.css?",
            "/./page.css",
            "/..\\server.py",
            "/\0",
        ],
    )
    def test_there_are_no_other_files(self, server: Server, path: str) -> None:
        with socket.create_connection(("127.0.0.1", server.server_port)) as opened:  # urllib would change some of them
            opened.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n".encode())
            answer = opened.makefile("rb").read()
        assert b" 404 " in answer.partition(b"\r\n")[0]
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"error": "there is no such page"}
        assert post(server, b"{}", "lost")[0] == 404

    def test_a_request_without_a_length_or_of_another_kind(self, server: Server) -> None:
        for method, headers, status in (
            ("POST", {"Content-Type": "application/json", "Content-Length": "-1"}, 411),
            ("PUT", {}, 501),
            ("OPTIONS", {}, 501),
        ):
            connection = HTTPConnection("127.0.0.1", server.server_port)
            connection.request(method, "/verify", headers=headers)
            answer = connection.getresponse()
            assert (answer.status, set(json.load(answer))) == (status, {"error"})
            assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
            connection.close()

    def test_few_are_taken_at_a_time_and_a_place_is_free_again(self, server: Server) -> None:
        sent = body(GOOD["plain"], GOOD["plain"])
        for _ in range(AT_ONCE):
            assert server.places.acquire(blocking=False)
        assert post(server, sent) == (503, {"error": "too many comparisons at a time; try again"})
        for _ in range(AT_ONCE):
            server.places.release()
        for _ in range(AT_ONCE + 1):
            assert post(server, sent)[0] == 200
            assert post(server, body(b"", b""))[0] == 422

    def test_a_defect_is_an_answer_and_has_a_traceback(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(server.comparison, "of", lambda photographs: 1 / 0)
        status, told = post(server, body(GOOD["plain"], GOOD["plain"]))
        assert (status, told["error"]) == (500, "a defect of this program; its terminal says more")
        printed = ""
        for _ in range(200):  # the answer comes before the traceback
            printed += capfd.readouterr().err
            if "ZeroDivisionError" in printed:
                break
            sleep(0.02)
        assert "ZeroDivisionError" in printed


class TestCommand:
    @pytest.mark.usefixtures("interruptible")
    def test_control_c_ends_it_well_and_it_has_written_nothing(self, exported: Path, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "facedistill", "demo", "--model", str(exported / OURS.folder)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as process:  # type: ignore[call-overload]
            line = process.stdout.readline()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/ compares two photographs by .*\. Ctrl-C ends it\.\n", line)
            sent = Request(line.split()[0] + "verify", body(GOOD["plain"], GOOD["plain"]))
            sent.add_header("Content-Type", "application/json")
            assert json.load(urlopen(sent))["same"]
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")
        assert not list(tmp_path.iterdir())

    def test_a_port_that_is_taken_is_said(self, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            assert main(["demo", "--model", str(exported / OURS.folder), "--port", port]) == 2
        assert f"--port {port}: Address already in use; give another" in capsys.readouterr().err
        with pytest.raises(SystemExit) as stopped:
            main(["demo", "--port", "70000"])
        assert stopped.value.code == 2


ANSWER = "document.getElementById('answer').textContent"
DROP = """(() => {
  const files = new DataTransfer();
  for (const [name, data] of %s) files.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
})()"""


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium here; Debian: apt-get install chromium")
class TestBrowser:
    @pytest.fixture
    def photographs(self) -> list[Path]:
        if not (REAL_PHOTOS / "lfw").is_dir():
            pytest.skip(f"no real photographs: {REAL_PHOTOS / 'lfw'} is not there")
        return [next(iter(sorted(person.iterdir()))) for person in sorted((REAL_PHOTOS / "lfw").iterdir())[:2]]

    def test_two_photographs_are_chosen_and_answered(
        self, server: Server, photographs: list[Path], tmp_path: Path
    ) -> None:
        with browser(tmp_path / "profile") as chromium:
            chromium.size(1000, 900)
            chromium.open(server.address)
            for i, file in enumerate(photographs):
                assert chromium.run(ANSWER) == ""
                chromium.choose(f"document.querySelectorAll('input')[{i}]", file)
            expected = post(server, body(*(file.read_bytes() for file in photographs)))[1]
            assert chromium.wait(ANSWER) == expected["answer"]
            shown = chromium.run("document.body.innerText")
            for words in (expected["compared"], *expected["sure"], expected["limits"], f"{photographs[1].name}. Face"):
                assert words in shown
            assert f"these two {expected['distance']:.3f}" in shown
            assert chromium.run("document.querySelectorAll('.outline.line').length") == 2
            names = chromium.run("[...document.querySelectorAll('[role=img]')].map(e => e.getAttribute('aria-label'))")
            assert names[0].startswith(f"First face, {photographs[0].name}")
            assert expected["compared"] in names[2]
            chromium.size(360, 800, phone=True)
            assert chromium.run("document.documentElement.scrollWidth") == 360
            addresses = {server.address + path for path in ("", "page.css", "page.js", "verify")}
            assert set(chromium.requests()) == addresses
            assert not chromium.problems()

    def test_two_are_dropped_one_is_replaced_and_an_error_is_said(
        self, server: Server, photographs: list[Path], tmp_path: Path
    ) -> None:
        sent = [[file.name, b64encode(file.read_bytes()).decode()] for file in photographs]
        with browser(tmp_path / "profile") as chromium:
            chromium.open(server.address)
            chromium.run(DROP % json.dumps(sent))
            assert chromium.wait(ANSWER) == post(server, body(*(f.read_bytes() for f in photographs)))[1]["answer"]
            (tmp_path / "page.jpg").write_text("<html>")
            chromium.choose("document.querySelectorAll('input')[1]", tmp_path / "page.jpg")
            said = chromium.wait("document.getElementById('error').textContent")
            assert said.startswith("The second photograph: cannot be decoded")
            assert chromium.run(ANSWER) == ""
            chromium.choose("document.querySelectorAll('input')[1]", photographs[0])
            assert chromium.wait(ANSWER) == "Same person"
            assert chromium.run("document.getElementById('error').textContent") == ""
            (tmp_path / "large.jpg").write_bytes(bytes(LARGEST + 1))
            chromium.choose("document.querySelectorAll('input')[0]", tmp_path / "large.jpg")
            assert "more than 20 MB" in chromium.wait("document.getElementById('error').textContent")

    def test_it_is_used_by_the_keyboard(self, server: Server, tmp_path: Path) -> None:
        with browser(tmp_path / "profile") as chromium:
            chromium.open(server.address)
            reached = []
            for _ in range(2):
                for kind in ("rawKeyDown", "keyUp"):
                    chromium.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
                reached.append(chromium.run("document.activeElement.labels[0].querySelector('.name').textContent"))
            assert reached == ["First photograph", "Second photograph"]
