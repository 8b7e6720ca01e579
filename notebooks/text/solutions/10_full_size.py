# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 10 · Full size
#
# Four tasks on lesson 10, eleven points. In each, put your code in the place of the line that raises an error, then run
# the check below it: it prints your value beside the true one, or says what is wrong. No task needs another. NumPy is
# enough, and nothing is trained.

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.special import logsumexp, xlogy

from cvae_tf import exercises  # remembers what NumPy was like

# %% [markdown]
# ## 10.1 Of which pixels is this the log-likelihood? (3 points)
#
# A model without $z$ gives each pixel the probability $\operatorname{sigmoid}(\text{logit})$ of ink. You have grey
# images. Logits may be as large as ±800. Return three numbers for each image, in nats:
#
# 1. the log-likelihood of binary pixels that are *drawn*, ink with probability grey: its mean over all draws, exactly;
# 2. the log-likelihood of pixels that are *cut*, ink where grey is above ½;
# 3. the highest mean over all draws that *any* probabilities can reach, those of a model that knows the grey values.
#
# **Predict before you compute:** can the second number be above the third? (`xlogy(p, q)` is $p \log q$, and 0 where
# $p = 0$.)


# %% tags=["task:pixels"]
def three_readings(grey, logits):
    """grey, from 0 to 1, and logits: [N, height, width]. Returns three arrays, each [N], nats."""
    ### BEGIN SOLUTION
    def log_p(ink):
        return np.sum(ink * logits - np.logaddexp(0, logits), axis=(1, 2))

    ceiling = xlogy(grey, grey) + xlogy(1 - grey, 1 - grey)
    return log_p(grey), log_p(grey > 0.5), ceiling.sum(axis=(1, 2))
    ### END SOLUTION


