# ruff: noqa: F811, F821
# Answers to the tasks of solutions/04_cvae_2, wrong and right. Each replaces the cell of its task.

# %% mistake causes: holds causes to be independent for good, seen or not
def predictions():
    return {"wet lawn": "same", "dry lawn": "same", "light on the stairs": "same"}


def beliefs(p_z, p_y, table, x):
    likelihood = table if x == 1 else 1 - table
    given_z = likelihood @ np.array([1 - p_y, p_y])  # p(x | z)
    after = p_z * given_z[1] / ((1 - p_z) * given_z[0] + p_z * given_z[1])
    return np.array([p_z, after, after])


# %% mistake causes: believes that a second cause always explains the first away
def predictions():
    return {"wet lawn": "less", "dry lawn": "less", "light on the stairs": "less"}


def beliefs(p_z, p_y, table, x):
    joint = np.outer([1 - p_z, p_z], [1 - p_y, p_y]) * (table if x == 1 else 1 - table)
    seen = joint / joint.sum()
    return np.array([p_z, seen[1].sum(), seen[1, 1] / seen[:, 1].sum()])


# %% mistake causes: p(x|z) where p(z|x) is asked for
def predictions():
    return {"wet lawn": "less", "dry lawn": "same", "light on the stairs": "more"}


def beliefs(p_z, p_y, table, x):
    likelihood = table if x == 1 else 1 - table
    return np.array([p_z, likelihood[1] @ np.array([1 - p_y, p_y]), likelihood[1, 1]])


# %% mistake causes: a joint probability for a conditional one, not divided by the evidence
def predictions():
    return {"wet lawn": "less", "dry lawn": "same", "light on the stairs": "more"}


def beliefs(p_z, p_y, table, x):
    joint = np.outer([1 - p_z, p_z], [1 - p_y, p_y]) * (table if x == 1 else 1 - table)
    return np.array([p_z, joint[1].sum(), joint[1, 1]])


# %% mistake causes: reads the table as if x = 1 had been seen
def predictions():
    return {"wet lawn": "less", "dry lawn": "same", "light on the stairs": "more"}


def beliefs(p_z, p_y, table, x):
    joint = np.outer([1 - p_z, p_z], [1 - p_y, p_y]) * table
    return np.array([p_z, joint[1].sum() / joint.sum(), joint[1, 1] / joint[:, 1].sum()])


# %% right causes: Bayes' rule twice, the last time with y known
def predictions():
    return {"light on the stairs": "more", "dry lawn": "same", "wet lawn": "less"}


def beliefs(p_z, p_y, table, x):
    def posterior(one, zero):
        return p_z * one / (p_z * one + (1 - p_z) * zero)

    likelihood = np.where(x, table, 1 - np.asarray(table))
    one, zero = ((1 - p_y) * likelihood[z, 0] + p_y * likelihood[z, 1] for z in (1, 0))
    return [p_z, posterior(one, zero), posterior(likelihood[1, 1], likelihood[0, 1])]


# %% right causes: a loop over the four states
def predictions():
    return dict(zip(cases, ("less", "same", "more"), strict=True))


def beliefs(p_z, p_y, table, x):
    weight = {}
    for z in (0, 1):
        for y in (0, 1):
            p_x = table[z, y] if x else 1 - table[z, y]
            weight[z, y] = (p_z if z else 1 - p_z) * (p_y if y else 1 - p_y) * p_x
    given_x = (weight[1, 0] + weight[1, 1]) / sum(weight.values())
    return np.array([p_z, given_x, weight[1, 1] / (weight[0, 1] + weight[1, 1])])


# %% mistake causes: replaces the tables that the check asks about
lawn = stairs = np.full((2, 2), 0.5)
cases = {}


def predictions():
    return {"wet lawn": "same", "dry lawn": "same", "light on the stairs": "same"}


def beliefs(p_z, p_y, table, x):
    return np.array([p_z, p_z, p_z])


