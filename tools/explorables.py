"""Train and export the networks of the explorables: docs/_static/explore/weights_NAME.js.

    python tools/explorables.py            # all of them
    python tools/explorables.py five       # one
    python tools/explorables.py --keep     # the weights as they are stored, all else anew

Each NAME is a module in tools/explorable_models with

    build() -> {name: model}               # untrained, the same each time
    train(models) -> None                  # fixed seeds, bundled data, a minute or two
    contents(models) -> (facts, arrays)    # what the page needs besides the networks
    set_sigmas(models, facts["sigmas"])    # only where a family learns its σ

Between `train` and `contents` every weight is rounded to 16 bits, so that the page and
`restored(NAME)` have the same numbers.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "_static" / "explore"
NAMES = tuple(
    sorted(p.stem for p in (ROOT / "tools/explorable_models").glob("*.py") if p.stem[0] != "_")
)
DTYPES = {"float16": "<f2", "uint8": "u1"}


def weights_file(name: str) -> Path:
    return FOLDER / f"weights_{name}.js"


def module(name: str) -> Any:
    return importlib.import_module(f"explorable_models.{name}")


# --- From models to a file -----------------------------------------------------------------------


def nets_of(models: dict[str, Any]) -> dict[str, keras.Model]:
    """{"CVAE1.posterior": network, …} for each network that a model has."""
    return {
        f"{name}.{key.removesuffix('_net')}": net
        for name, model in models.items()
        for key, net in model.nets.items()
        if net is not None
    }


def round_weights(models: dict[str, Any]) -> None:
    """Replace each weight by the nearest number of 16 bits. The largest one is 65,504."""
    for key, net in nets_of(models).items():
        with np.errstate(over="ignore"):
            rounded = [w.astype("float16").astype("float32") for w in net.get_weights()]
        if not all(np.isfinite(w).all() for w in rounded):
            raise ValueError(f"{key} has a weight that 16 bits cannot hold.")
        net.set_weights(rounded)


def written(values: Any, dtype: str) -> dict[str, Any]:
    """An array for the page. Args: dtype: "float16", "uint8", or "bits" for zeros and ones."""
    values = np.asarray(values)
    raw = np.packbits(values > 0) if dtype == "bits" else values.astype(DTYPES[dtype])
    data = base64.b64encode(raw.tobytes()).decode("ascii")
    return {"shape": list(values.shape), "dtype": dtype, "data": data}


def read(one: dict[str, Any]) -> np.ndarray:
    """The array again: the inverse of `written`."""
    raw, shape = base64.b64decode(one["data"]), one["shape"]
    if one["dtype"] == "bits":
        bits = np.unpackbits(np.frombuffer(raw, "u1"), count=int(np.prod(shape)))
        return bits.reshape(shape)
    return np.frombuffer(raw, DTYPES[one["dtype"]]).reshape(shape)


def layers_of(key: str, net: keras.Model) -> tuple[list[dict[str, str]], dict[str, np.ndarray]]:
    """A network's layers in their order, and its arrays, for docs/_static/explore/nets.js."""
    layers, arrays = [], {}
    for layer in net.layers:
        match type(layer).__name__:
            case "Dense":
                stem = f"{key}.{len(layers)}"
                activation = layer.activation.__name__
                names = {"kernel": f"{stem}.kernel", "bias": f"{stem}.bias"}
                layers.append({"kind": "dense", "activation": activation, **names})
                arrays |= dict(zip(names.values(), layer.get_weights(), strict=True))
            case "InputLayer" | "Concatenate" | "Flatten" | "Reshape" | "Blank":
                pass  # the page hands vectors over, side by side
            case kind:
                raise ValueError(f"{key} has a {kind}. nets.js knows dense layers only.")
    return layers, arrays


def write(name: str, models: dict[str, Any], facts: dict[str, Any], arrays: dict[str, Any]) -> Path:
    """Write the file. Args: arrays: {name: (values, dtype)} besides the weights."""
    nets, stored = {}, {key: written(*one) for key, one in arrays.items()}
    for key, net in nets_of(models).items():
        layers, weights = layers_of(key, net)
        inputs = {tensor.name: int(np.prod(tensor.shape[1:])) for tensor in net.inputs}
        nets[key] = {"inputs": inputs, "layers": layers}
        stored |= {name: written(values, "float16") for name, values in weights.items()}
    parts = {"facts": facts, "nets": nets, "arrays": stored}
    lines = ",\n".join(f"{json.dumps(key)}: {_lines(part)}" for key, part in parts.items())
    text = (
        f"// Written by tools/explorables.py {name}: not by hand.\n"
        f"Explore.weights({json.dumps(name)}, {{\n{lines}\n}});\n"
    )
    weights_file(name).write_text(text, encoding="utf-8")
    return weights_file(name)


def _lines(part: dict[str, Any]) -> str:
    """An object with one line for each of its entries."""
    entries = (f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in part.items())
    return "{\n" + ",\n".join(entries) + "\n}"


# --- From a file to models -----------------------------------------------------------------------


def stored(name: str) -> dict[str, Any]:
    """What the file holds: facts, nets, and arrays as NumPy arrays."""
    text = weights_file(name).read_text(encoding="utf-8").partition(", {")[2]
    found = json.loads("{" + text.rpartition(");")[0])
    return found | {"arrays": {key: read(one) for key, one in found["arrays"].items()}}


def restored(name: str) -> dict[str, Any]:
    """The models with the weights that the page has, {name: model}."""
    models, held = module(name).build(), stored(name)
    for key, net in nets_of(models).items():
        layers, _ = layers_of(key, net)
        weights = [held["arrays"][layer[part]] for layer in layers for part in ("kernel", "bias")]
        net.set_weights([w.astype("float32") for w in weights])
    if hasattr(module(name), "set_sigmas"):
        module(name).set_sigmas(models, held["facts"]["sigmas"])
    return models


def trained(name: str) -> dict[str, Any]:
    """The models of an explorable, trained anew and rounded."""
    models = module(name).build()
    module(name).train(models)
    round_weights(models)
    return models


def export(name: str, keep: bool = False) -> Path:
    """Write the file of an explorable. Args: keep: whether the stored weights stay."""
    models = restored(name) if keep else trained(name)
    return write(name, models, *module(name).contents(models))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--keep", action="store_true", help="train nothing: the stored weights")
    options = parser.parse_args()
    names = options.names or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"no such explorable: {', '.join(sorted(unknown))}")
    for name in names:
        start = time.perf_counter()
        path = export(name, options.keep)
        size = path.stat().st_size / 2**20
        print(f"{path.relative_to(ROOT)}: {size:.2f} MB, {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