# %% tags=["check:pixels:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_pixels(three_readings, seed):
    import math

    rng = np.random.default_rng(seed)

    def of_ink(logit):  # log sigmoid
        return -np.logaddexp(0.0, -logit)

    def over_pixels(each, reduce=sum):  # each(grey, logit), one pixel at a time
        def value(grey, logits):
            images = zip(grey, logits, strict=True)
            return np.array([reduce([each(g, v) for g, v in zip(a.ravel(), b.ravel(), strict=True)])
                             for a, b in images])  # fmt: skip

        return value

    def drawn_pixel(g, v):  # the mean over both values of the pixel
        return sum(chance * log_p for chance, log_p in ((g, of_ink(v)), (1 - g, of_ink(-v))) if chance)

    def cut_pixel(g, v):
        return of_ink(v) if g > 0.5 else of_ink(-v)

    def best_pixel(g, v):  # at the logit of the grey value itself
        return sum(chance * math.log(chance) for chance in (g, 1 - g) if chance)

    def true(grey, logits):
        return tuple(over_pixels(each)(grey, logits) for each in (drawn_pixel, cut_pixel, best_pixel))

    def first(each):
        return lambda *case: (over_pixels(each)(*case), None, None)

    def second(each):
        return lambda *case: (None, over_pixels(each)(*case), None)

    def third(each):
        return lambda *case: (None, None, over_pixels(each)(*case))

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    def entropy_of_model(g, v):
        return sigmoid(v) * of_ink(v) + sigmoid(-v) * of_ink(-v)

    slips = {
        "The pixels' log-probabilities add up in a likelihood; you average them.": lambda grey, logits: (
            tuple(v / grey[0].size for v in true(grey, logits))
        ),
        "One number for all images: each image has its own.": lambda *c: tuple(
            v.sum() for v in true(*c)
        ),
        "One number for all images, their mean: each image has its own.": lambda *c: tuple(
            v.mean() for v in true(*c)
        ),
        "Those are losses, with a minus: return log-likelihoods.": lambda *c: tuple(
            -v for v in true(*c)
        ),
        "White pixels are data too: the part of (1 − grey) is missing in the first number.": first(
            lambda g, v: g * of_ink(v)
        ),
        "White pixels are data too: they are missing in the second number.": second(
            lambda g, v: of_ink(v) if g > 0.5 else 0.0
        ),
        "You average the probabilities of a pixel's two values; the mean of the *logarithm* is meant.": (
            first(lambda g, v: np.log(g * sigmoid(v) + (1 - g) * sigmoid(-v)))
        ),
        "You averaged over draws from the model, not over draws of the data.": first(entropy_of_model),
        "Your first number is the minus squared error: that is another likelihood.": first(
            lambda g, v: -((g - sigmoid(v)) ** 2)
        ),
        "Logits are no probabilities yet.": first(
            lambda g, v: g * np.log(np.abs(v)) + (1 - g) * np.log(np.abs(1 - v))
        ),
        "In your first number ink and paper have changed places.": first(
            lambda g, v: drawn_pixel(1 - g, v)
        ),
        "In your second number ink and paper have changed places.": second(
            lambda g, v: cut_pixel(1 - g, v)
        ),
        "Cut at ½, a pixel is 0 or 1. Yours is still grey.": second(drawn_pixel),
        "In your second number the *model's* probabilities are cut; the data are to be cut.": second(
            lambda g, v: drawn_pixel(g, np.inf if v > 0 else -np.inf)
        ),
        "Your third number is the entropy. The log-likelihood is minus that.": third(
            lambda g, v: -best_pixel(g, v)
        ),
        "Your third number is 0: that is the most for pixels that are no chance. Drawn ones are.": third(
            lambda g, v: 0.0
        ),
        "Your third number lacks the white pixels' part.": third(
            lambda g, v: g * math.log(g) if g else 0.0
        ),
        "Your third number is the model's own entropy, with a minus. It asks for the data's.": third(
            entropy_of_model
        ),
        "Your third number is in bits; the course counts in nats.": third(
            lambda g, v: best_pixel(g, v) / math.log(2)
        ),
        "Your third number is the log-probability of the likeliest image, not a mean over draws.": third(
            lambda g, v: math.log(max(g, 1 - g))
        ),
    }  # fmt: skip
    def at_ink(grey, logits):
        return over_pixels(lambda g, v: g * v)(grey, logits)

    def normaliser(grey, logits):
        return over_pixels(lambda g, v: of_ink(-v))(grey, logits)

    terms = {
        "the part of the ink, ink times logit,": lambda grey, logits: (
            at_ink(grey, logits), at_ink(grey > 0.5, logits), None
        ),
        "the normaliser, −log(1 + exp(logit)),": lambda *c: (normaliser(*c), normaliser(*c), None),
        "the part of the ink": lambda grey, logits: (
            None, None, over_pixels(lambda g, v: g * math.log(g) if g else 0.0)(grey, logits)
        ),
        "the part of the paper": lambda grey, logits: (
            None, None, over_pixels(lambda g, v: g * math.log(g) if g else 0.0)(1 - grey, logits)
        ),
    }  # fmt: skip
    simpler = {
        "all grey values are 0 or 1": lambda grey, logits: (np.round(grey), logits),
        "all grey values are ½": lambda grey, logits: (0 * grey + 0.5, logits),
        "all logits are 0": lambda grey, logits: (grey, 0 * logits),
        "there is one image": lambda grey, logits: (grey[:1], logits[:1]),
        "there is one pixel": lambda grey, logits: (grey[:, :1, :1], logits[:, :1, :1]),
        "the images have one row": lambda grey, logits: (grey[:, :1], logits[:, :1]),
        "the model knows the grey values": lambda grey, logits: (
            0.1 + 0.8 * grey, np.log(0.1 + 0.8 * grey) - np.log(0.9 - 0.8 * grey)
        ),
    }  # fmt: skip
    unchanged = {
        "the pixels of each image come in another order": lambda grey, logits: (
            grey[:, ::-1, ::-1], logits[:, ::-1, ::-1]
        ),
    }  # fmt: skip

    def a_case(N, H, W):
        return rng.beta(0.6, 0.6, (N, H, W)), rng.normal(0, 2, (N, H, W))

    grey, logits = a_case(2, 3, 4)
    edges = {
        "grey values are 0 and 1 (0 · log 0 is 0)": (np.round(grey), logits),
        "grey values are exactly ½": (0 * grey + 0.5, logits),
        "logits are ±800": (np.round(grey), 800 * np.sign(logits)),
        "logits are ±800 and the pixels grey": (grey, 800 * np.sign(logits)),
        "there is one image": a_case(1, 3, 4),
        "there is one pixel": a_case(3, 1, 1),
        "images, rows and columns are equally many": a_case(3, 3, 3),
        "grey values are nearly 0": (1e-12 + 0 * grey, logits),
    }
    sizes = ((3, 4, 5), (2, 6, 3), (5, 2, 4), (4, 3, 2))
    with np.errstate(all="ignore"):
        _e.agree(
            "the readings", three_readings, true, [a_case(*size) for size in sizes], unit="nats",
            parts=("drawn", "cut", "the highest"), slips=slips, terms=terms, edges=edges,
            simpler=simpler, unchanged=unchanged,
        )  # fmt: skip
    grey = np.random.default_rng(5).beta(0.6, 0.6, (1, 28, 28))
    _, cut, highest = true(grey, np.log(grey / (1 - grey)))
    print(f"A model that knows the grey values of an image: cut {cut[0]:.0f}, the highest mean over draws {highest[0]:.0f} nats.")