# %% mistake blind: takes p(z|x), the average of the posteriors, for the best blind q
def best_blind(p_z, p_y, log_likelihood):
    joint = np.log(p_y)[:, None] + np.log(p_z) + log_likelihood
    q = softmax(logsumexp(joint, axis=0))
    log_posterior = joint - logsumexp(joint, axis=1)[:, None]
    weights = softmax(logsumexp(joint, axis=1))
    return q, weights @ (q * (np.log(q) - log_posterior)).sum(1)


# %% mistake blind: weighs the labels by p(y), as if x had not been seen
def best_blind(p_z, p_y, log_likelihood):
    log_p_xz = np.log(p_z) + log_likelihood
    average = p_y @ (log_p_xz - logsumexp(log_p_xz, axis=1)[:, None])
    return softmax(average), -logsumexp(average)


# %% mistake blind: all labels alike
def best_blind(p_z, p_y, log_likelihood):
    log_p_xz = np.log(p_z) + log_likelihood
    average = (log_p_xz - logsumexp(log_p_xz, axis=1)[:, None]).mean(0)
    return softmax(average), -logsumexp(average)


# %% mistake blind: forgets the prior in Bayes' rule
def best_blind(p_z, p_y, log_likelihood):
    log_p_x = logsumexp(np.log(p_z) + log_likelihood, axis=1)
    log_posterior = log_likelihood - logsumexp(log_likelihood, axis=1)[:, None]
    average = softmax(np.log(p_y) + log_p_x) @ log_posterior
    return softmax(average), -logsumexp(average)


# %% mistake blind: a divergence below zero, the sign of the normaliser lost
def best_blind(p_z, p_y, log_likelihood):
    log_p_xz = np.log(p_z) + log_likelihood
    log_p_x = logsumexp(log_p_xz, axis=1)
    average = softmax(np.log(p_y) + log_p_x) @ (log_p_xz - log_p_x[:, None])
    return softmax(average), logsumexp(average)


# %% mistake blind: leaves the logarithms, and −2,000 nats become zero
def best_blind(p_z, p_y, log_likelihood):
    joint = p_z * np.exp(log_likelihood)
    with np.errstate(all="ignore"):
        posterior = joint / joint.sum(1, keepdims=True)
        weights = p_y * joint.sum(1) / (p_y @ joint.sum(1))
        product = np.prod(posterior ** weights[:, None], axis=0)
        return product / product.sum(), -np.log(product.sum())


# %% right blind: the cost from its definition
def best_blind(p_z, p_y, log_likelihood):
    joint = np.log(p_y)[:, None] + np.log(p_z) + log_likelihood
    log_posterior = np.stack([row - logsumexp(row) for row in joint])
    weights = softmax(logsumexp(joint, axis=1))
    q = softmax(sum(w * row for w, row in zip(weights, log_posterior, strict=True)))
    divergences = [np.sum(q * (np.log(q) - row)) for row in log_posterior]
    return q, np.dot(weights, divergences)


# %% right blind: a weighted product of the posteriors, the greatest likelihood taken out first
def best_blind(p_z, p_y, log_likelihood):
    joint = p_y[:, None] * p_z * np.exp(log_likelihood - log_likelihood.max())
    weights = joint.sum(1) / joint.sum()
    product = np.prod((joint / joint.sum(1, keepdims=True)) ** weights[:, None], axis=0)
    return product / product.sum(), -np.log(product.sum())


# %% mistake absorb: leaves the posterior where it was
def absorbed_decoder(m, T, decode):
    return lambda y, u: decode(y, y @ m + np.einsum("nk,kij,nj->ni", y, T, u))


def absorbed_posterior(m, T, y, mu, sigma):
    return mu, np.stack([np.diag(s**2) for s in sigma])


# %% mistake absorb: keeps the old decoder, which takes u for z
def absorbed_decoder(m, T, decode):
    return decode


def absorbed_posterior(m, T, y, mu, sigma):
    k = y.argmax(1)
    inverse = np.linalg.inv(T)[k]
    mean = np.einsum("nij,nj->ni", inverse, mu - m[k])
    return mean, np.einsum("nij,nj,nlj->nil", inverse, sigma**2, inverse)


# %% mistake absorb: uses the diagonal of T only, the lesson's formula
def absorbed_decoder(m, T, decode):
    s = np.diagonal(T, axis1=1, axis2=2)
    return lambda y, u: decode(y, y @ m + (y @ s) * u)


