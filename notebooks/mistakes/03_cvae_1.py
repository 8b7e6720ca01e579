# ruff: noqa: F811, F821
# Answers to the tasks of solutions/03_cvae_1, wrong and right. Each replaces the cell of its task.

# %% mistake draw: gives every label the prior N(0, I) of a VAE
def sgvb_a(mu, sigma, y, m, s, log_likelihood, epsilon):
    z = mu + sigma * epsilon
    return log_likelihood(z) + (norm.logpdf(z) - norm.logpdf(z, mu, sigma)).sum(-1)


# %% mistake draw: the prior's variance where its standard deviation belongs
def sgvb_a(mu, sigma, y, m, s, log_likelihood, epsilon):
    z = mu + sigma * epsilon
    log_prior = norm.logpdf(z, y @ m, (y @ s) ** 2).sum(-1)
    return log_likelihood(z) + log_prior - norm.logpdf(z, mu, sigma).sum(-1)


# %% mistake draw: averages log p(x, z|y) and forgets log q
def sgvb_a(mu, sigma, y, m, s, log_likelihood, epsilon):
    z = mu + sigma * epsilon
    return log_likelihood(z) + norm.logpdf(z, y @ m, y @ s).sum(-1)


# %% mistake draw: evaluates the prior at q's mean, plug-in for Monte Carlo
def sgvb_a(mu, sigma, y, m, s, log_likelihood, epsilon):
    z = mu + sigma * epsilon
    log_prior = norm.logpdf(mu, y @ m, y @ s).sum(-1)
    return log_likelihood(z) + log_prior - norm.logpdf(z, mu, sigma).sum(-1)


# %% mistake draw: estimator B, right on average and noisy at the true posterior
def sgvb_a(mu, sigma, y, m, s, log_likelihood, epsilon):
    centre, scale = y @ m, y @ s
    kl = sigma**2 / scale**2 + ((mu - centre) / scale) ** 2 - 1 - 2 * np.log(sigma / scale)
    return log_likelihood(mu + sigma * epsilon) - 0.5 * kl.sum(-1)


# %% mistake draw: draws z from the label's prior, where q belongs
def sgvb_a(mu, sigma, y, m, s, log_likelihood, epsilon):
    z = y @ m + (y @ s) * epsilon
    log_prior = norm.logpdf(z, y @ m, y @ s).sum(-1)
    return log_likelihood(z) + log_prior - norm.logpdf(z, mu, sigma).sum(-1)


# %% mistake draw: returns the loss, log q − log p
def sgvb_a(mu, sigma, y, m, s, log_likelihood, epsilon):
    z = mu + sigma * epsilon
    log_prior = norm.logpdf(z, y @ m, y @ s).sum(-1)
    return norm.logpdf(z, mu, sigma).sum(-1) - log_likelihood(z) - log_prior


# %% right draw: rows picked by the label's number, log q from the noise
def sgvb_a(mu, sigma, y, m, s, log_likelihood, epsilon):
    k = np.argmax(y, axis=1)
    z = mu + sigma * epsilon
    log_q = norm.logpdf(epsilon) - np.log(sigma)
    return log_likelihood(z) + np.sum(norm.logpdf((z - m[k]) / s[k]) - np.log(s[k]) - log_q, -1)


# %% right draw: the Gaussians written out, their constants cancelled
def sgvb_a(mu, sigma, y, m, s, log_likelihood, epsilon):
    z = mu + sigma * epsilon
    scale = y @ s
    terms = 0.5 * epsilon**2 - 0.5 * ((z - y @ m) / scale) ** 2 + np.log(sigma / scale)
    return terms.sum(axis=1) + log_likelihood(z)


# %% mistake draw: takes the noise for the draw
def sgvb_a(mu, sigma, y, m, s, log_likelihood, epsilon):
    log_prior = norm.logpdf(epsilon, y @ m, y @ s).sum(-1)
    return log_likelihood(epsilon) + log_prior - norm.logpdf(epsilon, mu, sigma).sum(-1)


# %% mistake ruler: expects no number to change, because the model says the same
def rises(c, D):
    return dict.fromkeys(("log p", "bound", "to prior", "to posterior", "article"), 0.0)


# %% mistake ruler: the sign of a change of variables: divides the density by the wrong volume
def rises(c, D):
    up = D * np.log(c)
    return {"log p": up, "bound": up, "to prior": 0, "to posterior": 0, "article": -up}


