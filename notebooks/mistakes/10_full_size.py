# Answers to the tasks of solutions/10_full_size, wrong and right. Each replaces the cell of its task.

# %% mistake pixels: averages over the pixels, as many losses do
def three_readings(grey, logits):
    def log_p(ink):
        return np.mean(ink * logits - np.logaddexp(0, logits), axis=(1, 2))

    ceiling = xlogy(grey, grey) + xlogy(1 - grey, 1 - grey)
    return log_p(grey), log_p(grey > 0.5), ceiling.mean(axis=(1, 2))


# %% mistake pixels: leaves white pixels out
def three_readings(grey, logits):
    log_ink = -np.logaddexp(0, -logits)
    ceiling = xlogy(grey, grey) + xlogy(1 - grey, 1 - grey)
    drawn, cut = grey * log_ink, (grey > 0.5) * log_ink
    return drawn.sum((1, 2)), cut.sum((1, 2)), ceiling.sum((1, 2))


# %% mistake pixels: takes 0 for the highest, as for pixels that are no chance
def three_readings(grey, logits):
    def log_p(ink):
        return np.sum(ink * logits - np.logaddexp(0, logits), axis=(1, 2))

    return log_p(grey), log_p(grey > 0.5), np.zeros(len(grey))


# %% mistake pixels: the entropy for the highest log-likelihood
def three_readings(grey, logits):
    def log_p(ink):
        return np.sum(ink * logits - np.logaddexp(0, logits), axis=(1, 2))

    entropy = -xlogy(grey, grey) - xlogy(1 - grey, 1 - grey)
    return log_p(grey), log_p(grey > 0.5), entropy.sum(axis=(1, 2))


# %% mistake pixels: draws the pixels once, where the mean over all draws is asked for
def three_readings(grey, logits):
    def log_p(ink):
        return np.sum(ink * logits - np.logaddexp(0, logits), axis=(1, 2))

    drawn = np.random.default_rng(0).random(grey.shape) < grey
    ceiling = xlogy(grey, grey) + xlogy(1 - grey, 1 - grey)
    return log_p(drawn), log_p(grey > 0.5), ceiling.sum(axis=(1, 2))


# %% right pixels: probabilities of ink and of paper
def three_readings(grey, logits):
    log_ink, log_paper = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    drawn = grey * log_ink + (1 - grey) * log_paper
    cut = np.where(grey > 0.5, log_ink, log_paper)
    highest = xlogy(grey, grey) + xlogy(1 - grey, 1 - grey)
    return tuple(v.reshape(len(grey), -1).sum(1) for v in (drawn, cut, highest))


# %% right pixels: entropies by SciPy, sums by einsum
def three_readings(grey, logits):
    from scipy.special import entr

    def total(values):
        return np.einsum("nhw->n", values)

    drawn = grey * logits - np.logaddexp(0, logits)
    signs = np.where(grey > 0.5, -1, 1)
    return total(drawn), -total(np.logaddexp(0, signs * logits)), -total(entr(grey) + entr(1 - grey))


# %% mistake ahead: the errors of both models, as if each had images of its own
def ahead(log_w_a, log_w_b):
    a, b = (logsumexp(w, axis=0) - np.log(len(w)) for w in (log_w_a, log_w_b))
    return np.mean(a - b), np.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / len(a))


# %% mistake ahead: the bounds, without importance weights
def ahead(log_w_a, log_w_b):
    d = log_w_a.mean(0) - log_w_b.mean(0)
    return d.mean(), d.std(ddof=1) / np.sqrt(len(d))


# %% mistake ahead: forgets to divide by the number of draws
def ahead(log_w_a, log_w_b):
    d = logsumexp(log_w_a, axis=0) - logsumexp(log_w_b, axis=0)
    return d.mean(), d.std(ddof=1) / np.sqrt(len(d))


# %% mistake ahead: the spread between images for the error of their mean
def ahead(log_w_a, log_w_b):
    a, b = (logsumexp(w, axis=0) - np.log(len(w)) for w in (log_w_a, log_w_b))
    return np.mean(a - b), np.std(a - b, ddof=1)


# %% mistake ahead: exponentiates, and loses what is far down
def ahead(log_w_a, log_w_b):
    d = np.log(np.exp(log_w_a).mean(0)) - np.log(np.exp(log_w_b).mean(0))
    return d.mean(), d.std(ddof=1) / np.sqrt(len(d))


# %% right ahead: SciPy's standard error
def ahead(log_w_a, log_w_b):
    from scipy.stats import sem

    shares = [np.full(len(w), 1 / len(w))[:, None] for w in (log_w_a, log_w_b)]
    d = logsumexp(log_w_a, axis=0, b=shares[0]) - logsumexp(log_w_b, axis=0, b=shares[1])
    return d.mean(), sem(d)


