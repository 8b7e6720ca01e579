# ruff: noqa: F811, F821
# Answers to the tasks of solutions/06_cmma, wrong and right. Each replaces the cell of its task.

# %% mistake half: strikes the traits out of q as well, though the prior in the posterior sees them
def half_chain_bound(nets, x, traits, light, epsilon):
    mu, scale = nets["q"](x=x, light=light)
    m, s = nets["prior"](traits=traits)
    x_mean, sigma = nets["decoder"](light=light, z=mu + scale * epsilon)
    return norm.logpdf(x, x_mean, sigma).sum(-1) - kl_diagonal(mu, scale, m, s)


def generate(nets, traits, light, epsilon):
    m, s = nets["prior"](traits=traits)
    return nets["decoder"](light=light, z=m + s * epsilon)[0]


# %% mistake half: lets the traits go past z into the decoder, which is a CVAE-1 again
def half_chain_bound(nets, x, traits, light, epsilon):
    mu, scale = nets["q"](x=x, traits=traits, light=light)
    m, s = nets["prior"](traits=traits)
    x_mean, sigma = nets["decoder"](traits=traits, light=light, z=mu + scale * epsilon)
    return norm.logpdf(x, x_mean, sigma).sum(-1) - kl_diagonal(mu, scale, m, s)


def generate(nets, traits, light, epsilon):
    m, s = nets["prior"](traits=traits)
    return nets["decoder"](traits=traits, light=light, z=m + s * epsilon)[0]


# %% mistake half: gives the whole description to the prior, though light does not act on z
def half_chain_bound(nets, x, traits, light, epsilon):
    mu, scale = nets["q"](x=x, traits=traits, light=light)
    m, s = nets["prior"](traits=traits, light=light)
    x_mean, sigma = nets["decoder"](light=light, z=mu + scale * epsilon)
    return norm.logpdf(x, x_mean, sigma).sum(-1) - kl_diagonal(mu, scale, m, s)


def generate(nets, traits, light, epsilon):
    m, s = nets["prior"](traits=traits, light=light)
    return nets["decoder"](light=light, z=m + s * epsilon)[0]


# %% mistake half: takes z as determined by the traits, and generates one face per description
def half_chain_bound(nets, x, traits, light, epsilon):
    mu, scale = nets["q"](x=x, traits=traits, light=light)
    m, s = nets["prior"](traits=traits)
    x_mean, sigma = nets["decoder"](light=light, z=mu + scale * epsilon)
    return norm.logpdf(x, x_mean, sigma).sum(-1) - kl_diagonal(mu, scale, m, s)


def generate(nets, traits, light, epsilon):
    m, _ = nets["prior"](traits=traits)
    return nets["decoder"](light=light, z=m)[0]


# %% right half: the CVAE-1's bound, with networks that pass on only what the graph allows
def half_chain_bound(nets, x, traits, light, epsilon):
    fewer = {
        "q": nets["q"],
        "prior": lambda traits, light: nets["prior"](traits=traits),
        "decoder": lambda traits, light, z: nets["decoder"](light=light, z=z),
    }
    return cvae1_bound(fewer, x, traits, light, epsilon)


def generate(nets, traits, light, epsilon):
    m, s = nets["prior"](traits=traits)
    picture, _ = nets["decoder"](z=epsilon * s + m, light=light)
    return picture


# %% right half: by estimator A, log p(x, z) − log q
def half_chain_bound(nets, x, traits, light, epsilon):
    mu, scale = nets["q"](x=x, traits=traits, light=light)
    z = mu + scale * epsilon
    log_prior = norm.logpdf(z, *nets["prior"](traits=traits)).sum(1)
    log_likelihood = norm.logpdf(x, *nets["decoder"](z=z, light=light)).sum(1)
    return log_likelihood + log_prior - norm.logpdf(z, mu, scale).sum(1)


def generate(nets, traits, light, epsilon):
    mean, scale = nets["prior"](traits=traits)
    z = mean + scale * epsilon
    return nets["decoder"](light=light, z=z)[0]


