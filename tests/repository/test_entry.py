"""Every `python -m` of ours ends an expected error with one line, on any terminal; a defect shows a traceback."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from facedistill.entry import REPORT

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = {
    "facedistill": ["verify", "Łukasz.jpg", "Łukasz.jpg", "--model", "Łukasz"],
    "stages.align_crop": ["--dataset", "Łukasz"],
    "stages.check_metrics": [],
    "stages.check_params": [],
    "stages.distill": ["--student", "Łukasz", "--group", "table2"],
    "stages.lanes": ["2"],
    "stages.measure_cost": [],
    "stages.prepare": ["--dataset", "Łukasz"],
    "stages.report": [],
}
"""With arguments for a folder that holds nothing of a project. The other stages import PyTorch, which takes seconds."""

CODES = {"facedistill": 4}
"""Of those that do not end with 1."""

INSTALLED = "import sys; from facedistill.__main__ import main; sys.exit(main())"
"""What pip writes into the command `facedistill`."""


def test_every_entry_point_is_a_module_of_a_package_that_begins_with_the_guard() -> None:
    found = set()
    for file in ROOT.rglob("*.py"):
        name, text = file.relative_to(ROOT), file.read_text(encoding="utf-8")
        if name.parts[0] not in ("tests", "benchmarks") and (
            file.stem == "__main__" or '\nif __name__ == "__main__":' in text
        ):
            found.add(".".join(name.with_suffix("").parts).removesuffix(".__main__"))
    assert found > ENTRY_POINTS.keys()
    assert {name.partition(".")[0] for name in found} == {"facedistill", "stages"}


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_each_ends_an_expected_error_in_one_line_of_the_letters_that_the_terminal_has(
    module: str, tmp_path: Path
) -> None:
    (tmp_path / "params").mkdir()
    (tmp_path / "params/Łukasz.yaml").touch()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [sys.executable, "-m", module, *ENTRY_POINTS[module]]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    said = done.stderr.decode("ascii")
    assert done.returncode == CODES.get(module, 1), said
    if module == "stages.check_metrics":
        # All that is wrong at once, a line each.
        assert all(line.startswith("- ") for line in said.splitlines())
    else:
        assert len(said.splitlines()) == 1, said
    assert "Traceback" not in said
    assert REPORT not in said


@pytest.mark.parametrize("started", [("-m", "facedistill"), ("-c", INSTALLED)])
@pytest.mark.parametrize(
    ("arguments", "code"), [(ENTRY_POINTS["facedistill"], CODES["facedistill"]), (["inspect", "Łukasz"], 3)]
)
def test_the_installed_command_says_what_python_m_says(
    started: tuple[str, str], arguments: list[str], code: int, tmp_path: Path
) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, *started, *arguments], cwd=tmp_path, env=environment, capture_output=True)
    assert re.fullmatch(rb"facedistill: \\u0141ukasz.*: no such .*\n", done.stderr), done.stderr
    assert (done.returncode, done.stdout) == (code, b"")


def test_the_installed_command_is_guarded_where_a_package_is_missing() -> None:
    """Python's own exit code would say: two people."""
    command = [sys.executable, "-S", "-E", "-s", "-c", INSTALLED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 70
    assert re.fullmatch(r"ModuleNotFoundError: .* has no package \w+; .*\n", done.stderr), done.stderr


TOY = """
import errno, os, signal, sys
from facedistill.toys import ToyError
what = sys.argv[1]
if what == "print":
    for _ in range(int(sys.argv[2])):
        print("Łukasz", end="\\n")
elif what == "letters":
    print("Łukasz, Zoë and \\udce9")
elif what == "import":
    import nowhere
elif what == "own import":
    import facedistill.nowhere
elif what == "interrupt":
    signal.raise_signal(signal.SIGINT)
else:
    raise eval(what)
"""


@pytest.fixture
def toy(tmp_path: Path) -> list[str]:
    """A command that ends as its argument says, in a package that begins as ours."""
    package = tmp_path / "facedistill"
    package.mkdir()
    for name in ("__init__.py", "entry.py"):
        shutil.copyfile(ROOT / "facedistill" / name, package / name)
    (package / "toy.py").write_text(TOY, encoding="utf-8")
    (package / "toys.py").write_text("class ToyError(Exception):\n    pass\n")
    return ["env", "-C", str(tmp_path), sys.executable, "-m", "facedistill.toy"]


def ended(command: list[str], encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("ToyError('a.jpg: not a photograph')", "ToyError: a.jpg: not a photograph"),
        ("OSError(errno.EACCES, 'Permission denied', 'a.jpg')", "PermissionError: a.jpg: Permission denied"),
        ("OSError(errno.ENOENT, 'No such file', b'a.jpg')", "FileNotFoundError: a.jpg: No such file"),
        ("OSError(errno.ENOSPC, 'No space left', 'a.jpg')", "OSError: a.jpg: No space left; free some space"),
        ("OSError(errno.ENOSPC, 'No space left')", "OSError: No space left; free some space"),
        (
            "OSError(errno.EMFILE, 'Too many open files')",
            "OSError: Too many open files; allow more by `ulimit -n 4096`",
        ),
        (
            "MemoryError()",
            "MemoryError: out of memory; stop other programs, or lower `batch` of the task in params.yaml",
        ),
    ],
)
def test_an_error_of_files_settings_or_the_machine_is_one_line(toy: list[str], error: str, line: str) -> None:
    done = ended([*toy, error])
    assert (done.returncode, done.stderr.decode(), done.stdout) == (1, f"{line}\n", b"")


