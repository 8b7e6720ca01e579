# Answers to the tasks of solutions/09_uncertain_futures, wrong and right. Each replaces the cell of its task.

# %% mistake kept: adds lengths where a rotation keeps squared lengths
def kept(motion, k):
    coefficients = np.abs(dct(motion, norm="ortho"))
    return coefficients[:k].sum() / coefficients.sum()


# %% mistake kept: the transform without its scaling, which is no rotation
def kept(motion, k):
    coefficients = dct(motion)
    return np.sum(coefficients[:k] ** 2) / np.sum(coefficients**2)


# %% mistake kept: the share that is lost
def kept(motion, k):
    coefficients = dct(motion, norm="ortho")
    return np.sum(coefficients[k:] ** 2) / np.sum(coefficients**2)


# %% right kept: by what is missing from the rebuilt motion
def kept(motion, k):
    coefficients = dct(motion, norm="ortho")
    coefficients[k:] = 0
    return 1 - np.sum((motion - idct(coefficients, norm="ortho")) ** 2) / np.sum(motion**2)


# %% right kept: squared norms
def kept(motion, k):
    return (np.linalg.norm(dct(motion, norm="ortho")[:k]) / np.linalg.norm(motion)) ** 2


# %% mistake blur: takes the noise for the whole spread
def nats_of_one_gaussian(rho, sigma):
    return 0.5 * np.log(2 * np.pi * np.e * sigma**2)


# %% mistake blur: a standard deviation where the variance belongs
def nats_of_one_gaussian(rho, sigma):
    return 0.5 * np.log(2 * np.pi * np.e * np.sqrt(sigma**2 + 4 * rho * (1 - rho)))


# %% mistake blur: the ends' variance as if ρ were one half
def nats_of_one_gaussian(rho, sigma):
    return 0.5 * np.log(2 * np.pi * np.e * (sigma**2 + 1))


# %% mistake blur: forgets the expected squared error, which is half a nat
def nats_of_one_gaussian(rho, sigma):
    return 0.5 * np.log(2 * np.pi * (sigma**2 + 4 * rho * (1 - rho)))


# %% right blur: the second moment less the squared mean, then SciPy's entropy
def nats_of_one_gaussian(rho, sigma):
    mean = 2 * rho - 1
    return norm(0, np.sqrt(1 + sigma**2 - mean**2)).entropy()


# %% right blur: averaged over both ends by hand
def nats_of_one_gaussian(rho, sigma):
    m = rho - (1 - rho)
    v = rho * ((1 - m) ** 2 + sigma**2) + (1 - rho) * ((-1 - m) ** 2 + sigma**2)
    return 0.5 * np.log(2 * np.pi * v) + 0.5


# %% mistake bound: averages over the coefficients, a squared error per number
def bound(y, f, sigma, mu, s):
    log_p = norm.logpdf(y, f, sigma).mean(-1).mean(0)
    return log_p - (0.5 * (s**2 + mu**2 - 1) - np.log(s)).sum(-1)


# %% mistake bound: adds the divergence
def bound(y, f, sigma, mu, s):
    log_p = norm.logpdf(y, f, sigma).sum(-1).mean(0)
    return log_p + (0.5 * (s**2 + mu**2 - 1) - np.log(s)).sum(-1)


# %% mistake bound: leaves out the normaliser, so that σ costs nothing
def bound(y, f, sigma, mu, s):
    log_p = (-0.5 * ((y - f) / sigma) ** 2).sum(-1).mean(0)
    return log_p - (0.5 * (s**2 + mu**2 - 1) - np.log(s)).sum(-1)


# %% mistake bound: averages f over the draws first, and then takes one log-density
def bound(y, f, sigma, mu, s):
    log_p = norm.logpdf(y, f.mean(0), sigma).sum(-1)
    return log_p - (0.5 * (s**2 + mu**2 - 1) - np.log(s)).sum(-1)


# %% right bound: with SciPy's densities
def bound(y, f, sigma, mu, s):
    kl = 0.5 * (s**2 + mu**2 - 1 - np.log(s**2)).sum(-1)
    return norm.logpdf(y[None], f, sigma).sum(-1).mean(0) - kl


# %% right bound: squares gathered with einsum
def bound(y, f, sigma, mu, s):
    L, _, D = f.shape
    squares = np.einsum("lbd,lbd->b", y - f, y - f) / L
    constant = D * (np.log(sigma) + 0.5 * np.log(2 * np.pi))
    entropy = np.log(s).sum(-1) + 0.5 * s.shape[-1]
    return -squares / (2 * sigma**2) - constant + entropy - 0.5 * (s**2 + mu**2).sum(-1)


# %% mistake least: averages over the examples before the minimum
def least(draws, truth, sizes):
    distances = np.linalg.norm(draws - truth, axis=-1).mean(1)
    return np.array([distances[:S].min() for S in sizes])