# %% mistake ruler: forgets that x has D numbers
def rises(c, D):
    up = np.log(c)
    return {"log p": -up, "bound": -up, "to prior": 0, "to posterior": 0, "article": up}


# %% mistake ruler: takes the article's expectation for a divergence, which knows no units
def rises(c, D):
    down = -D * np.log(c)
    return {"log p": down, "bound": down, "to prior": 0, "to posterior": 0, "article": 0}


# %% mistake ruler: lets the divergence to the true posterior pay, because x stands behind its bar
def rises(c, D):
    up = D * np.log(c)
    return {"log p": -up, "bound": -2 * up, "to prior": 0, "to posterior": up, "article": 2 * up}


# %% mistake ruler: squares the factor, as for a variance
def rises(c, D):
    up = 2 * D * np.log(c)
    return {"log p": -up, "bound": -up, "to prior": 0, "to posterior": 0, "article": up}


# %% right ruler: from the peak of a Gaussian whose scale is c
def rises(c, D):
    peak = D * (norm.logpdf(0, 0, c) - norm.logpdf(0, 0, 1))
    answer = dict.fromkeys(("log p", "bound"), peak)
    return answer | {"to prior": 0, "to posterior": 0, "article": -peak}


# %% right ruler: one logarithm of the volume
def rises(c, D):
    log_volume = -np.log(float(c) ** D)
    names = "log p", "bound", "to prior", "to posterior", "article"
    return dict(zip(names, log_volume * np.array([1, 1, 0, 0, -1]), strict=True))


# %% mistake table: takes the spread of q's means only, and forgets that each q has a width
def best_table(mu, sigma, labels, K):
    groups = [mu[labels == k] for k in range(K)]
    return np.array([g.mean(0) for g in groups]), np.array([g.std(0) for g in groups])


# %% mistake table: averages the widths, as if all q's of a label lay in one place
def best_table(mu, sigma, labels, K):
    own = [labels == k for k in range(K)]
    return np.array([mu[i].mean(0) for i in own]), np.array([sigma[i].mean(0) for i in own])


# %% mistake table: the variance where the standard deviation belongs
def best_table(mu, sigma, labels, K):
    own = [labels == k for k in range(K)]
    m = np.array([mu[i].mean(0) for i in own])
    return m, np.array([(sigma[i] ** 2).mean(0) + mu[i].var(0) for i in own])


# %% mistake table: one prior for all labels, which ignores y
def best_table(mu, sigma, labels, K):
    m, s = mu.mean(0), np.sqrt((sigma**2).mean(0) + mu.var(0))
    return np.tile(m, (K, 1)), np.tile(s, (K, 1))


# %% mistake table: adds the mean width and the spread as standard deviations
def best_table(mu, sigma, labels, K):
    own = [labels == k for k in range(K)]
    m = np.array([mu[i].mean(0) for i in own])
    return m, np.array([sigma[i].mean(0) + mu[i].std(0) for i in own])


# %% mistake table: weights each mean by its precision, as when measurements are pooled
def best_table(mu, sigma, labels, K):
    m, s = [], []
    for k in range(K):
        own, w = mu[labels == k], sigma[labels == k] ** -2
        m.append((w * own).sum(0) / w.sum(0))
        s.append(np.sqrt((1 / w + (own - m[-1]) ** 2).mean(0)))
    return np.array(m), np.array(s)


# %% right table: second moments, by matrices
def best_table(mu, sigma, labels, K):
    average = np.eye(K)[labels].T
    average = average / average.sum(1, keepdims=True)
    m = average @ mu
    return m, np.sqrt(average @ (mu**2 + sigma**2) - m**2)


# %% right table: the variance of the mixture, label by label
def best_table(mu, sigma, labels, K):
    m, s = np.zeros((K, mu.shape[1])), np.zeros((K, mu.shape[1]))
    for k in range(K):
        i = np.flatnonzero(labels == k)
        m[k] = np.average(mu[i], axis=0)
        s[k] = np.sqrt(np.var(mu[i], axis=0) + np.square(sigma[i]).mean(axis=0))
    return m, s