# %% mistake disguise: drops V, as if what it did to the picture were lost altogether
def nearest_chain(model):
    return LinearGaussian(model.W, model.b, model.sigma, A=model.A, a=model.a, S=model.S)


def price_of_the_chain(model, y):
    return np.sum((y @ model.V.T) ** 2, -1) / (2 * model.sigma**2)


# %% mistake disguise: takes the transpose of W for its inverse
def nearest_chain(model):
    A = model.A + model.W.T @ model.V
    return LinearGaussian(model.W, model.b, model.sigma, A=A, a=model.a, S=model.S)


def price_of_the_chain(model, y):
    rest = model.V - model.W @ model.W.T @ model.V
    return np.sum((y @ rest.T) ** 2, -1) / (2 * model.sigma**2)


# %% mistake disguise: finds the rest, but divides it by σ in place of σ²
def nearest_chain(model):
    T = np.linalg.pinv(model.W) @ model.V
    return LinearGaussian(model.W, model.b, model.sigma, A=model.A + T, a=model.a, S=model.S)


def price_of_the_chain(model, y):
    rest = model.V - model.W @ np.linalg.pinv(model.W) @ model.V
    return np.sum((y @ rest.T) ** 2, -1) / (2 * model.sigma)


# %% mistake disguise: replaces A where V's part has to be added to it
def nearest_chain(model):
    T = np.linalg.pinv(model.W) @ model.V
    return LinearGaussian(model.W, model.b, model.sigma, A=T, a=model.a, S=model.S)


def price_of_the_chain(model, y):
    rest = model.V - model.W @ np.linalg.pinv(model.W) @ model.V
    return np.sum((y @ rest.T) ** 2, -1) / (2 * model.sigma**2)


# %% right disguise: least squares, and the KL with the whole covariance
def nearest_chain(model):
    T, *_ = np.linalg.lstsq(model.W, model.V, rcond=None)
    no_v = np.zeros_like(model.V)
    return LinearGaussian(model.W, model.b, model.sigma, no_v, model.A + T, model.a, model.S)


def price_of_the_chain(model, y):
    T, *_ = np.linalg.lstsq(model.W, model.V, rcond=None)
    delta = y @ (model.V - model.W @ T).T
    covariance = model.W @ np.diag(model.S) @ model.W.T + model.sigma**2 * np.eye(len(model.b))
    return 0.5 * np.einsum("nd,dn->n", delta, np.linalg.solve(covariance, delta.T))


# %% right disguise: with an orthonormal basis of the columns of W
def nearest_chain(model):
    Q, R = np.linalg.qr(model.W)
    A = model.A + np.linalg.solve(R, Q.T @ model.V)
    return LinearGaussian(model.W, model.b, model.sigma, A=A, a=model.a, S=model.S)


def price_of_the_chain(model, y):
    Q, _ = np.linalg.qr(model.W)
    moved = y @ model.V.T
    total, inside = (moved**2).sum(1), ((moved @ Q) ** 2).sum(1)
    return (total - inside) / model.sigma**2 / 2


# %% mistake carry: moves the mean and leaves the width of q as it was
def carried(mu, sigma, m, s, m_new, s_new):
    return m_new + s_new * (mu - m) / s, sigma


# %% mistake carry: shifts by the difference of the means and forgets the scales
def carried(mu, sigma, m, s, m_new, s_new):
    return mu + m_new - m, sigma


# %% mistake carry: has the ratio of the scales upside down
def carried(mu, sigma, m, s, m_new, s_new):
    return m_new + (mu - m) * s / s_new, sigma * s / s_new


# %% mistake carry: stretches the standard deviation as if it were a variance
def carried(mu, sigma, m, s, m_new, s_new):
    return m_new + s_new / s * (mu - m), (s_new / s) ** 2 * sigma


# %% mistake carry: puts the new prior's width in the place of q's
def carried(mu, sigma, m, s, m_new, s_new):
    return m_new + s_new / s * (mu - m), s_new


