"""Frozen: the defaults of all public callables, and the names under which classes are saved.

Who leaves an argument out has its default in her results, and who saved a model has its name in her
file. tests/defaults.txt says both; a change of it is a change of the library's behaviour.
"""

import importlib
import inspect
from pathlib import Path

import keras
import pytest

import cvae_tf

TABLE = Path(__file__).with_name("defaults.txt")
MODULES = sorted(
    path.stem for path in Path(cvae_tf.__file__).parent.glob("*.py") if path.stem != "__init__"
)


def own(module):
    """The public functions and classes that a module defines, by name."""
    for name, thing in sorted(vars(module).items()):
        is_defined = inspect.isfunction(thing) or inspect.isclass(thing)
        if is_defined and thing.__module__ == module.__name__ and not name.startswith("_"):
            yield name, thing


def line(name, function):
    """Its parameters that have a default, as they are written."""
    parameters = inspect.signature(function).parameters.values()
    given = [p for p in parameters if p.default is not inspect.Parameter.empty]
    return name + ": " + ", ".join(f"{p.name}={p.default!r}" for p in given) if given else None


def lines_of(stem):
    """The lines of a module in the table."""
    module = importlib.import_module(f"cvae_tf.{stem}")
    for name, thing in own(module):
        if inspect.isfunction(thing):
            yield line(f"{stem}.{name}", thing)
            continue
        saved_as = keras.saving.get_registered_name(thing)
        if ">" in saved_as:
            yield f"{stem}.{name} is saved as {saved_as}"
        if fields := getattr(thing, "_field_defaults", None):
            yield f"{stem}.{name}: " + ", ".join(f"{k}={v!r}" for k, v in fields.items())
        for method, function in sorted(vars(thing).items()):
            if inspect.isfunction(function) and (method == "__init__" or method[0] != "_"):
                yield line(f"{stem}.{name}.{method}", function)


def found(stem):
    return [each for each in lines_of(stem) if each and " at 0x" not in each]


@pytest.mark.parametrize("stem", MODULES)
def test_defaults_and_saved_names_are_as_they_were(stem):
    frozen = TABLE.read_text(encoding="utf-8").splitlines()
    assert found(stem) == [each for each in frozen if each.startswith(f"{stem}.")]


def test_the_table_names_modules_that_there_are():
    named = {each.partition(".")[0] for each in TABLE.read_text(encoding="utf-8").splitlines()}
    assert named <= set(MODULES) and len(named) > 20
