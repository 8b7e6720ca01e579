"""The lessons hold the library to its bounds: take any term out of one, and a lesson stops.

The library is copied and one line of it changed; the lesson named beside the change is run with
that copy until an assertion of its own fails. Lesson 11 makes models of its own: there the line is
changed in the lesson. A sixth of the terms here; all where CVAE_TF_ALL_TERMS is set, as `make
test-long` does.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from lessons import execute  # noqa: E402

# What is taken out: (file, its line, the line without the term, the lesson that stops).
TERMS = {
    "KL of SGVB-B": (
        "estimators.py",
        "return Bound(-kl + reconstruction, reconstruction, kl)",
        "return Bound(reconstruction, reconstruction, kl)",
        "03",
    ),
    "reconstruction of SGVB-B": (
        "estimators.py",
        "return Bound(-kl + reconstruction, reconstruction, kl)",
        "return Bound(-kl, reconstruction, kl)",
        "01",
    ),
    "log q of the weights": (
        "estimators.py",
        "return log_p_given_z + prior.log_prob(z) - q.log_prob(z), log_p_given_z",
        "return log_p_given_z + prior.log_prob(z), log_p_given_z",
        "02",
    ),
    "log prior of the weights": (
        "estimators.py",
        "return log_p_given_z + prior.log_prob(z) - q.log_prob(z), log_p_given_z",
        "return log_p_given_z - q.log_prob(z), log_p_given_z",
        "02",
    ),
    "log likelihood of the weights": (
        "estimators.py",
        "return log_p_given_z + prior.log_prob(z) - q.log_prob(z), log_p_given_z",
        "return prior.log_prob(z) - q.log_prob(z), log_p_given_z",
        "02",
    ),
    "y of CVAE-1's prior": (
        "conditional.py",
        "self.posterior(x, y), self.prior(y), lambda z: self.likelihood(y, z).log_prob(x)",
        "self.posterior(x, y), self.prior(0 * y), lambda z: self.likelihood(y, z).log_prob(x)",
        "03",
    ),
    "y of CVAE-2's likelihood": (
        "conditional.py",
        "self.posterior(x, y), self.prior(), lambda z: self.likelihood(y, z).log_prob(x)",
        "self.posterior(x, y), self.prior(), lambda z: self.likelihood(0 * y, z).log_prob(x)",
        "04a",
    ),
    "the recognition network of CVAE-3": (
        "conditional.py",
        "cvae = self.estimator(q, p, log_likelihood, epsilon)  # (5.2)",
        "cvae = self.estimator(p, p, log_likelihood, epsilon)  # (5.2)",
        "05",
    ),
    "GSNN in the hybrid": (
        "conditional.py",
        "return loss - (1 - self.alpha) * gsnn.value, cvae  # (5.4)",
        "return loss, cvae  # (5.4)",
        "05",
    ),
    "y of CMMA's prior": (
        "conditional.py",
        "return self.posterior(x, y), self.prior(y), lambda z: self.likelihood(z).log_prob(x)",
        "return self.posterior(x, y), self.prior(0 * y), lambda z: self.likelihood(z).log_prob(x)",
        "06",
    ),
    "x of a future's likelihood": (
        "futures.py",
        "self.posterior(x, y), self.prior(), lambda z: self.likelihood(x, z).log_prob(y)",
        "self.posterior(x, y), self.prior(), lambda z: self.likelihood(0 * x, z).log_prob(y)",
        "09",
    ),
    "KL under β": (
        "penalties.py",
        "return -(bound.reconstruction - beta * bound.kl)",
        "return -bound.reconstruction",
        "07",
    ),
    "free bits": (
        "penalties.py",
        "return -bound.reconstruction + tf.reduce_sum(tf.maximum(mean_kl, self.minimum))",
        "return -bound.reconstruction + tf.reduce_sum(mean_kl)",
        "07",
    ),
    "MMD": (
        "penalties.py",
        "return -bound.value + self.weight * mmd(z, z_prior)",
        "return -bound.value",
        "07",
    ),
    "weights of the mixture": (
        "estimators.py",
        "return -tf.reduce_logsumexp(log_pi - kl, -1)",
        "return -tf.reduce_logsumexp(-kl, -1)",
        "07",
    ),
    "log p(y) of M2": (
        "semi_supervised.py",
        "lambda z: self.likelihood(y, z).log_prob(x) + log_p_y,",
        "lambda z: self.likelihood(y, z).log_prob(x),",
        "08",
    ),
    "entropy of M2": (
        "semi_supervised.py",
        "tf.reduce_sum(weight * (each.value - latent_log_q), 0),  # (8.2); (8.1) if labelled",
        "tf.reduce_sum(weight * each.value, 0),  # (8.2); (8.1) if labelled",
        "08",
    ),
    "α of M2": (
        "semi_supervised.py",
        "losses = -weight * (value + alpha * log_q_y)",
        "losses = -weight * value",
        "08",
    ),
    "M2's weights of labelled and unlabelled": (
        "semi_supervised.py",
        "losses = -weight * (value + alpha * log_q_y)",
        "losses = -(value + alpha * log_q_y)",
        "08",
    ),
}

# The same of the models that lesson 11 makes: (its line, the line without the term).
TERMS_OF_LESSON_11 = {
    "KL of the upper level": (
        "return SGVBB()(q, p, lambda z2: SGVBB()(*below(z2), epsilon1[None]).value, epsilon2)",
        "return SGVBB()(q, q, lambda z2: SGVBB()(*below(z2), epsilon1[None]).value, epsilon2)",
    ),
    "KL of the lower level": (
        "return SGVBB()(q, p, lambda z2: SGVBB()(*below(z2), epsilon1[None]).value, epsilon2)",
        "return SGVBB()(q, p, lambda z2: SGVBB()(*below(z2), epsilon1[None])[1], epsilon2)",
    ),
    "y of the lower prior": (
        "self.latent(apply(self.lower_prior_net, z2, y))",
        "self.latent(apply(self.lower_prior_net, z2, 0 * y))",
    ),
    "KL at the top of the chain": (
        "return tf.reduce_mean(p_x.log_prob(x)), kl_top, tf.reduce_mean(steps, (0, 2))",
        "return tf.reduce_mean(p_x.log_prob(x)), 0 * kl_top, tf.reduce_mean(steps, (0, 2))",
    ),
    "KL at the top of Diffusion": (
        "kl = top + (self.T - 1) * step",
        "kl = (self.T - 1) * step",
    ),
    "number of steps": (
        "kl = top + (self.T - 1) * step",
        "kl = top + step",
    ),
    "reconstruction of Diffusion": (
        "return Bound(reconstruction - kl, reconstruction, kl)  # (11.3)",
        "return Bound(-kl, 0 * reconstruction, kl)  # (11.3)",
    ),
    "the guess without the label": (
        "return (1 + self.w) * told - self.w * untold  # (11.6)",
        "return (1 + self.w) * told  # (11.6)",
    ),
}


def sample(terms):
    """A sixth of them, or all."""
    return list(terms)[:: 1 if os.environ.get("CVAE_TF_ALL_TERMS") else 6]


def test_each_line_stands_once_in_the_library_or_in_lesson_11():
    for term, (file, whole, *_) in TERMS.items():
        source = (ROOT / "cvae_tf" / file).read_text(encoding="utf-8")
        assert source.count(whole) == 1, f"{term}: {file} has no longer this line: {whole}"
    (lesson,) = (ROOT / "notebooks" / "text").glob("11_*.py")
    for term, (whole, _) in TERMS_OF_LESSON_11.items():
        found = lesson.read_text(encoding="utf-8").count(whole)
        assert found == 1, f"{term}: the lesson has no longer this line: {whole}"


@pytest.mark.slow
@pytest.mark.parametrize("term", sample(TERMS_OF_LESSON_11))
def test_lesson_11_misses_the_term(term, tmp_path, monkeypatch):
    whole, cut = TERMS_OF_LESSON_11[term]
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    (lesson,) = (ROOT / "notebooks").glob("11_*.ipynb")
    notebook = nbformat.read(lesson, as_version=4)
    (cell,) = [c for c in notebook.cells if c.cell_type == "code" and whole in c.source]
    cell.source = cell.source.replace(whole, cut)
    run = asyncio.run(execute(lesson.stem, notebook, tmp_path, timeout=300))
    assert run.failure is not None, f"the lesson runs through without {term}"
    assert "AssertionError" in run.failure.error, str(run.failure)


@pytest.mark.slow
@pytest.mark.parametrize("term", sample(TERMS))
def test_a_lesson_misses_the_term(term, tmp_path, monkeypatch):
    file, whole, cut, number = TERMS[term]
    shutil.copytree(ROOT / "cvae_tf", tmp_path / "cvae_tf")
    shutil.copytree(ROOT / "data", tmp_path / "data")
    source = (tmp_path / "cvae_tf" / file).read_text(encoding="utf-8")
    (tmp_path / "cvae_tf" / file).write_text(source.replace(whole, cut), encoding="utf-8")
    monkeypatch.setenv(
        "PYTHONPATH",
        os.pathsep.join([str(tmp_path), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]),
    )

    (lesson,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    notebook = nbformat.read(lesson, as_version=4)
    run = asyncio.run(execute(lesson.stem, notebook, tmp_path, timeout=300))
    assert run.failure is not None, f"lesson {number} runs through without {term}"
    assert "AssertionError" in run.failure.error, str(run.failure)