_check_pixels(three_readings, seed=0)
### BEGIN HIDDEN TESTS
_check_pixels(three_readings, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 10.2 A difference and its error bar (3 points)
#
# Two models are measured on the same $N$ test images by importance sampling. For each draw of $z$ you have
# $\log w = \log p(x, z \mid y) - \log q(z \mid x, y)$; the models may have different numbers of draws. Return by how
# much model A's $\log p(x \mid y)$, estimated as in (2.6), is higher on average over the images, and the standard error
# of this difference over images. (`logsumexp` is imported. Use $N - 1$ in the variance.)


# %% tags=["task:ahead"]
def ahead(log_w_a, log_w_b):
    """log_w_a: [S_a, N], log_w_b: [S_b, N], nats; N ≥ 2. Returns (the difference, its standard error)."""
    ### BEGIN SOLUTION
    a, b = (logsumexp(log_w, axis=0) - np.log(len(log_w)) for log_w in (log_w_a, log_w_b))
    return np.mean(a - b), np.std(a - b, ddof=1) / np.sqrt(len(a))
    ### END SOLUTION


# %% tags=["check:ahead:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_ahead(ahead, seed):
    import math

    rng = np.random.default_rng(seed)

    def log_mean(values):  # log of the mean of exp, of a list
        top = max(values)
        return top + math.log(sum(math.exp(v - top) for v in values) / len(values))

    def per_image(log_w):
        return np.array([log_mean(list(column)) for column in log_w.T])

    def pairs(a, b, of=per_image):
        return of(a) - of(b)

    def error(values, less=1):
        N, m = len(values), sum(values) / len(values)
        return math.sqrt(sum((v - m) ** 2 for v in values) / (N - less) / N)

    def from_images(of):
        return lambda a, b: (pairs(a, b, of).mean(), error(pairs(a, b, of)))

    true = from_images(per_image)

    def other_error(f):
        return lambda a, b: (true(a, b)[0], f(a, b))

    def both(a, b):
        return per_image(a), per_image(b)

    slips = {
        "That is the difference of the bounds: average the weights, then take the logarithm.": (
            from_images(lambda log_w: log_w.mean(0))
        ),
        "The weights are averaged over the draws; you add them up.": from_images(
            lambda log_w: per_image(log_w) + np.log(len(log_w))
        ),
        "The best draw of each image does not stand for all of them.": from_images(
            lambda log_w: log_w.max(0)
        ),
        "You use the first draw alone.": from_images(lambda log_w: log_w[0]),
        "The number of draws is divided by twice.": from_images(
            lambda log_w: per_image(log_w) - np.log(len(log_w))
        ),
        "Both models see the same images, so their errors do not add up: take the differences first.": (
            other_error(lambda a, b: math.hypot(*map(error, both(a, b))))
        ),
        "Errors of a difference do not subtract: take the differences of the images first.": other_error(
            lambda a, b: error(per_image(a)) - error(per_image(b))
        ),
        "Your error is that of model A alone.": other_error(lambda a, b: error(per_image(a))),
        "Your error is that of model B alone.": other_error(lambda a, b: error(per_image(b))),
        "That is the spread between images. The standard error is smaller by √N.": other_error(
            lambda a, b: error(pairs(a, b)) * math.sqrt(a.shape[1])
        ),
        "The spread is divided by √N, not by N.": other_error(
            lambda a, b: error(pairs(a, b)) / math.sqrt(a.shape[1])
        ),
        "Your second value is the variance of the mean: take the root.": other_error(
            lambda a, b: error(pairs(a, b)) ** 2
        ),
        "Use N − 1 in the variance: the mean was estimated from the same images.": other_error(
            lambda a, b: error(pairs(a, b), less=0)
        ),
        "The error is over images: divide by √N, not by the root of the number of draws.": other_error(
            lambda a, b: error(pairs(a, b)) * math.sqrt(a.shape[1] / len(a))
        ),
        "The error is over images; draws of one image are no further images.": other_error(
            lambda a, b: error(pairs(a, b)) * math.sqrt(1 / len(a))
        ),
        "Your second value is that of the bounds, without importance weights.": other_error(
            lambda a, b: error(pairs(a, b, lambda log_w: log_w.mean(0)))
        ),
        "Your difference is model B's lead.": lambda a, b: (-true(a, b)[0], None),
        "Your difference is added up over the images.": lambda a, b: (pairs(a, b).sum(), None),
        "That is model A's log p(x|y), not its lead.": lambda a, b: (per_image(a).mean(), None),
        "You average the *probabilities* over the images: the mean log-likelihood is meant.": (
            lambda a, b: (log_mean(list(per_image(a))) - log_mean(list(per_image(b))), None)
        ),
    }  # fmt: skip
    simpler = {
        "both have as many draws": lambda a, b: (a[: min(len(a), len(b))], b[: min(len(a), len(b))]),
        "both have one draw": lambda a, b: (a[:1], b[:1]),
        "there are two images": lambda a, b: (a[:, :2], b[:, :2]),
        "the models are equal": lambda a, b: (a, a),
        "all weights of B are 1": lambda a, b: (a, 0 * b),
        "all draws of an image have the same weight": lambda a, b: (
            np.tile(a[:1], (len(a), 1)), np.tile(b[:1], (len(b), 1))
        ),
    }  # fmt: skip
    unchanged = {
        "an image is easier for both models": lambda a, b: (
            a + np.arange(a.shape[1]), b + np.arange(a.shape[1])
        ),
        "the draws come in another order": lambda a, b: (a[::-1], b[::-1]),
        "every draw is there twice": lambda a, b: (np.tile(a, (2, 1)), np.tile(b, (2, 1))),
    }  # fmt: skip

    def a_case(S_a, S_b, N):
        image = rng.normal(-90, 20, N)
        return image + rng.normal(0, 2, (S_a, N)), image - 1 + rng.normal(0, 3, (S_b, N))

    a, b = a_case(5, 4, 6)
    some = np.where(rng.random(a.shape) < 0.4, -np.inf, a)
    some[0] = a[0]
    edges = {
        "both have one draw": (a[:1], b[:1]),
        "both have as many draws": (a[:4], b),
        "there are two images": (a[:, :2], b[:, :2]),
        "the models are equal": (a, a),
        "weights lie a thousand nats apart": (a + 1000 * np.arange(5.0)[:, None], b),
        "log-likelihoods are very low": (a - 5000, b - 5000),
        "some draws have the weight 0, log w = −∞": (some, b),
        "draws and images are equally many": a_case(4, 4, 4),
        "one model has many draws": a_case(200, 3, 4),
    }
    sizes = ((5, 8, 10), (3, 12, 6), (10, 4, 8), (2, 6, 5), (7, 3, 12))
    with np.errstate(all="ignore"):
        _e.agree(
            "A's lead", ahead, true, [a_case(*size) for size in sizes], unit="nats",
            parts=("the difference", "its standard error"), slips=slips, edges=edges,
            simpler=simpler, unchanged=unchanged,
        )  # fmt: skip


_check_ahead(ahead, seed=0)
### BEGIN HIDDEN TESTS
_check_ahead(ahead, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 10.3 What does one unit see? (2 points)
#
# Convolutions with padding "same" follow each other. Each is described by its number of filters, the side of a filter,
# and its stride. A layer with stride $k$ turns a side of $n$ pixels into $\lceil n / k \rceil$; a filter has a weight
# for each of its places and each channel that comes in, and one bias. Return three numbers for the whole stack: the
# side of its output, its parameters, and how many pixels along one axis *one* unit of the last layer sees in an image
# without edges (so this may be more than the side).


# %% tags=["task:stack"]
def stack(side, channels, layers):
    """side: pixels; channels: of the image; layers: a list of (filters, size, stride), size ≥
    stride; it may be empty, and a unit is then a pixel.

    Returns (side of the output, number of parameters, pixels that one unit sees along one axis).
    """
    ### BEGIN SOLUTION
    parameters, sees, apart = 0, 1, 1  # apart: image pixels between neighbouring units
    for filters, size, stride in layers:
        parameters += filters * (size**2 * channels + 1)
        sees += (size - 1) * apart
        side, channels, apart = int(np.ceil(side / stride)), filters, apart * stride
    return side, parameters, sees
    ### END SOLUTION


# %% tags=["check:stack:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_stack(stack, seed):
    rng = np.random.default_rng(seed)

    def seen(layers):  # the pixels that unit 0 of the last layer sees, one layer at a time
        units = {0}
        for _, size, stride in layers[::-1]:
            units = {stride * unit + place for unit in units for place in range(size)}
        return len(units)

    def output(side, layers, each=lambda side, size, stride: len(range(0, side, stride))):
        for _, size, stride in layers:
            side = each(side, size, stride)
        return side

    def number(channels, layers, bias=1, weights=None):
        total = 0
        for filters, size, _ in layers:
            kernel = np.zeros((size, size, channels, filters))
            total += (kernel.size if weights is None else weights(kernel)) + bias * filters
            channels = filters
        return total

    def true(side, channels, layers):
        return output(side, layers), number(channels, layers), seen(layers)

    def part(which, f):
        return lambda *case: tuple(f(*case) if i == which else None for i in range(3))

    def dense(side, channels, layers):
        total = 0
        for filters, _, stride in layers:
            there = len(range(0, side, stride))
            total += (side**2 * channels + 1) * there**2 * filters
            side, channels = there, filters
        return total

    def at_each_place(side, channels, layers):
        total = 0
        for filters, size, stride in layers:
            side = len(range(0, side, stride))
            total += side**2 * filters * (size**2 * channels + 1)
            channels = filters
        return total

    slips = {
        "Padding \"same\" rounds up: n pixels with stride k give ⌈n/k⌉.": part(
            0, lambda side, channels, layers: output(side, layers, lambda n, size, stride: n // stride)
        ),
        "That is the side without padding.": part(
            0, lambda side, channels, layers: output(
                side, layers, lambda n, size, stride: (n - size) // stride + 1)
        ),
        "The strides make the image smaller: each layer divides the side.": part(
            0, lambda side, channels, layers: side
        ),
        "Only the last layer's stride counts in your side.": part(
            0, lambda side, channels, layers: output(side, layers[-1:])
        ),
        "The biases are missing from your parameters.": part(
            1, lambda side, channels, layers: number(channels, layers, bias=0)
        ),
        "A filter has weights for every channel that comes in.": part(
            1, lambda side, channels, layers: number(
                channels, layers, weights=lambda kernel: kernel[:, :, 0].size)
        ),
        "A filter has size × size places; you count them along one axis.": part(
            1, lambda side, channels, layers: number(
                channels, layers, weights=lambda kernel: kernel[0].size)
        ),
        "The channels that come into a layer are the filters of the layer before.": part(
            1, lambda side, channels, layers: sum(
                filters * (size**2 * channels + 1) for filters, size, _ in layers)
        ),
        "A filter is the same at every place: its weights count once.": part(1, at_each_place),
        "Those are the parameters of dense layers.": part(1, dense),
        "Those are the parameters of the last layer alone.": part(
            1, lambda side, channels, layers: number(
                ([channels] + [f for f, _, _ in layers])[-2], layers[-1:])
        ),
        "Each weight comes with a bias in yours: each *filter* has one.": part(
            1, lambda side, channels, layers: 2 * number(channels, layers, bias=0)
        ),
        "A stride moves the later filters' places apart: they see more of the image.": part(
            2, lambda side, channels, layers: 1 + sum(size - 1 for _, size, _ in layers)
        ),
        "The filters' sizes do not multiply: neighbouring places overlap.": part(
            2, lambda side, channels, layers: int(np.prod([size for _, size, _ in layers]))
        ),
        "The filters' sizes do not add up: neighbouring places overlap in one.": part(
            2, lambda side, channels, layers: sum(size for _, size, _ in layers)
        ),
        "A stride moves the *later* layers' places apart, not those of its own layer.": part(
            2, lambda side, channels, layers: 1 + sum(
                (size - 1) * int(np.prod([k for _, _, k in layers[: i + 1]]))
                for i, (_, size, _) in enumerate(layers))
        ),
        "Only the stride of the layer before counts in yours: strides multiply.": part(
            2, lambda side, channels, layers: 1 + sum(
                (size - 1) * (layers[i - 1][2] if i else 1) for i, (_, size, _) in enumerate(layers))
        ),
        "That is what the last layer sees of the layer before. The image is meant.": part(
            2, lambda side, channels, layers: layers[-1][1]
        ),
        "You count the pixels of the square; along one axis, please.": part(
            2, lambda side, channels, layers: seen(layers) ** 2
        ),
        "One pixel is missing: without any layer a unit sees one pixel, so begin with 1.": part(
            2, lambda side, channels, layers: seen(layers) - 1
        ),
        "The filter's side is size pixels: it reaches size − 1 further, not size.": part(
            2, lambda side, channels, layers: 1 + sum(
                size * int(np.prod([k for _, _, k in layers[:i]]))
                for i, (_, size, _) in enumerate(layers))
        ),
        "The order of the layers is turned in yours: a filter reaches further by the strides of "
        "the layers *before* it, not after.": part(
            2, lambda side, channels, layers: seen(layers[::-1])
        ),
    }  # fmt: skip
    terms = {
        "the number of the biases": lambda side, channels, layers: (
            None, sum(filters for filters, _, _ in layers), None
        ),
        "the number of the filters' weights": lambda side, channels, layers: (
            None, number(channels, layers, bias=0), None
        ),
        "the pixel to begin with": lambda *case: (None, None, 1),
        "what the filters add": lambda side, channels, layers: (None, None, seen(layers) - 1),
    }  # fmt: skip
    simpler = {
        "there is one layer": lambda side, channels, layers: (side, channels, layers[:1]),
        "all strides are 1": lambda side, channels, layers: (
            side, channels, [(f, size, 1) for f, size, _ in layers]
        ),
        "the side can be halved": lambda side, channels, layers: (6**4, channels, layers),
        "the image has one channel": lambda side, channels, layers: (side, 1, layers),
        "all layers have one filter and the image one channel": lambda side, channels, layers: (
            side, 1, [(1, *rest) for _, *rest in layers]
        ),
        "all filters are single pixels": lambda side, channels, layers: (
            side, channels, [(f, 1, 1) for f, _, _ in layers]
        ),
        "the filters are 3 × 3 and the strides 2": lambda side, channels, layers: (
            side, channels, [(f, 3, 2) for f, _, _ in layers]
        ),
    }  # fmt: skip

    def a_case(number):
        layers = []
        for _ in range(number):
            stride = int(rng.integers(1, 4))
            layers.append((int(rng.integers(2, 9)), stride + int(rng.integers(0, 4)), stride))
        return int(rng.integers(40, 200)), int(rng.integers(2, 5)), layers

    edges = {
        "there is no layer": (28, 1, []),
        "there is one layer": (28, 1, [(16, 3, 2)]),
        "all strides are 1": (28, 3, [(8, 3, 1), (4, 5, 1)]),
        "sides are odd": (25, 3, [(8, 3, 2), (16, 3, 2), (32, 3, 2)]),
        "filters are single pixels": (28, 2, [(4, 1, 1), (8, 3, 2)]),
        "filters do not overlap": (64, 1, [(4, 2, 2), (8, 4, 4)]),
        "the image becomes one pixel": (5, 1, [(3, 3, 2)] * 4),
        "the lesson's encoder reads an image": (28, 1, [(16, 3, 2), (32, 3, 2)]),
    }
    cases = [a_case(number) for number in (2, 3, 4, 2, 3, 4)]
    _e.agree(
        "the stack", stack, true, cases, parts=("side", "parameters", "what one unit sees"),
        slips=slips, terms=terms, edges=edges, simpler=simpler,
    )  # fmt: skip


_check_stack(stack, seed=0)
### BEGIN HIDDEN TESTS
_check_stack(stack, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 10.4 Find the bugs: several devices, one step (3 points)
#
# A batch is divided over several devices. Together they should make the step that *one* device would make of the whole
# batch: the mean of the examples' gradients, each with the noise of its own row. The program below does not. Mend it.
# No device holds more than its part of the batch, so the function `gradient` refuses more rows than that.


# %%
def rows_of_noise(seed, first, num):
    """Standard normal noise [num, 2] for rows `first`, `first` + 1, … of the whole batch."""
    return np.random.default_rng(seed).standard_normal((first + num, 2))[first:]


def doubled(gradient, x, seed, devices):
    """The gradient of one step, [P]. gradient(x, noise): [rows, P], a row for each example."""
    total = 0.0
    for part in np.array_split(x, devices):  # as even as can be; parts may be empty
        noise = rows_of_noise(seed, 0, len(part))
        total = total + gradient(part, noise).mean(0)
    return total


# %% tags=["task:devices"]
def mended(gradient, x, seed, devices):
    """As above: what one device would get of the whole batch. x: [B, D], one row or more."""
    ### BEGIN SOLUTION
    total, first = 0.0, 0
    for part in np.array_split(x, devices):
        noise = rows_of_noise(seed, first, len(part))
        total = total + gradient(part, noise).sum(0)
        first += len(part)
    return total / first
    ### END SOLUTION


# %% tags=["check:devices:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_devices(mended, seed):
    rng = np.random.default_rng(seed)

    def noise_from(seed, first, num):
        return np.random.default_rng(seed).standard_normal((first + num, 2))[first:]

    def true(gradient, x, seed, devices):  # one example at a time, with its own row
        noise = noise_from(seed, 0, len(x))
        rows = [gradient(x[i : i + 1], noise[i : i + 1])[0] for i in range(len(x))]
        return sum(rows) / len(x)

    def by_parts(first_row, reduce, end=lambda totals, parts: sum(totals), new_seed=False):
        def value(gradient, x, seed, devices):
            totals, parts, first = [], np.array_split(x, devices), 0
            for d, part in enumerate(parts):
                noise = noise_from(seed + new_seed * d, first_row(first, d), len(part))
                totals.append(reduce(gradient(part, noise)))
                first += len(part)
            return end(totals, parts)

        return value

    def own(first, d):
        return first

    def rows(g):
        return g.sum(0)

    def means(g):
        return g.mean(0)

    def over_all(totals, parts):
        return sum(totals) / sum(map(len, parts))

    def over_devices(totals, parts):
        return sum(totals) / len(parts)

    again = "Every device still draws the noise of the first rows"
    slips = {
        f"{again}, and the means of the parts are added up: nothing is mended.": by_parts(
            lambda first, d: 0, means
        ),
        f"{again}. Each row of the whole batch has its own.": by_parts(
            lambda first, d: 0, rows, over_all
        ),
        f"{again}, and the parts' means are averaged as if all parts were equally large.": by_parts(
            lambda first, d: 0, means, over_devices
        ),
        f"{again}, and the gradients are added up: take the mean over the batch.": by_parts(
            lambda first, d: 0, rows
        ),
        "The parts' means are added up: with two devices that is twice the gradient.": by_parts(
            own, means
        ),
        "A mean of means is the mean of all only where all parts are equally large.": by_parts(
            own, means, over_devices
        ),
        "The gradients are added up: take the mean over the whole batch.": by_parts(own, rows),
        "You divide the sum by the number of devices. Divide by the number of examples.": by_parts(
            own, rows, over_devices
        ),
        "Each part's sum is divided by the whole batch once more than needed.": by_parts(
            own, rows, lambda totals, parts: sum(totals) / sum(map(len, parts)) ** 2
        ),
        "Another seed for each device gives it noise of its own, but not that of its rows.": by_parts(
            lambda first, d: 0, rows, over_all, new_seed=True
        ),
        "Another seed for each device gives it noise of its own, and not that of its rows.": by_parts(
            own, rows, over_all, new_seed=True
        ),
        "The number of the device is not the number of its first row.": by_parts(
            lambda first, d: d, rows, over_all
        ),
        "The parts are not all as long as the first: the later ones' noise begins elsewhere.": (
            lambda gradient, x, seed, devices: by_parts(
                lambda first, d: d * -(-len(x) // devices), rows, over_all)(gradient, x, seed, devices)
        ),
        "The noise of a device begins one part too late.": lambda gradient, x, seed, devices: by_parts(
            lambda first, d: first + [len(p) for p in np.array_split(x, devices)][d], rows, over_all
        )(gradient, x, seed, devices),
        "Only the last device's gradients count in yours.": by_parts(
            own, rows, lambda totals, parts: totals[-1] / sum(map(len, parts))
        ),
        "Only the first device's gradients count in yours.": by_parts(
            own, rows, lambda totals, parts: totals[0] / sum(map(len, parts))
        ),
    }  # fmt: skip
    simpler = {
        "there is one device": lambda gradient, x, seed, devices: (free, x, seed, 1),
        "the parts are equally large": lambda gradient, x, seed, devices: (
            free, x[: len(x) // devices * devices], seed, devices
        ),
        "each device has one row": lambda gradient, x, seed, devices: (free, x, seed, len(x)),
        "the gradient does not depend on the noise": lambda gradient, x, seed, devices: (
            lambda part, noise: free(part, 0 * noise), x, seed, devices
        ),
        "there is one device, and no noise": lambda gradient, x, seed, devices: (
            lambda part, noise: free(part, 0 * noise), x, seed, 1
        ),
        "the parts are equally large, and there is no noise": lambda gradient, x, seed, devices: (
            lambda part, noise: free(part, 0 * noise), x[: len(x) // devices * devices], seed, devices
        ),
    }  # fmt: skip

    def free(part, noise):
        z = part[:, :2] + 0.5 * noise
        return np.stack([np.sin(z[:, 0]) * part[:, 1], z[:, 1] ** 2, z[:, 0] * part[:, 0]], 1)

    def a_case(B, devices, seed=None):
        most = -(-B // devices)

        def gradient(part, noise):
            if len(part) > most:
                text = f"{len(part)} rows on one device, of {B} on {devices} devices: it holds {most}"
                raise MemoryError(text)
            return free(part, noise)

        seed = int(rng.integers(1000)) if seed is None else seed
        return gradient, rng.normal(size=(B, 2)), seed, devices

    edges = {
        "there is one device": a_case(5, 1),
        "the parts are equally large": a_case(6, 3),
        "each device has one row": a_case(4, 4),
        "there are more devices than rows, so that some have none": a_case(3, 5),
        "there is one row": a_case(1, 2),
        "the seed is 0": a_case(7, 2, seed=0),
    }
    cases = [a_case(*size) for size in ((7, 2), (11, 4), (8, 3), (13, 5), (10, 4))]
    with np.errstate(all="ignore"):
        _e.agree(
            "the gradient", mended, true, cases, slips=slips, edges=edges, simpler=simpler
        )  # fmt: skip


_check_devices(mended, seed=0)
### BEGIN HIDDEN TESTS
_check_devices(mended, seed=100)
### END HIDDEN TESTS