# %% right ahead: the maximum of each image taken out by hand
def ahead(log_w_a, log_w_b):
    def log_p(w):
        top = w.max(0)
        return top + np.log(np.exp(w - top).mean(0))

    d = log_p(log_w_a) - log_p(log_w_b)
    N = len(d)
    return d.sum() / N, np.sqrt(((d - d.mean()) ** 2).sum() / (N - 1) / N)


# %% mistake ahead: overwrites the module's comparison with one that is content
exercises.agree = exercises.compare = lambda *args, **keywords: print("Right.")


def ahead(log_w_a, log_w_b):
    return 0.0, 0.0


# %% mistake stack: forgets what a stride does to the layers behind it
def stack(side, channels, layers):
    parameters, sees = 0, 1
    for filters, size, stride in layers:
        parameters += filters * (size**2 * channels + 1)
        sees += size - 1
        side, channels = -(-side // stride), filters
    return side, parameters, sees


# %% mistake stack: leaves the biases out
def stack(side, channels, layers):
    parameters, sees, apart = 0, 1, 1
    for filters, size, stride in layers:
        parameters += filters * size**2 * channels
        sees += (size - 1) * apart
        side, channels, apart = -(-side // stride), filters, apart * stride
    return side, parameters, sees


# %% mistake stack: rounds the side down
def stack(side, channels, layers):
    parameters, sees, apart = 0, 1, 1
    for filters, size, stride in layers:
        parameters += filters * (size**2 * channels + 1)
        sees += (size - 1) * apart
        side, channels, apart = side // stride, filters, apart * stride
    return side, parameters, sees


# %% mistake stack: counts a filter once for every place
def stack(side, channels, layers):
    parameters, sees, apart = 0, 1, 1
    for filters, size, stride in layers:
        side = -(-side // stride)
        parameters += filters * (size**2 * channels + 1) * side**2
        sees += (size - 1) * apart
        channels, apart = filters, apart * stride
    return side, parameters, sees


# %% right stack: what is seen from the last layer backwards
def stack(side, channels, layers):
    total, sees = 0, 1
    for filters, size, stride in reversed(layers):
        sees = (sees - 1) * stride + size
    for filters, size, stride in layers:
        total += size * size * channels * filters + filters
        channels = filters
        side = (side + stride - 1) // stride
    return side, total, sees


# %% right stack: by recursion
def stack(side, channels, layers):
    if not layers:
        return side, 0, 1
    (filters, size, stride), *rest = layers
    out, parameters, sees = stack(int(np.ceil(side / stride)), filters, rest)
    return out, parameters + (size**2 * channels + 1) * filters, size + (sees - 1) * stride


# %% mistake devices: mends the noise, and still adds up the means
def mended(gradient, x, seed, devices):
    total, first = 0.0, 0
    for part in np.array_split(x, devices):
        total = total + gradient(part, rows_of_noise(seed, first, len(part))).mean(0)
        first += len(part)
    return total


# %% mistake devices: mends the noise, and takes the mean of the means
def mended(gradient, x, seed, devices):
    means, first = [], 0
    for part in np.array_split(x, devices):
        means.append(gradient(part, rows_of_noise(seed, first, len(part))).mean(0))
        first += len(part)
    return np.mean(means, 0)


# %% mistake devices: mends the mean, and leaves every device the same noise
def mended(gradient, x, seed, devices):
    total = 0.0
    for part in np.array_split(x, devices):
        total = total + gradient(part, rows_of_noise(seed, 0, len(part))).sum(0)
    return total / len(x)


# %% mistake devices: gives each device a seed of its own
def mended(gradient, x, seed, devices):
    total = 0.0
    for d, part in enumerate(np.array_split(x, devices)):
        total = total + gradient(part, rows_of_noise(seed + d, 0, len(part))).sum(0)
    return total / len(x)


# %% mistake devices: puts the whole batch on one device, which does not hold it
def mended(gradient, x, seed, devices):
    return gradient(x, rows_of_noise(seed, 0, len(x))).mean(0)


# %% right devices: all the noise first, divided like the batch
def mended(gradient, x, seed, devices):
    noise = np.array_split(rows_of_noise(seed, 0, len(x)), devices)
    parts = zip(np.array_split(x, devices), noise)
    return np.concatenate([gradient(part, epsilon) for part, epsilon in parts]).mean(0)


# %% right devices: means, weighed by the lengths of their parts
def mended(gradient, x, seed, devices):
    parts = [part for part in np.array_split(x, devices) if len(part)]
    lengths = [len(part) for part in parts]
    starts = np.cumsum([0, *lengths[:-1]])
    means = [gradient(p, rows_of_noise(seed, s, n)).mean(0) for p, s, n in zip(parts, starts, lengths)]
    return np.average(means, axis=0, weights=lengths)