# %% mistake move: moves the prior and lets the likelihood take z' for z
def move(model, T, c):
    A = np.diag(c) @ model.A + T
    return LinearGaussian(model.W, model.b, model.sigma, model.V, A, c * model.a, c**2 * model.S)


# %% mistake move: undoes the stretch in W, but not the label's place in V
def move(model, T, c):
    A = np.diag(c) @ model.A + T
    return LinearGaussian(
        model.W / c, model.b, model.sigma, model.V, A, c * model.a, c**2 * model.S
    )


# %% mistake move: adds the label's place in the likelihood, where it must be taken off
def move(model, T, c):
    W, A = model.W / c, np.diag(c) @ model.A + T
    V = model.V + W @ T
    return LinearGaussian(W, model.b, model.sigma, V, A, c * model.a, c**2 * model.S)


# %% mistake move: stretches variances by c, σ for σ²
def move(model, T, c):
    W, A = model.W / c, np.diag(c) @ model.A + T
    V = model.V - W @ T
    return LinearGaussian(W, model.b, model.sigma, V, A, c * model.a, c * model.S)


# %% mistake move: takes T y off in units of z, with the old W
def move(model, T, c):
    W, A = model.W / c, np.diag(c) @ model.A + T
    V = model.V - model.W @ T
    return LinearGaussian(W, model.b, model.sigma, V, A, c * model.a, c**2 * model.S)


# %% mistake move: moves first and stretches afterwards
def move(model, T, c):
    W, A = model.W / c, np.diag(c) @ (model.A + T)
    V = model.V - model.W @ T
    return LinearGaussian(W, model.b, model.sigma, V, A, c * model.a, c**2 * model.S)


# %% mistake move: multiplies W by c once more
def move(model, T, c):
    W, A = model.W * c, np.diag(c) @ model.A + T
    V = model.V - W @ T
    return LinearGaussian(W, model.b, model.sigma, V, A, c * model.a, c**2 * model.S)


# %% right move: with diagonal matrices
def move(model, T, c):
    stretch, undo = np.diag(c), np.diag(1 / c)
    return LinearGaussian(
        W=model.W @ undo,
        b=model.b,
        sigma=model.sigma,
        V=model.V - model.W @ undo @ T,
        A=stretch @ model.A + T,
        a=stretch @ model.a,
        S=np.diag(stretch @ np.diag(model.S) @ stretch),
    )


# %% right move: column by column, as the old model answers to z = (z' − Ty) / c
def move(model, T, c):
    d, K = T.shape

    def mean_of_x(y, moved):
        return model.W @ ((moved - T @ y) / c) + model.V @ y

    W = np.stack([mean_of_x(np.zeros(K), e) for e in np.eye(d)], axis=1)
    V = np.stack([mean_of_x(e, np.zeros(d)) for e in np.eye(K)], axis=1)
    A = (model.A.T * c).T + T
    return LinearGaussian(W, model.b, model.sigma, V, A, c * model.a, (c * np.sqrt(model.S)) ** 2)


# %% mistake worth: takes rare labels for as frequent as the others, log K for the limit
def worth(table, labels, p):
    own = table[np.arange(len(labels)), labels]
    return own - logsumexp(table, axis=1) + np.log(len(p))


def ceilings(p):
    return np.full(len(p), np.log(len(p))), np.log(len(p))


# %% mistake worth: averages log p(x|y), where probabilities are averaged
def worth(table, labels, p):
    return table[np.arange(len(labels)), labels] - table @ p


def ceilings(p):
    return -np.log(p), -np.sum(p * np.log(p))


# %% mistake worth: log p(y|x) for log p(x|y) − log p(x)
def worth(table, labels, p):
    joint = table + np.log(p)
    return joint[np.arange(len(labels)), labels] - logsumexp(joint, axis=1)


def ceilings(p):
    return -np.log(p), -np.sum(p * np.log(p))


# %% mistake worth: leaves the logarithms, and finds that exp(−2000) is zero
def worth(table, labels, p):
    with np.errstate(divide="ignore", invalid="ignore"):
        return table[np.arange(len(labels)), labels] - np.log(np.exp(table) @ p)


def ceilings(p):
    return -np.log(p), -np.sum(p * np.log(p))


# %% mistake worth: an unweighted mean of the ceilings, as if every label were as frequent
def worth(table, labels, p):
    log_p_x = logsumexp(table, b=p, axis=1)
    return table[np.arange(len(labels)), labels] - log_p_x