def absorbed_posterior(m, T, y, mu, sigma):
    s = y @ np.diagonal(T, axis1=1, axis2=2)
    return (mu - y @ m) / s, np.stack([np.diag(v**2) for v in sigma / s])


# %% mistake absorb: standard deviations where variances belong
def absorbed_decoder(m, T, decode):
    return lambda y, u: decode(y, y @ m + np.einsum("nk,kij,nj->ni", y, T, u))


def absorbed_posterior(m, T, y, mu, sigma):
    inverse = np.linalg.inv(T)[y.argmax(1)]
    mean = np.einsum("nij,nj->ni", inverse, mu - y @ m)
    return mean, np.einsum("nij,nj,nlj->nil", inverse, sigma, inverse)


# %% mistake absorb: reports a diagonal covariance, although u's axes are tilted
def absorbed_decoder(m, T, decode):
    return lambda y, u: decode(y, y @ m + np.einsum("nk,kij,nj->ni", y, T, u))


def absorbed_posterior(m, T, y, mu, sigma):
    inverse = np.linalg.inv(T)[y.argmax(1)]
    mean = np.einsum("nij,nj->ni", inverse, mu - y @ m)
    return mean, np.stack([np.diag((A**2) @ s**2) for A, s in zip(inverse, sigma, strict=True)])


# %% mistake absorb: forgets to take off the prior's mean
def absorbed_decoder(m, T, decode):
    return lambda y, u: decode(y, np.einsum("nk,kij,nj->ni", y, T, u))


def absorbed_posterior(m, T, y, mu, sigma):
    inverse = np.linalg.inv(T)[y.argmax(1)]
    covariance = np.einsum("nij,nj,nlj->nil", inverse, sigma**2, inverse)
    return np.einsum("nij,nj->ni", inverse, mu), covariance


# %% right absorb: image by image, with solve in the place of the inverse
def absorbed_decoder(m, T, decode):
    def decode_u(y, u):
        z = [m[k] + T[k] @ v for k, v in zip(y.argmax(1), u, strict=True)]
        return decode(y, np.array(z))

    return decode_u


def absorbed_posterior(m, T, y, mu, sigma):
    means, covariances = [], []
    for k, centre, s in zip(y.argmax(1), mu, sigma, strict=True):
        means.append(np.linalg.solve(T[k], centre - m[k]))
        half = np.linalg.solve(T[k], np.diag(s**2))
        covariances.append(np.linalg.solve(T[k], half.T))
    return np.array(means), np.array(covariances)


# %% right absorb: from the precision matrix
def absorbed_decoder(m, T, decode):
    return lambda y, u: decode(y, m[y.argmax(1)] + (T[y.argmax(1)] @ u[..., None])[..., 0])


def absorbed_posterior(m, T, y, mu, sigma):
    own = T[y.argmax(1)]
    precision = np.einsum("nji,nj,njl->nil", own, sigma**-2, own)
    mean = np.linalg.solve(own, (mu - y @ m)[..., None])[..., 0]
    return mean, np.linalg.inv(precision)


# %% mistake ceiling: keeps all k latents alive, even with less variance than the noise alone
def ceiling(x, labels, k, sigma):
    residuals = x - np.stack([x[labels == label].mean(0) for label in labels])
    eigenvalues = np.linalg.eigvalsh(residuals.T @ residuals / len(x))[::-1]
    model = np.append(eigenvalues[:k], np.full(len(eigenvalues) - k, sigma**2))
    return -0.5 * np.sum(np.log(2 * np.pi * model) + eigenvalues / model), k


# %% mistake ceiling: takes off one mean for all, the VAE's ceiling
def ceiling(x, labels, k, sigma):
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    model = np.full_like(eigenvalues, sigma**2)
    model[:k] = np.maximum(eigenvalues[:k], sigma**2)
    nats = -0.5 * np.sum(np.log(2 * np.pi * model) + eigenvalues / model)
    return nats, np.sum(model > sigma**2)


