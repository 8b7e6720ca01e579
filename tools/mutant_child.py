"""One mutant, one process: a changed module imported from memory, and pytest on some tests."""

import contextlib
import importlib.abc
import importlib.util
import json
import linecache
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a string in the place of its file; `inspect` sees the string too."""

    def __init__(self, name, path, source):
        self.name, self.path, self.source = name, str(path), source
        linecache.cache[self.path] = len(source), None, source.splitlines(True), self.path

    def find_spec(self, fullname, path=None, target=None):
        if fullname == self.name:
            return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def exec_module(self, module):
        exec(compile(self.source, self.path, "exec", dont_inherit=True), module.__dict__)


class Watch:
    """A pytest plugin: the tests' order, their times, the first that failed, the lines they run."""

    def __init__(self, order=None, coverage=None):
        self.order, self.coverage, self.times, self.failed = order, coverage, Counter(), None

    def pytest_collection_modifyitems(self, items):
        if self.order is not None:
            place = {name: number for number, name in enumerate(self.order)}
            chosen = [item for item in items if item.nodeid in place]
            items[:] = sorted(chosen, key=lambda item: place[item.nodeid])

    def pytest_runtest_setup(self, item):  # a fixture may serve all tests of its file
        if self.coverage:
            self.coverage.switch_context(item.nodeid.partition("::")[0])

    def pytest_runtest_call(self, item):
        if self.coverage:
            self.coverage.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report):
        self.times[report.nodeid] += report.duration
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed = self.failed or report.nodeid


class Child:
    """A fork of this process that runs `function` on a folder and writes down its result."""

    def __init__(self, function, seconds):
        self.folder = Path(tempfile.mkdtemp(prefix="mutant-"))
        self.began, self.seconds = time.monotonic(), seconds
        self.number = os.fork()
        if not self.number:
            os.setsid()
            signal.alarm(int(seconds) + 5)  # its end, should the parent be gone
            output = os.open(self.folder / "output", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(output, 1), os.dup2(output, 2)
            try:
                (self.folder / "result").write_text(json.dumps(function(self.folder)))
            finally:
                os._exit(0)

    def ended(self):
        """None, or (result or None where there is none, whether it took too long, its output)."""
        ended = os.waitpid(self.number, os.WNOHANG)[0]
        late = not ended and time.monotonic() > self.began + self.seconds
        if not (ended or late):
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.number, signal.SIGKILL)  # with all that it has started
        if late:
            os.waitpid(self.number, 0)
        result, output = (self.folder / name for name in ("result", "output"))
        found = json.loads(result.read_text() or "null") if result.exists() else None
        text = output.read_text(errors="replace")
        shutil.rmtree(self.folder, ignore_errors=True)
        return found, late, text


def run_pytest(folder, files, watch):
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", f"--basetemp={folder}/tmp"]
    code = pytest.main([*options, *files], plugins=[watch])
    return {"code": int(code), "failed": watch.failed, "times": dict(watch.times)}