def ceilings(p):
    return -np.log(p), -np.log(p).mean()


# %% mistake worth: holds the entropy for the limit of every single image
def worth(table, labels, p):
    log_p_x = logsumexp(table, b=p, axis=1)
    return table[np.arange(len(labels)), labels] - log_p_x


def ceilings(p):
    return np.full(len(p), entropy(p)), entropy(p)


# %% mistake worth: counts the limits in bits
def worth(table, labels, p):
    log_p_x = logsumexp(table, b=p, axis=1)
    return table[np.arange(len(labels)), labels] - log_p_x


def ceilings(p):
    return -np.log2(p), -np.sum(p * np.log2(p))


# %% right worth: with logsumexp's weights and scipy's entropy
def worth(table, labels, p):
    log_p_x = logsumexp(table, b=p, axis=1)
    return np.eye(len(p))[labels].astype(bool).choose(-np.inf, table).max(1) - log_p_x


def ceilings(p):
    return np.log(1 / p), entropy(p)


# %% right worth: as −log of a sum of ratios, the largest taken out
def worth(table, labels, p):
    ratios = table - np.take_along_axis(table, np.asarray(labels)[:, None], axis=1)
    top = ratios.max(axis=1, keepdims=True)
    return -(top[:, 0] + np.log(np.exp(ratios - top) @ p))


def ceilings(p):
    most = [-float(np.log(share)) for share in p]
    return most, sum(share * nats for share, nats in zip(p, most, strict=True))


# %% mistake reader: leaves the image's own label in q, which tells the answer
def mended(cvae, x, y):
    mean, scale = cvae.q(x, y)
    told = [np.tile(e, (len(x), 1)) for e in np.eye(y.shape[1])]
    return np.stack([cvae.bound(x, e, mean, scale) for e in told], axis=1)


# %% mistake reader: turns the leak round: q is told each label, the bound the image's own
def mended(cvae, x, y):
    told = [np.tile(e, (len(x), 1)) for e in np.eye(y.shape[1])]
    return np.stack([cvae.bound(x, y, *cvae.q(x, e)) for e in told], axis=1)


# %% mistake reader: asks q with a quarter of each label, a y that it has never met
def mended(cvae, x, y):
    K = y.shape[1]
    mean, scale = cvae.q(x, np.full((len(x), K), 1 / K))
    told = [np.tile(e, (len(x), 1)) for e in np.eye(K)]
    return np.stack([cvae.bound(x, e, mean, scale) for e in told], axis=1)


# %% mistake reader: mends q and keeps the winner only
def mended(cvae, x, y):
    told = [np.tile(e, (len(x), 1)) for e in np.eye(y.shape[1])]
    scores = np.stack([cvae.bound(x, e, *cvae.q(x, e)) for e in told], axis=1)
    return scores.argmax(axis=1)


# %% mistake reader: draws q from the labels in another order, which hides the leak and mends nothing
def mended(cvae, x, y):
    mean, scale = cvae.q(x, np.roll(y, 1, axis=1))
    told = [np.tile(e, (len(x), 1)) for e in np.eye(y.shape[1])]
    return np.stack([cvae.bound(x, e, mean, scale) for e in told], axis=1)


# %% mistake reader: the prior where the posterior belongs, to be rid of the label in q
def mended(cvae, x, y):
    scores = []
    for e in np.eye(y.shape[1]):
        told = np.tile(e, (len(x), 1))
        scores.append(cvae.bound(x, told, *cvae.model.prior(told)))
    return np.stack(scores, axis=1)


# %% right reader: a list of pairs
def mended(cvae, x, y):
    told = [np.tile(e, (len(x), 1)) for e in np.eye(y.shape[1])]
    return np.stack([cvae.bound(x, e, *cvae.q(x, e)) for e in told], axis=1)


# %% right reader: all pairs of image and label at once
def mended(cvae, x, y):
    N, K = len(x), y.shape[1]
    images, told = np.repeat(x, K, axis=0), np.tile(np.eye(K), (N, 1))
    mean, scale = cvae.q(images, told)
    return cvae.bound(images, told, mean, scale).reshape(N, K)


# %% mistake reader: replaces the model that the check reads with
class Islands:
    model = None


def mended(cvae, x, y):
    return never_errs(cvae, x, y)