# %% mistake ceiling: learns σ, where it is given
def ceiling(x, labels, k, sigma):
    residuals = x - np.stack([x[labels == label].mean(0) for label in labels])
    eigenvalues = np.linalg.eigvalsh(residuals.T @ residuals / len(x))[::-1]
    model = np.append(eigenvalues[:k], np.full(len(eigenvalues) - k, eigenvalues[k:].mean()))
    return -0.5 * np.sum(np.log(2 * np.pi * model) + 1), np.sum(eigenvalues[:k] > sigma**2)


# %% mistake ceiling: adds the noise to the data's variance in the kept directions
def ceiling(x, labels, k, sigma):
    residuals = x - np.stack([x[labels == label].mean(0) for label in labels])
    eigenvalues = np.linalg.eigvalsh(residuals.T @ residuals / len(x))[::-1]
    model = np.full_like(eigenvalues, sigma**2)
    model[:k] += eigenvalues[:k]
    nats = -0.5 * np.sum(np.log(2 * np.pi * model) + eigenvalues / model)
    return nats, np.sum(eigenvalues[:k] > sigma**2)


# %% mistake ceiling: compares λ with σ instead of σ²
def ceiling(x, labels, k, sigma):
    residuals = x - np.stack([x[labels == label].mean(0) for label in labels])
    eigenvalues = np.linalg.eigvalsh(residuals.T @ residuals / len(x))[::-1]
    model = np.full_like(eigenvalues, sigma)
    model[:k] = np.maximum(eigenvalues[:k], sigma)
    nats = -0.5 * np.sum(np.log(2 * np.pi * model) + eigenvalues / model)
    return nats, np.sum(model > sigma)


# %% mistake ceiling: counts every direction above the noise, though there are only k latents
def ceiling(x, labels, k, sigma):
    residuals = x - np.stack([x[labels == label].mean(0) for label in labels])
    eigenvalues = np.linalg.eigvalsh(residuals.T @ residuals / len(x))[::-1]
    model = np.maximum(eigenvalues, sigma**2)
    nats = -0.5 * np.sum(np.log(2 * np.pi * model) + eigenvalues / model)
    return nats, np.sum(eigenvalues > sigma**2)


# %% right ceiling: builds the best model and asks it
def ceiling(x, labels, k, sigma):
    kinds, place = np.unique(labels, return_inverse=True)
    y = np.eye(len(kinds))[place]
    V = np.stack([x[place == j].mean(0) for j in range(len(kinds))], axis=1)
    residuals = x - y @ V.T
    values, vectors = np.linalg.eigh(residuals.T @ residuals / len(x))
    length = np.sqrt(np.clip(values[-k:] - sigma**2, 0, None))
    model = LinearGaussian(vectors[:, -k:] * length, np.zeros(x.shape[1]), sigma, V=V)
    return model.log_evidence(x, y).mean(), np.count_nonzero(length)


# %% right ceiling: by singular values, direction by direction
def ceiling(x, labels, k, sigma):
    rest = np.concatenate([x[labels == j] - x[labels == j].mean(0) for j in set(labels.tolist())])
    nats, alive = 0.0, 0
    for j, variance in enumerate(np.linalg.svd(rest, compute_uv=False) ** 2 / len(rest)):
        lives = j < k and variance > sigma**2
        alive += lives
        model = variance if lives else sigma**2
        nats -= (np.log(2 * np.pi) + np.log(model) + variance / model) / 2
    return nats, alive


# %% mistake pools: reads a difference in the means' pools as a dependence of z on the label
def spread_differs():
    return {"means": True, "draws": True}


def pools(w, sigma, c):
    C = 1 / (1 + (w**2).sum(1) / sigma**2)
    return 1 - C, 1 - C + c**2 * C


# %% mistake pools: expects independence of the means as well
def spread_differs():
    return {"means": False, "draws": False}


def pools(w, sigma, c):
    return np.ones(len(w)), np.ones(len(w))


# %% mistake pools: takes q's own variance for that of its means
def spread_differs():
    return {"means": True, "draws": False}


def pools(w, sigma, c):
    C = 1 / (1 + (w**2).sum(1) / sigma**2)
    return C, 1 - C + c**2 * C


# %% mistake pools: c on the variance where it belongs on the standard deviation
def spread_differs():
    return {"means": True, "draws": False}