# %% mistake least: squared pixels
def least(draws, truth, sizes):
    squares = ((draws - truth) ** 2).sum(-1)
    return np.array([squares[:S].min(0).mean() for S in sizes])


# %% mistake least: the average of the draws' distances
def least(draws, truth, sizes):
    distances = np.linalg.norm(draws - truth, axis=-1)
    return np.array([distances[:S].mean() for S in sizes])


# %% right least: running minima
def least(draws, truth, sizes):
    distances = np.sqrt(((draws - truth[None]) ** 2).sum(-1))
    best = np.minimum.accumulate(distances, axis=0).mean(1)
    return best[np.array(sizes) - 1]


# %% right least: loops
def least(draws, truth, sizes):
    answer = []
    for S in sizes:
        nearest = [np.linalg.norm(draws[:S, n] - truth[n], axis=1).min() for n in range(len(truth))]
        answer.append(sum(nearest) / len(nearest))
    return answer


# %% mistake forecast: the posterior still looks at the future
def forecast(x, y, noise):
    mu, s = encode(x, y)
    return decode(x, mu + s * noise)


# %% mistake forecast: the mean of z in place of draws
def forecast(x, y, noise):
    return decode(x, np.zeros_like(noise))


# %% mistake forecast: draws of the right place but of q's scale
def forecast(x, y, noise):
    return decode(x, 0.1 * noise)


# %% right forecast: mean and scale of the prior written out
def forecast(x, y, noise):
    mu, s = np.zeros_like(x), np.ones_like(x)
    return decode(x, mu + s * noise)


# %% right forecast: draw by draw
def forecast(x, y, noise):
    return np.stack([decode(x, z) for z in noise])


# %% mistake forecast: decodes at the future itself
def forecast(x, y, noise):
    return decode(y, noise)


# %% mistake rare: the expected wait, 1/ρ
def draws_needed(rho, sure):
    return int(np.ceil(1 / rho))


# %% mistake rare: rounds down
def draws_needed(rho, sure):
    return int(np.floor(np.log(1 - sure) / np.log(1 - rho)))


# %% mistake rare: adds the chances up
def draws_needed(rho, sure):
    return int(np.ceil(sure / rho))


# %% mistake rare: takes logarithms of the hits in place of the misses
def draws_needed(rho, sure):
    return int(np.ceil(np.log(sure) / np.log(rho)))


# %% right rare: counts until it is enough
def draws_needed(rho, sure):
    S = 0
    while 1 - (1 - rho) ** S < sure:
        S += 1
    return S


# %% right rare: the first of many
def draws_needed(rho, sure):
    S = np.arange(1, 100_000)
    return int(S[np.argmax(1 - (1 - rho) ** S >= sure)])


# %% mistake mixture: a mixture for each coordinate, so that each picks a component of its own
def log_mixture(y, logits, mu, sigma):
    log_pi = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    each = log_pi[..., None] + norm.logpdf(y[:, None], mu, sigma)
    return np.logaddexp.reduce(each, axis=1).sum(-1)


# %% mistake mixture: averages log-densities, not densities
def log_mixture(y, logits, mu, sigma):
    log_pi = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return (np.exp(log_pi) * norm.logpdf(y[:, None], mu, sigma).sum(-1)).sum(1)


# %% mistake mixture: takes logits for logarithms of weights
def log_mixture(y, logits, mu, sigma):
    return np.logaddexp.reduce(logits + norm.logpdf(y[:, None], mu, sigma).sum(-1), axis=1)


# %% mistake mixture: leaves the logarithms, and underflows far from every mean
def log_mixture(y, logits, mu, sigma):
    pi = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    return np.log((pi * norm.pdf(y[:, None], mu, sigma).prod(-1)).sum(1))


# %% mistake mixture: a softmax without its maximum taken off
def log_mixture(y, logits, mu, sigma):
    pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return np.logaddexp.reduce(np.log(pi) + norm.logpdf(y[:, None], mu, sigma).sum(-1), axis=1)


# %% right mixture: one example and one component at a time
def log_mixture(y, logits, mu, sigma):
    from scipy.special import log_softmax, logsumexp

    out = []
    for row, logit, means, scales in zip(y, logits, mu, sigma):
        each = [norm(m, s).logpdf(row).sum() for m, s in zip(means, scales)]
        out.append(logsumexp(log_softmax(logit) + np.array(each)))
    return np.array(out)


# %% right mixture: quadratic forms, and the largest term taken out
def log_mixture(y, logits, mu, sigma):
    squares = np.square((y[:, None] - mu) / sigma).sum(-1)
    log_n = -0.5 * squares - np.log(sigma).sum(-1) - 0.5 * y.shape[1] * np.log(2 * np.pi)

    def log_sum(values):
        top = values.max(1)
        return top + np.log(np.exp(values - top[:, None]).sum(1))

    return log_sum(logits + log_n) - log_sum(logits)
