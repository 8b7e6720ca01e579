"""How fast is it? The library against Keras, PyTorch, JAX and Pyro, on the same problems.

    python benchmarks/speed.py --peers PEERS_PYTHON [--rounds 5] [--only "VAE, digits"] [--quick]
    python benchmarks/speed.py --before COMMIT    beside the library as it was, in one run
    python benchmarks/speed.py --device gpu       all sides on the GPU: results/speed_gpu.md

Every side is a process of its own; all of a row are prepared, and then take turns, so that whatever
else the machine does falls on all of them alike. Reported are medians over the rounds, the spread
(least and greatest), and ratios of medians. `make benchmark` sets up the peers and runs this.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
OURS, KERAS, FLOOR = "ours", "Keras, plain", "matrix products"
BEFORE, EVALUATION = ", before", "evaluation, S = 5000"
TORCH, COMPILED = "PyTorch, eager", "PyTorch, compiled"
GRAPHS = "PyTorch, CUDA graphs"
JIT, SCAN, PYRO = "JAX, jitted step", "JAX, scan", "Pyro, SVI"
MLP = [OURS, KERAS, TORCH, COMPILED, JIT, SCAN, FLOOR]
SIDES = {
    "VAE, digits": [*MLP, PYRO],
    "CVAE-1, digits": MLP,
    "VAE, MNIST size": [*MLP, PYRO],
    "CVAE-1, MNIST size": MLP,
    "VAE, convolutional 28×28": [OURS, KERAS, TORCH, JIT, SCAN],
    "M2, sum over 10 classes": [OURS, TORCH, COMPILED, JIT, SCAN, FLOOR],
    EVALUATION: ["evaluate, ours", "evaluate, matrix products"],
}
TENSORFLOW = {OURS, KERAS, FLOOR, "evaluate, ours", "evaluate, matrix products"}
# (row, ours over, must, goal), from the project's aims.
TARGETS = [
    ("VAE, digits", TORCH, 0.6, 0.45),
    ("VAE, digits", SCAN, 1.0, 0.8),
    ("VAE, digits", KERAS, 0.4, 0.3),
    ("CVAE-1, digits", TORCH, 0.6, 0.45),
    ("CVAE-1, digits", SCAN, 1.0, 0.8),
    ("CVAE-1, digits", KERAS, 0.4, 0.3),
    ("VAE, MNIST size", TORCH, 0.92, 0.8),
    ("VAE, MNIST size", SCAN, 1.1, 1.0),
    ("VAE, MNIST size", FLOOR, 1.3, 1.15),
    ("CVAE-1, MNIST size", TORCH, 0.92, 0.8),
    ("CVAE-1, MNIST size", SCAN, 1.1, 1.0),
    ("M2, sum over 10 classes", TORCH, 0.7, 0.6),
    (EVALUATION, "evaluate, matrix products", 1.25, 1.0),
]
ON_GPU = {  # a step is short there: what counts is who waits for the host
    row: [*(side for side in sides if side != PYRO), GRAPHS]
    for row, sides in SIDES.items()
    if row != EVALUATION and "convolutional" not in row
}
GPU_TARGETS = [(row, SCAN, 1.5, 1.1) for row in ("VAE, digits", "VAE, MNIST size")]


class Worker:
    """One side of one row, waiting for its turns."""

    def __init__(self, python, side, row, environment=None):
        side = side.removesuffix(BEFORE)
        script = "side_tensorflow.py" if side in TENSORFLOW or "grow" in side else "side_peers.py"
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [python, str(HERE / script), side, row],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parent), **(environment or {})},
        )
        self.answer()

    def answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.errors.seek(0)
        raise RuntimeError(self.errors.read()[-600:])

    def ask(self, question):
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


def measure(row, sides, python_of, rounds, before=None):
    """{side: {"median", "least", "greatest", "loss"}}, seconds per step; or why a side failed."""
    workers, results = {}, {}
    for side in sides:
        try:
            environment = {"PYTHONPATH": str(before)} if side.endswith(BEFORE) else None
            workers[side] = Worker(python_of(side), side, row, environment)
        except (RuntimeError, OSError) as error:
            results[side] = {
                "failed": str(error).strip().splitlines()[-1][:200] if str(error) else "?"
            }
    seconds = {side: [] for side in workers}
    for turn in range(rounds):
        order = list(workers)
        for side in order[turn % len(order) :] + order[: turn % len(order)]:
            seconds[side].append(workers[side].ask("go")["seconds_per_step"])
    for side, worker in workers.items():
        values = seconds[side]
        results[side] = {
            "median": statistics.median(values),
            "least": min(values),
            "greatest": max(values),
            "loss": worker.ask("loss")["loss"],
        }
        worker.close()
    return results


def losses_agree(results, tolerance=0.03):
    """Whether all sides that train end within 3 % of one another (their noise differs)."""
    losses = [r["loss"] for r in results.values() if np.isfinite(r.get("loss", np.nan))]
    return bool(max(losses) - min(losses) <= tolerance * np.mean(losses)) if losses else None


def fresh(python, *arguments):
    start = time.perf_counter()
    done = subprocess.run(
        [python, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return time.perf_counter() - start, done.stdout


def start_up(python, rounds):
    """Seconds of imports, in fresh processes taking turns, and to the end of the first step."""
    imports = {"tensorflow": [], "cvae_tf": []}
    first = []
    for _ in range(rounds):
        for module, values in imports.items():
            values.append(fresh(python, "-c", f"import {module}")[0])
        _, output = fresh(python, str(HERE / "side_tensorflow.py"), "first step")
        first.append(json.loads(output.splitlines()[-1])["seconds"])
    medians = {module: statistics.median(values) for module, values in imports.items()}
    return {
        "import tensorflow": medians["tensorflow"],
        "import cvae_tf": medians["cvae_tf"],
        "import ratio": medians["cvae_tf"] / medians["tensorflow"],
        "first step": statistics.median(first),
    }


def growth(python, quick):
    """Cost and peak memory as the work grows: examples, latent size, samples, classes."""
    table = []

    def add(what, value, side, row, environment=None):
        worker = Worker(python, side, row, environment)
        seconds = statistics.median(worker.ask("go")["seconds_per_step"] for _ in range(2))
        table.append([what, value, seconds, worker.ask("memory")["peak_megabytes"]])
        worker.close()

    for latent in (2, 20, 200):
        add(
            "latent size",
            latent,
            OURS,
            json.dumps({"row": [784, 0, [500, 500], latent, 128, 2560, 1]}),
        )
    for num_rows in (2_000, 20_000, 200_000):
        row = json.dumps({"row": [64, 0, [128, 128], 2, 64, num_rows, 1]})
        add("examples in memory", num_rows, OURS, row)
    for classes in (2, 10, 20):
        row = json.dumps({"row": [784, classes, [500], 50, 100, 1000, 1], "model": "M2"})
        add("classes of M2", classes, OURS, row)
    for samples in (100, 1_000, 10_000):
        add("samples S", samples, "grow samples", json.dumps({"samples": samples}))
    sizes = (100_000, 400_000) if quick else (500_000, 4_000_000)
    for num_rows in sizes:
        with tempfile.NamedTemporaryFile() as file:
            pixels = np.random.default_rng(0).integers(0, 256, (50_000, 784), dtype="uint8")
            block = pixels.tobytes()
            for _ in range(num_rows // 50_000):
                file.write(block)
            file.flush()
            environment = {"CVAE_TF_STREAM": file.name, "CVAE_TF_STREAM_ROWS": str(num_rows)}
            add("examples streamed", num_rows, "grow examples", "", environment)
    return table


def checked_out(commit):
    """A folder with the library as it was."""
    folder = Path(tempfile.mkdtemp())
    archive = subprocess.run(
        ["git", "archive", commit, "cvae_tf"], cwd=HERE.parent, capture_output=True, check=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
    return folder


def on_device(device):
    """Environment variables of all workers: on a CPU no side sees a GPU."""
    return {"CVAE_TF_DEVICE": device} | ({"CUDA_VISIBLE_DEVICES": "-1"} if device == "cpu" else {})


def graphics_card():
    """Its name as the driver has it, or an error that says how to go on."""
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit(
            "--device gpu: nvidia-smi finds no GPU. Expected an NVIDIA GPU, and TensorFlow, "
            "PyTorch and JAX built for it (tensorflow[and-cuda], jax[cuda12])."
        ) from None


def machine():
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [x for x in cpuinfo.read_text().splitlines() if "model name" in x]
        model = lines[0].split(":")[1].strip() if lines else model
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {model}, {platform.system()}, Python {python}"


def milliseconds(seconds):
    return f"{1e3 * seconds:.3g}"


def as_markdown(report):
    lines = [
        "# Speed",
        "",
        f"{report['date']}; {report['machine']}; {report['rounds']} rounds in turn, medians "
        "(least–greatest) in milliseconds per training step; short last batch and epoch "
        "overhead included.",
        "",
    ]
    for row, results in report["rows"].items():
        ours = results.get(OURS, results.get("evaluate, ours", {})).get("median")
        unit = "µs per sample" if "evaluation" in row else "ms per step"
        factor = 1e3 if "evaluation" in row else 1
        lines += [f"## {row}", "", f"| side | {unit} | ours ÷ side | loss |", "|---|---|---|---|"]
        for side, r in results.items():
            if "failed" in r:
                lines.append(f"| {side} | did not run: {r['failed']} | | |")
                continue
            spread = f"{milliseconds(r['least'] * factor)}–{milliseconds(r['greatest'] * factor)}"
            ratio = f"{ours / r['median']:.2f}" if ours else ""
            loss = f"{r['loss']:.2f}" if np.isfinite(r["loss"]) else ""
            median = milliseconds(r["median"] * factor)
            lines.append(f"| {side} | {median} ({spread}) | {ratio} | {loss} |")
        agree = report["losses agree"].get(row)
        if agree is not None:
            lines += ["", f"Losses agree within 3 %: {'yes' if agree else 'NO'}."]
        lines.append("")
    if report["start-up"]:
        s = report["start-up"]
        lines += [
            "## Start-up",
            "",
            f"`import cvae_tf` {s['import cvae_tf']:.2f} s, `import tensorflow` "
            f"{s['import tensorflow']:.2f} s: ratio {s['import ratio']:.2f}. From the call of "
            "`fit` to the end of the first call of the compiled program, digits size: "
            f"{s['first step']:.2f} s. Medians of three fresh processes each.",
            "",
        ]
    if report["growth"]:
        lines += ["## As the work grows", ""]
        lines += [
            "Two plays of each, one after the other and not in turn with the rows above: on a "
            "shared machine compare within a block, and roughly. Ten classes of M2 have the sizes "
            "of its row above, at another moment.",
            "",
        ]
        lines += ["| | | ms per step (or sample) | peak MB |", "|---|---|---|---|"]
        lines += [
            f"| {a} | {b:,} | {milliseconds(c)} | {d:.0f} |" for a, b, c, d in report["growth"]
        ]
        lines.append("")
    lines += ["## Aims", "", "| row | ours ÷ | measured | must | goal |", "|---|---|---|---|---|"]
    for row, side, must, goal in GPU_TARGETS if report.get("device") == "gpu" else TARGETS:
        results = report["rows"].get(row, {})
        ours = results.get(OURS, results.get("evaluate, ours"))
        if ours and "median" in results.get(side, {}):
            ratio = ours["median"] / results[side]["median"]
            lines.append(f"| {row} | {side} | {ratio:.2f} | {must or ''} | {goal} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", help="the Python of the peers' environment; else ours alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", help="a commit, to be measured beside the library as it is")
    parser.add_argument("--only", nargs="*", help="names of rows")
    parser.add_argument("--quick", action="store_true", help="smaller growth, no start-up")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    options = parser.parse_args()
    on_gpu = options.device == "gpu"
    card = [graphics_card()] if on_gpu else []
    os.environ.update(on_device(options.device))

    def python_of(side):
        return sys.executable if side.removesuffix(BEFORE) in TENSORFLOW else options.peers

    before = checked_out(options.before) if options.before else None

    report = {
        "date": datetime.date.today().isoformat(),
        "machine": "; ".join([machine(), *card]),
        "device": options.device,
        "rounds": options.rounds,
        "rows": {},
        "losses agree": {},
    }
    report["start-up"], report["growth"] = {}, []
    name = "speed_gpu" if on_gpu else "speed"
    written = options.output / f"{name}.json"
    if options.only and written.exists():  # the other rows stay as they were measured
        report = json.loads(written.read_text()) | {"date": report["date"]}
    start = time.monotonic()
    for row, sides in (ON_GPU if on_gpu else SIDES).items():
        if options.only and row not in options.only:
            continue
        sides = [s for s in sides if s in TENSORFLOW or options.peers]
        if before:
            sides = [sides[0], sides[0] + BEFORE, *sides[1:]]
        print(f"[{time.monotonic() - start:4.0f} s] {row}: {', '.join(sides)} ...", flush=True)
        report["rows"][row] = measure(row, sides, python_of, options.rounds, before)
        report["losses agree"][row] = losses_agree(report["rows"][row])
    if not (options.only or on_gpu):
        print(f"[{time.monotonic() - start:4.0f} s] start-up and growth ...", flush=True)
        report["start-up"] = start_up(sys.executable, 1 if options.quick else 3)
        report["growth"] = growth(sys.executable, options.quick)
    options.output.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(report, indent=1) + "\n")
    text = as_markdown(report)
    written.with_suffix(".md").write_text(text)
    print(text)
    print(f"{time.monotonic() - start:.0f} s in all; written to {options.output}.")


if __name__ == "__main__":
    main()