def pools(w, sigma, c):
    C = 1 / (1 + (w**2).sum(1) / sigma**2)
    return 1 - C, 1 - C + c * C


# %% mistake pools: forgets that x has noise, which the means take in
def spread_differs():
    return {"means": True, "draws": False}


def pools(w, sigma, c):
    C = 1 / (1 + (w**2).sum(1) / sigma**2)
    return (1 - C) ** 2, (1 - C) ** 2 + c**2 * C


# %% mistake pools: σ where σ² belongs
def spread_differs():
    return {"means": True, "draws": False}


def pools(w, sigma, c):
    C = 1 / (1 + (w**2).sum(1) / sigma)
    return 1 - C, 1 - C + c**2 * C


# %% right pools: through the posterior mean's gain on x
def spread_differs():
    return {"draws": False, "means": True}


def pools(w, sigma, c):
    means, draws = [], []
    for pattern in w:
        size = pattern @ pattern
        gain = 1 / (size + sigma**2)  # the mean is gain · wᵀx
        means.append(gain**2 * (size**2 + size * sigma**2))
        draws.append(means[-1] + c**2 * sigma**2 * gain)
    return np.array(means), np.array(draws)


# %% right pools: signal over signal and noise
def spread_differs():
    return dict(means=True, draws=False)


def pools(w, sigma, c):
    size = np.einsum("kd,kd->k", w, w)
    share = size / (size + sigma**2)
    return share, share + c**2 * (1 - share)


# %% mistake writer: mends the label only, and counts the prior once for every image
def mended(model, x, y, y_new):
    means, _ = model.posterior(x, y)
    return model.W @ means.mean(0) + model.V @ y_new + model.b


# %% mistake writer: mends the pooling only, and encodes with the label that is wanted
def mended(model, x, y, y_new):
    means, C = model.posterior(x, np.tile(y_new, (len(x), 1)))
    precision = np.linalg.inv(C)
    together = len(x) * precision - (len(x) - 1) * np.eye(len(C))
    hand = np.linalg.solve(together, precision @ means.sum(0))
    return model.W @ hand + model.V @ y_new + model.b


# %% mistake writer: least squares for the posterior, no prior at all
def mended(model, x, y, y_new):
    rest = (x - y @ model.V.T - model.b).mean(0)
    return model.W @ np.linalg.lstsq(model.W, rest, rcond=None)[0] + model.V @ y_new + model.b


# %% mistake writer: adds the posteriors' means up
def mended(model, x, y, y_new):
    means, _ = model.posterior(x, y)
    return model.W @ means.sum(0) + model.V @ y_new + model.b


# %% mistake writer: σ where σ² belongs
def mended(model, x, y, y_new):
    rest = (x - y @ model.V.T - model.b).sum(0)
    precision = np.eye(model.W.shape[1]) + len(x) * model.W.T @ model.W / model.sigma
    hand = np.linalg.solve(precision, model.W.T @ rest / model.sigma)
    return model.W @ hand + model.V @ y_new + model.b


# %% right writer: one tall image with n times the pixels
def mended(model, x, y, y_new):
    offset = np.concatenate([model.V @ label + model.b for label in y])
    tall = LinearGaussian(np.concatenate([model.W] * len(x)), offset, model.sigma)
    ((hand,), _) = tall.posterior(x.reshape(1, -1))
    return model.W @ hand + model.V @ y_new + model.b


# %% right writer: multiplies the n posteriors and takes the prior out n − 1 times
def mended(model, x, y, y_new):
    means, C = model.posterior(x, y)
    precision = np.linalg.inv(C)
    together = len(x) * precision - (len(x) - 1) * np.eye(len(C))
    hand = np.linalg.solve(together, precision @ means.sum(0))
    return model.W @ hand + model.V @ y_new + model.b


# %% right writer: the average of n images is one image with σ²/n
def mended(model, x, y, y_new):
    clear = LinearGaussian(model.W, model.b, model.sigma / len(x) ** 0.5)
    hand = clear.posterior((x - y @ model.V.T).mean(0, keepdims=True))[0][0]
    return model.W @ hand + model.V @ y_new + model.b
