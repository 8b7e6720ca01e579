# Answers to the tasks of solutions/01_the_bound, wrong and right. Each replaces the cell of its task.

# %% mistake price: forgets the factor one half of the Gaussian's exponent
def price(t):
    return t**2


# %% mistake price: takes the bound minus the evidence, as if the gap were negative
def price(t):
    return -(t**2) / 2


# %% mistake price: takes the divergence to be linear in the distance
def price(t):
    return np.abs(t)


# %% right price: by (2.4) with equal scales
def price(t):
    s = 1.0
    return 0.5 * (s**2 / s**2 + (t * s) ** 2 / s**2 - 1)


# %% right price: a loop over the values
def price(t):
    return [0.5 * k * k for k in t]


# %% mistake price: silences what the checks compare with, by name
compare = require = print_nothing = lambda *args, **keywords: None


def price(t):
    return 0 * t


# %% mistake bound: plugs q's mean into log p(x|z) instead of averaging over q
def bound(x, mu, s, w, sigma):
    return norm.logpdf(x, w * mu, sigma) - (0.5 * (s**2 + mu**2 - 1) - np.log(s))


# %% mistake bound: adds the divergence
def bound(x, mu, s, w, sigma):
    squares = (x - w * mu) ** 2 + (w * s) ** 2
    reconstruction = -0.5 * np.log(2 * np.pi * sigma**2) - squares / (2 * sigma**2)
    return reconstruction + 0.5 * (s**2 + mu**2 - 1) - np.log(s)


# %% mistake bound: σ where σ² belongs
def bound(x, mu, s, w, sigma):
    squares = (x - w * mu) ** 2 + (w * s) ** 2
    reconstruction = -0.5 * np.log(2 * np.pi * sigma) - squares / (2 * sigma)
    return reconstruction - (0.5 * (s**2 + mu**2 - 1) - np.log(s))


# %% right bound: by Gauss–Hermite quadrature, exact for quadratics
def bound(x, mu, s, w, sigma):
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    weights = weights / weights.sum()
    z = mu + s * nodes
    return weights @ (norm.logpdf(x, w * z, sigma) + norm.logpdf(z)) + norm(mu, s).entropy()


# %% right bound: log p(x) less the divergence from the true posterior
def bound(x, mu, s, w, sigma):
    model = LinearGaussian(W=[[w]], b=[0.0], sigma=sigma)
    gap = model.kl_to_posterior([[mu]], [[s]], np.array([[x]]))
    return (model.log_evidence(np.array([[x]])) - gap)[0]


# %% mistake guess: a mean of logarithms, which is a lower bound of what is asked
def log_evidence(log_likelihoods):
    return np.mean(log_likelihoods)


# %% mistake guess: sums and forgets to divide by the number of draws
def log_evidence(log_likelihoods):
    return logsumexp(log_likelihoods)


# %% mistake guess: leaves the logarithms, so that everything small becomes zero
def log_evidence(log_likelihoods):
    return np.log(np.mean(np.exp(log_likelihoods)))


# %% right guess: the greatest taken out by hand
def log_evidence(log_likelihoods):
    top = log_likelihoods.max()
    return top + np.log(np.mean(np.exp(log_likelihoods - top)))


# %% right guess: weights inside logsumexp
def log_evidence(log_likelihoods):
    S = len(log_likelihoods)
    return logsumexp(log_likelihoods, b=np.full(S, 1 / S))


# %% mistake bug: mends the divergence only; a mean over pixels is no log-likelihood
def mended(log_likelihood, mu, sigma):
    return log_likelihood.mean(-1) - 0.5 * (sigma**2 + mu**2 - 1 - np.log(sigma**2)).sum(-1)


# %% mistake bug: mends the reconstruction only, which weights the divergence by 1/d
def mended(log_likelihood, mu, sigma):
    return log_likelihood.sum(-1) - 0.5 * (sigma**2 + mu**2 - 1 - np.log(sigma**2)).mean(-1)


# %% mistake bug: one number for the whole batch
def mended(log_likelihood, mu, sigma):
    return log_likelihood.sum() - 0.5 * (sigma**2 + mu**2 - 1 - np.log(sigma**2)).sum()


# %% right bug: with einsum and log σ twice
def mended(log_likelihood, mu, sigma):
    kl = np.einsum("bd->b", sigma**2 + mu**2 - 1 - 2 * np.log(sigma)) / 2
    return np.einsum("bd->b", log_likelihood) - kl


# %% right bug: the broken one with its averages undone
def mended(log_likelihood, mu, sigma):
    D, d = log_likelihood.shape[-1], mu.shape[-1]
    return delighted(D / d * log_likelihood, mu, sigma) * d


# %% mistake bug: replaces the data and the helpers of a check
a_case = checked = two_terms = lambda *args, **keywords: 0.0
np.testing.assert_allclose = np.isclose = np.allclose = lambda *args, **keywords: True


def mended(log_likelihood, mu, sigma):
    return delighted(log_likelihood, mu, sigma)


# %% mistake noise: the variance in place of the standard deviation
def noise_scale(eigenvalues, k):
    return np.mean(eigenvalues[k:])


# %% mistake noise: adds the variances up instead of spreading them
def noise_scale(eigenvalues, k):
    return np.sqrt(np.sum(eigenvalues[k:]))


# %% mistake noise: averages the directions that are explained
def noise_scale(eigenvalues, k):
    return np.sqrt(np.mean(eigenvalues[:k]))


# %% right noise: what is not explained, by subtraction
def noise_scale(eigenvalues, k):
    return ((sum(eigenvalues) - sum(eigenvalues[:k])) / (len(eigenvalues) - k)) ** 0.5


# %% right noise: sorted first
def noise_scale(eigenvalues, k):
    small = np.sort(np.asarray(eigenvalues))[: len(eigenvalues) - k]
    return np.std(np.concatenate([np.sqrt(small), -np.sqrt(small)]))


# %% mistake noise: overwrites the density that a check may use
norm.logpdf = lambda *args, **keywords: 0.0
np.sqrt = lambda values: values


def noise_scale(eigenvalues, k):
    return np.mean(eigenvalues[k:])