# %% right carry: by way of the standardised place
def carried(mu, sigma, m, s, m_new, s_new):
    place, width = (mu - m) / s, sigma / s
    return [m_new + s_new * place, s_new * width]


# %% right carry: both ends of q's standard deviation
def carried(mu, sigma, m, s, m_new, s_new):
    low, high = (m_new + s_new * (z - m) / s for z in (mu - sigma, mu + sigma))
    return (high + low) / 2, (high - low) / 2


# %% mistake again: repeats the first round's step, as if every round moved z as far
def repeated(W, S, sigma, z, m_new, n):
    C = np.linalg.inv(np.diag(1 / S) + W.T @ W / sigma**2)
    return z + n * C @ np.diag(1 / S) @ (m_new - z)


# %% mistake again: raises the part that a round moves to the power, not the part that is left
def repeated(W, S, sigma, z, m_new, n):
    C = np.linalg.inv(np.diag(1 / S) + W.T @ W / sigma**2)
    return m_new + np.linalg.matrix_power(C @ np.diag(1 / S), n) @ (z - m_new)


# %% mistake again: re-encodes the first picture every time
def repeated(W, S, sigma, z, m_new, n):
    precision = np.diag(1 / S) + W.T @ W / sigma**2
    x = W @ z
    for _ in range(n):
        z = np.linalg.solve(precision, m_new / S + W.T @ x / sigma**2)
    return z


# %% mistake again: shrinks z itself, and leaves the new prior's mean out
def repeated(W, S, sigma, z, m_new, n):
    precision = np.diag(1 / S) + W.T @ W / sigma**2
    for _ in range(n):
        z = np.linalg.solve(precision, W.T @ W @ z / sigma**2)
    return z


# %% mistake again: σ where σ² belongs
def repeated(W, S, sigma, z, m_new, n):
    precision = np.diag(1 / S) + W.T @ W / sigma
    for _ in range(n):
        z = np.linalg.solve(precision, m_new / S + W.T @ W @ z / sigma)
    return z


# %% mistake again: takes S for standard deviations
def repeated(W, S, sigma, z, m_new, n):
    precision = np.diag(1 / S**2) + W.T @ W / sigma**2
    for _ in range(n):
        z = np.linalg.solve(precision, m_new / S**2 + W.T @ W @ z / sigma**2)
    return z


# %% right again: round by round
def repeated(W, S, sigma, z, m_new, n):
    precision = np.diag(1 / S) + W.T @ W / sigma**2
    for _ in range(n):
        z = np.linalg.solve(precision, m_new / S + W.T @ (W @ z) / sigma**2)
    return z


# %% right again: by the gain in the space of pixels
def repeated(W, S, sigma, z, m_new, n):
    gain = (S[:, None] * W.T) @ np.linalg.inv((W * S) @ W.T + sigma**2 * np.eye(len(W)))
    way = z - m_new
    for _ in range(n):
        way = gain @ W @ way
    return m_new + way


# %% mistake again: overwrites what the check computes the truth with
LinearGaussian.posterior = lambda self, x, y=None: (0 * y, np.eye(len(y[0])))


def repeated(W, S, sigma, z, m_new, n):
    return 0 * z


# %% mistake errors: takes the draw from q for independent of x, and adds its width to the noise
def expected_errors(W, S, sigma):
    noise, spread = len(W) * sigma**2, np.trace((W * S) @ W.T)
    C = np.linalg.inv(np.diag(1 / S) + W.T @ W / sigma**2)
    return noise + np.trace(W @ C @ W.T), noise + 2 * spread, noise + spread


# %% mistake errors: puts q's mean in the place of a draw
def expected_errors(W, S, sigma):
    noise, spread = len(W) * sigma**2, np.trace((W * S) @ W.T)
    C = np.linalg.inv(np.diag(1 / S) + W.T @ W / sigma**2)
    return noise - np.trace(W @ C @ W.T), noise + 2 * spread, noise + spread


