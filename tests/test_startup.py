"""What importing the package does to the process it is imported in."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("before", ["gc.enable()", "gc.disable()"])
def test_the_collector_is_left_as_it_was(before):
    code = f"import gc; {before}; was = gc.isenabled(); import cvae_tf; print(was, gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    was, now = done.stdout.split()[-2:]
    assert was == now == str(before == "gc.enable()")