@pytest.mark.parametrize("error", ["KeyError('classification')", "OSError('odd')", "ConnectionError(104, 'reset')"])
def test_a_defect_keeps_its_traceback_and_says_where_to_report_it(toy: list[str], error: str) -> None:
    done = ended([*toy, error])
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2].startswith(re.split(r"\W", error)[0])
    assert lines[-1] == REPORT


def test_a_package_that_is_missing_is_told_with_the_python_that_lacks_it(toy: list[str]) -> None:
    said = ended([*toy, "import"]).stderr.decode()
    assert said.startswith(f"ModuleNotFoundError: {sys.executable} has no package nowhere; activate the environment")
    assert "Traceback" not in said
    assert "Traceback" in ended([*toy, "own import"]).stderr.decode()


@pytest.mark.parametrize("module", ["stages.lanes", "stages.check_metrics"])
def test_a_zip_without_git_is_told_what_to_do(module: str, tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "params.yaml").write_text("{}")
    command = [sys.executable, "-m", module, *ENTRY_POINTS[module]]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    advice = "is not a git repository; a ZIP has no history: `git init`, or `dvc config --local core.no_scm true`"
    assert done.stderr.splitlines()[0].endswith(advice)


def test_python_without_any_package_says_so(tmp_path: Path) -> None:
    for module in ("stages.prepare", "facedistill"):
        # -S and -I: without what is installed, and without what is set for this test.
        command = [sys.executable, "-S", "-E", "-s", "-m", module, *ENTRY_POINTS[module]]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == (70 if module == "facedistill" else 1)
        assert re.fullmatch(r"ModuleNotFoundError: .* has no package \w+; activate .*\n", done.stderr), done.stderr


def test_ctrl_c_ends_it_as_a_shell_expects(toy: list[str], interruptible: None) -> None:
    done = ended([*toy, "interrupt"])
    assert done.returncode == -signal.SIGINT
    assert REPORT.encode() not in done.stderr


@pytest.mark.parametrize(("encoding", "said"), [("utf-8", "Łukasz, Zoë and "), ("latin-1", "\\u0141ukasz, Zoë and ")])
def test_letters_that_the_terminal_lacks_are_escaped(toy: list[str], encoding: str, said: str) -> None:
    done = ended([*toy, "letters"], encoding)
    assert (done.returncode, done.stdout.decode(encoding)) == (0, said + "\\udce9\n")


@pytest.mark.parametrize("lines", [1, 100_000])
@pytest.mark.parametrize(
    ("reader", "said"),
    [
        ("| head -n 0", ""),
        (">&-", ""),
        ("> /dev/full", r"OSError: .*No space left on device.*\n"),
    ],
)
def test_a_reader_that_has_gone_is_no_defect_and_a_full_disk_is_told(
    toy: list[str], lines: int, reader: str, said: str
) -> None:
    done = subprocess.run(
        f"{' '.join(toy)} print {lines} {reader}", shell=True, capture_output=True, text=True, timeout=60
    )
    assert re.fullmatch(said, done.stderr)


def test_without_a_standard_error_nothing_is_said_elsewhere(toy: list[str]) -> None:
    done = subprocess.run(f"{' '.join(toy)} 'KeyError(1)' 2>&-", shell=True, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_module_that_is_imported_leaves_the_process_as_it_is() -> None:
    code = "import sys, facedistill, stages; assert sys.excepthook is sys.__excepthook__"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