# %% mistake errors: counts the spread of the generated face, but not of the real one
def expected_errors(W, S, sigma):
    noise, spread = len(W) * sigma**2, np.trace((W * S) @ W.T)
    return noise, noise + spread, noise


# %% mistake errors: one pixel's noise for all
def expected_errors(W, S, sigma):
    noise, spread = sigma**2, np.trace((W * S) @ W.T)
    return noise, noise + 2 * spread, noise + spread


# %% mistake errors: squares the variances
def expected_errors(W, S, sigma):
    noise, spread = len(W) * sigma**2, np.trace((W * S**2) @ W.T)
    return noise, noise + 2 * spread, noise + spread


# %% right errors: latent by latent
def expected_errors(W, S, sigma):
    D, d = W.shape
    spread = sum(S[j] * W[:, j] @ W[:, j] for j in range(d))
    return [D * sigma**2, D * sigma**2 + 2 * spread, D * sigma**2 + spread]


# %% right errors: traces of the covariances, q's mean error and q's width added up
def expected_errors(W, S, sigma):
    covariance = (W * S) @ W.T + sigma**2 * np.eye(len(W))
    gain = (S[:, None] * W.T) @ np.linalg.inv(covariance)
    off = np.eye(len(W)) - W @ gain
    C = np.diag(S) - gain @ W @ np.diag(S)
    reconstructed = np.trace(off @ covariance @ off.T) + np.trace(W @ C @ W.T)
    generated = np.trace(covariance) + np.trace(W @ np.diag(S) @ W.T)
    return np.array([reconstructed, generated, np.trace(covariance)])


# %% mistake timid: mends the error, and keeps the squared correlation
def mended(read_a, read_b, asked):
    worse = ((read_b - asked) ** 2 - (read_a - asked) ** 2) / asked.var(0)
    values = worse.mean(1)
    columns = range(asked.shape[1])
    a, b = (
        np.mean([np.corrcoef(read[:, k], asked[:, k])[0, 1] ** 2 for k in columns])
        for read in (read_a, read_b)
    )
    return a - b, values.std(ddof=1) / np.sqrt(len(values))


# %% mistake timid: adds up two errors, though both models had the same descriptions
def mended(read_a, read_b, asked):
    a, b = ((1 - (read - asked) ** 2 / asked.var(0)).mean(1) for read in (read_a, read_b))
    error = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(asked))
    return a.mean() - b.mean(), error


# %% mistake timid: counts every attribute of a face as an independent reading
def mended(read_a, read_b, asked):
    values = ((read_b - asked) ** 2 - (read_a - asked) ** 2) / asked.var(0)
    return values.mean(), values.std(ddof=1) / np.sqrt(values.size)


# %% mistake timid: measures against the spread of what was read
def mended(read_a, read_b, asked):
    a, b = ((1 - (r - asked) ** 2 / r.var(0)).mean(1) for r in (read_a, read_b))
    return (a - b).mean(), (a - b).std(ddof=1) / np.sqrt(len(asked))


# %% mistake timid: gives the spread of descriptions for the error of their mean
def mended(read_a, read_b, asked):
    a, b = ((1 - (r - asked) ** 2 / asked.var(0)).mean(1) for r in (read_a, read_b))
    return (a - b).mean(), (a - b).std()


# %% right timid: scikit-learn's score, and variances with N − 1
def mended(read_a, read_b, asked):
    difference = r2_score(asked, read_a) - r2_score(asked, read_b)
    a, b = (((r - asked) ** 2 / asked.var(0, ddof=1)).mean(1) for r in (read_a, read_b))
    return difference, np.sqrt(np.var(a - b, ddof=1) / len(asked))


# %% right timid: the error from two variances and their covariance
def mended(read_a, read_b, asked):
    a, b = (np.mean(1 - (r - asked) ** 2 / np.var(asked, 0), 1) for r in (read_a, read_b))
    table = np.cov(a, b)
    error = np.sqrt((table[0, 0] + table[1, 1] - 2 * table[0, 1]) / len(asked))
    return np.mean(a) - np.mean(b), error
