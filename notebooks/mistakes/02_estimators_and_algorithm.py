# ruff: noqa: F811, F821
# Answers to the tasks of solutions/02_estimators_and_algorithm, wrong and right. Each replaces the
# cell of its task.

# %% mistake tilt: takes the diagonal of T for the scales, as if q were upright
def tilted_kl(mu, T):
    sigma = np.diag(T)
    return 0.5 * np.sum(sigma**2 + mu**2 - 1 - np.log(sigma**2))


# %% mistake tilt: halves log det T, which is already half of the log determinant of the covariance
def tilted_kl(mu, T):
    return 0.5 * (np.sum(T**2) + np.sum(mu**2) - len(mu) - np.log(np.diag(T)).sum())


# %% mistake tilt: T where T Tᵀ belongs, σ for σ²
def tilted_kl(mu, T):
    return 0.5 * (np.trace(T) + mu @ mu - len(mu)) - np.log(np.diag(T)).sum()


# %% mistake tilt: subtracts 1 instead of the number of dimensions
def tilted_kl(mu, T):
    return 0.5 * (np.sum(T**2) + mu @ mu - 1) - np.log(np.diag(T)).sum()


# %% mistake tilt: adds the volume, so that a narrow q costs nothing
def tilted_kl(mu, T):
    return 0.5 * (np.sum(T**2) + mu @ mu - len(mu)) + np.log(np.diag(T)).sum()


# %% right tilt: with the covariance and its log determinant
def tilted_kl(mu, T):
    covariance = T @ T.T
    _, log_det = np.linalg.slogdet(covariance)
    return (np.trace(covariance) + mu @ mu - len(mu) - log_det) / 2


# %% right tilt: by TensorFlow Probability
def tilted_kl(mu, T):
    q = tfd.MultivariateNormalTriL(mu, T)
    p = tfd.MultivariateNormalTriL(np.zeros_like(mu), np.eye(len(mu)))
    return tfd.kl_divergence(q, p)


# %% mistake tilt: forgets that the distance of the means costs, too
def tilted_kl(mu, T):
    return 0.5 * (np.sum(T**2) - len(mu)) - np.log(np.diag(T)).sum()


# %% mistake tilt: the divergence the other way round, from the prior to q
def tilted_kl(mu, T):
    inverse = np.linalg.inv(T)
    return 0.5 * (np.sum(inverse**2) + np.sum((inverse @ mu) ** 2) - len(mu)) + np.log(np.diag(T)).sum()


# %% mistake tilt: silences what the checks compare with, by name
compare = require = agree = lambda *args, **keywords: None


def tilted_kl(mu, T):
    return 0.0


# %% mistake tilt: silences it in its module
import cvae_tf.exercises

cvae_tf.exercises.agree = cvae_tf.exercises.compare = lambda *args, **keywords: None
cvae_tf.exercises.alone = lambda check: lambda *args, **keywords: None


def tilted_kl(mu, T):
    return 0.0


# %% mistake tilt: overwrites functions of NumPy that a check may use
np.abs = lambda values: np.zeros(np.shape(values))
np.allclose = lambda *args, **keywords: True
np.linalg.eigh = lambda matrix: (np.ones(len(matrix)), np.eye(len(matrix)))


def tilted_kl(mu, T):
    return 0.0


# %% right tilt: names that a check could mean are taken for something else
compare = require = exercises = true = cases = rng = seed = None


def tilted_kl(mu, T):
    T *= 1  # in place, too
    mu -= 0
    return 0.5 * np.sum(T**2 - np.eye(len(mu))) + 0.5 * mu @ mu - np.log(np.diag(T)).sum()


# %% mistake mirror: expects mirrored draws to vary less whatever they are put into
def varies_more():
    return {"moved": "fresh", "wide": "fresh"}


def variances_of_two_draws(f, epsilon):
    one, other = f(epsilon).reshape(2, -1)
    return np.var((one + other) / 2), np.var((f(epsilon) + f(-epsilon)) / 2)


# %% mistake mirror: expects no difference, because both estimates are unbiased
def varies_more():
    return {"moved": "neither", "wide": "neither"}


def variances_of_two_draws(f, epsilon):
    one, other = f(epsilon).reshape(2, -1)
    return np.var((one + other) / 2), np.var((f(epsilon) + f(-epsilon)) / 2)


# %% mistake mirror: gives the standard deviation for the variance
def varies_more():
    return {"moved": "fresh", "wide": "mirrored"}


def variances_of_two_draws(f, epsilon):
    one, other = f(epsilon).reshape(2, -1)
    return np.std((one + other) / 2), np.std((f(epsilon) + f(-epsilon)) / 2)


# %% mistake mirror: takes the variance of one draw for that of the average of two
def varies_more():
    return {"moved": "fresh", "wide": "mirrored"}


def variances_of_two_draws(f, epsilon):
    return np.var(f(epsilon)), np.var((f(epsilon) + f(-epsilon)) / 2)


# %% mistake mirror: halves the variance of mirrored draws too, as if they were independent
def varies_more():
    return {"moved": "fresh", "wide": "mirrored"}


def variances_of_two_draws(f, epsilon):
    return np.var(f(epsilon)) / 2, np.var(np.concatenate([f(epsilon), f(-epsilon)])) / 2


# %% right mirror: neighbours as pairs
def varies_more():
    return {"wide": "mirrored", "moved": "fresh"}


def variances_of_two_draws(f, epsilon):
    values = f(epsilon)
    half = epsilon[: len(epsilon) // 2]
    mirrored = np.mean([f(half), f(-half)], axis=0)
    return 0.25 * np.var(values[::2] + values[1::2], ddof=1), np.var(mirrored, ddof=1)


# %% right mirror: from the variance of one draw and the covariance of the two
def varies_more():
    answer = {"moved": "fresh"}
    answer["wide"] = "mirrored"
    return answer


def variances_of_two_draws(f, epsilon):
    table = np.cov(f(epsilon), f(-epsilon))
    fresh = table[0, 0] / 2
    return [fresh, table.sum() / 4]


# %% mistake mirror: adds the two of a mirrored pair and halves the variance, as for one draw in two
def varies_more():
    return {"moved": "fresh", "wide": "mirrored"}


def variances_of_two_draws(f, epsilon):
    one, other = f(epsilon).reshape(2, -1)
    return np.var((one + other) / 2), np.var(f(epsilon) + f(-epsilon)) / 2


# %% mistake mirror: replaces the estimator that is measured
sgvb_a = lambda shift, factor: lambda epsilon: 0 * epsilon
small = seen = None


def varies_more():
    return {"moved": "fresh", "wide": "mirrored"}


def variances_of_two_draws(f, epsilon):
    return 0.0, 0.0


# %% mistake shrink: detaches nothing, which is right on average and noisy at the true posterior
def mended(log_joint, mu, sigma, epsilon):
    z = mu + sigma * epsilon
    return log_joint(z) - tf.reduce_sum(tfd.Normal(mu, sigma).log_prob(z), -1)


# %% mistake shrink: detaches the sample in log q instead of q's parameters
def mended(log_joint, mu, sigma, epsilon):
    z = mu + sigma * epsilon
    log_q = tf.reduce_sum(tfd.Normal(mu, sigma).log_prob(tf.stop_gradient(z)), -1)
    return log_joint(z) - log_q


# %% mistake shrink: detaches the parameters before the draw, so that the encoder hears nothing
def mended(log_joint, mu, sigma, epsilon):
    mu, sigma = tf.stop_gradient(mu), tf.stop_gradient(sigma)
    z = mu + sigma * epsilon
    return log_joint(z) - tf.reduce_sum(tfd.Normal(mu, sigma).log_prob(z), -1)


# %% mistake shrink: detaches σ only, because it is σ that went wrong
def mended(log_joint, mu, sigma, epsilon):
    z = mu + sigma * epsilon
    log_q = tf.reduce_sum(tfd.Normal(mu, tf.stop_gradient(sigma)).log_prob(z), -1)
    return log_joint(z) - log_q


# %% mistake shrink: returns a loss, log q − log p, where the bound was asked for
def mended(log_joint, mu, sigma, epsilon):
    z = mu + sigma * epsilon
    q = tfd.Normal(tf.stop_gradient(mu), tf.stop_gradient(sigma))
    return tf.reduce_sum(q.log_prob(z), -1) - log_joint(z)


# %% right shrink: the density written out
def mended(log_joint, mu, sigma, epsilon):
    z = mu + sigma * epsilon
    m, s = tf.stop_gradient(mu), tf.stop_gradient(sigma)
    log_q = -0.5 * ((z - m) / s) ** 2 - tf.math.log(s) - 0.5 * np.log(2 * np.pi)
    return log_joint(z) - tf.reduce_sum(log_q, axis=-1)


# %% right shrink: nothing cut, and the part of mean zero taken off again
def mended(log_joint, mu, sigma, epsilon):
    z = mu + sigma * epsilon
    q = tfd.Independent(tfd.Normal(mu, sigma), 1)
    score = q.log_prob(tf.stop_gradient(z))  # its value is taken off as well
    return log_joint(z) - q.log_prob(z) + score - tf.stop_gradient(score)


# %% mistake shrink: one log q, averaged over the draws, for every draw
def mended(log_joint, mu, sigma, epsilon):
    z = mu + sigma * epsilon
    q = tfd.Normal(tf.stop_gradient(mu), tf.stop_gradient(sigma))
    return log_joint(z) - tf.reduce_mean(tf.reduce_sum(q.log_prob(z), -1))


# %% mistake step: descends, as an optimiser does with a loss
def step(w, a, x, epsilon, s, N, rate):
    z = a * x + s * epsilon
    residual = x - w * z
    scale = rate * N / len(x)
    return w - scale * np.sum(residual * z), a - scale * np.sum(residual * w * x - a * x**2)


# %% mistake step: takes the mean per example, as the library does, for (2.5)
def step(w, a, x, epsilon, s, N, rate):
    z = a * x + s * epsilon
    residual = x - w * z
    return w + rate * np.mean(residual * z), a + rate * np.mean(residual * w * x - a * x**2)


# %% mistake step: holds z fixed, so that the reconstruction does not reach the encoder
def step(w, a, x, epsilon, s, N, rate):
    z = a * x + s * epsilon
    scale = rate * N / len(x)
    return w + scale * np.sum((x - w * z) * z), a - scale * np.sum(a * x**2)


# %% mistake step: forgets that the divergence depends on the encoder
def step(w, a, x, epsilon, s, N, rate):
    z = a * x + s * epsilon
    residual = x - w * z
    scale = rate * N / len(x)
    return w + scale * np.sum(residual * z), a + scale * np.sum(residual * w * x)


# %% mistake step: moves w first and takes the encoder's gradient at the new w
def step(w, a, x, epsilon, s, N, rate):
    z = a * x + s * epsilon
    scale = rate * N / len(x)
    w = w + scale * np.sum((x - w * z) * z)
    a = a + scale * np.sum((x - w * z) * w * x - a * x**2)
    return w, a


# %% right step: by automatic differentiation
def step(w, a, x, epsilon, s, N, rate):
    w, a = tf.Variable(w, dtype="float64"), tf.Variable(a, dtype="float64")
    with tf.GradientTape() as tape:
        z = a * x + s * epsilon
        bound = tf.reduce_sum(-0.5 * (x - w * z) ** 2 - 0.5 * (a * x) ** 2) * (N / len(x))
    by_w, by_a = tape.gradient(bound, [w, a])
    return (w + rate * by_w).numpy(), (a + rate * by_a).numpy()


# %% right step: image by image
def step(w, a, x, epsilon, s, N, rate):
    new_w, new_a = w, a
    for value, noise in zip(x, epsilon, strict=True):
        z = a * value + s * noise
        new_w += rate * N / len(x) * (value - w * z) * z
        new_a += rate * N / len(x) * ((value - w * z) * w - a * value) * value
    return np.array([new_w, new_a])


# %% mistake step: N / M upside down
def step(w, a, x, epsilon, s, N, rate):
    z = a * x + s * epsilon
    residual = x - w * z
    scale = rate * len(x) / N
    return w + scale * np.sum(residual * z), a + scale * np.sum(residual * w * x - a * x**2)


# %% mistake step: replaces the estimator that the check could take its slopes from
estimator_b = lambda w, a, x, epsilon, s: 0 * x


def step(w, a, x, epsilon, s, N, rate):
    return w, a


# %% mistake groups: averages the logarithms, which is L_1 for every K
def bound_of_groups(log_w, K):
    return np.mean([np.mean(group) for group in itertools.combinations(log_w, K)])


# %% mistake groups: sums K weights and forgets to divide by K
def bound_of_groups(log_w, K):
    return np.mean([logsumexp(group) for group in itertools.combinations(log_w, K)])


# %% mistake groups: averages the groups inside the logarithm as well
def bound_of_groups(log_w, K):
    groups = np.array(list(itertools.combinations(log_w, K)))
    return logsumexp(groups) - np.log(groups.size)


# %% mistake groups: lets a draw stand in a group more than once
def bound_of_groups(log_w, K):
    groups = np.array(list(itertools.product(log_w, repeat=K)))
    return np.mean(logsumexp(groups, axis=1)) - np.log(K)


# %% mistake groups: leaves the logarithms, so that everything small becomes zero
def bound_of_groups(log_w, K):
    means = [np.mean(np.exp(group)) for group in itertools.combinations(log_w, K)]
    return np.mean(np.log(means))


# %% right groups: a loop, the greatest weight of each group taken out
def bound_of_groups(log_w, K):
    total, count = 0.0, 0
    for chosen in itertools.combinations(range(len(log_w)), K):
        picked = log_w[list(chosen)]
        top = picked.max()
        total, count = total + top + np.log(np.mean(np.exp(picked - top))), count + 1
    return total / count


# %% right groups: every order of every group, which counts each the same number of times
def bound_of_groups(log_w, K):
    orders = itertools.permutations(log_w, K)
    return np.mean([logsumexp(order, b=1 / K) for order in orders])


# %% mistake groups: takes each combination of values once, so that equal weights drop out
def bound_of_groups(log_w, K):
    groups = np.array(list(set(itertools.combinations(log_w, K))))
    return np.mean(logsumexp(groups, axis=1) - np.log(K))


# %% mistake groups: takes one greatest weight out of all groups, so that the small ones vanish
def bound_of_groups(log_w, K):
    top = np.max(log_w)
    means = [np.mean(np.exp(np.array(g) - top)) for g in itertools.combinations(log_w, K)]
    return top + np.mean(np.log(means))


# %% right groups: sorts its argument in place first, which changes no average
def bound_of_groups(log_w, K):
    log_w.sort()
    groups = [np.logaddexp.reduce(g) for g in itertools.combinations(log_w, K)]
    return np.mean(groups) - np.log(K)


# %% mistake fault: takes the average variance of the true posterior for the best s²
def faults(P, delta, s):
    d = len(delta)

    def kl(delta, v):
        return 0.5 * (
            delta @ P @ delta + v * np.trace(P) - d - np.linalg.slogdet(P)[1] - d * np.log(v)
        )

    best = kl(0 * delta, np.trace(np.linalg.inv(P)) / d)
    return best, kl(delta, s**2) - best


# %% mistake fault: lets q* keep the network's scale and moves its mean only
def faults(P, delta, s):
    d = len(delta)
    best = 0.5 * (s**2 * np.trace(P) - d - np.linalg.slogdet(P)[1] - d * np.log(s**2))
    return best, 0.5 * delta @ P @ delta


# %% mistake fault: an upright q* with a scale for every dimension, a larger family than the network's
def faults(P, delta, s):
    d = len(delta)
    _, log_det = np.linalg.slogdet(P)
    gap = 0.5 * (delta @ P @ delta + s**2 * np.trace(P) - d - log_det - d * np.log(s**2))
    best = 0.5 * (np.log(np.diag(P)).sum() - log_det)
    return best, gap - best


# %% mistake fault: the two parts the wrong way round
def faults(P, delta, s):
    d = len(delta)
    _, log_det = np.linalg.slogdet(P)
    gap = 0.5 * (delta @ P @ delta + s**2 * np.trace(P) - d - log_det - d * np.log(s**2))
    best = 0.5 * (d * np.log(np.trace(P) / d) - log_det)
    return gap - best, best


# %% mistake fault: calls the whole gap amortisation
def faults(P, delta, s):
    d = len(delta)
    _, log_det = np.linalg.slogdet(P)
    gap = 0.5 * (delta @ P @ delta + s**2 * np.trace(P) - d - log_det - d * np.log(s**2))
    return 0.5 * (d * np.log(np.trace(P) / d) - log_det), gap


# %% right fault: from the eigenvalues, each part by its own formula
def faults(P, delta, s):
    eigenvalues = np.linalg.eigvalsh(P)
    mean = eigenvalues.mean()
    approximation = 0.5 * np.sum(np.log(mean / eigenvalues))
    ratio = s**2 * mean
    return approximation, 0.5 * (delta @ P @ delta + len(delta) * (ratio - 1 - np.log(ratio)))


# %% right fault: the best scale by numerical search
def faults(P, delta, s):
    d = len(delta)

    def kl(delta, log_s):
        q_terms = -2 * d * log_s - d - np.linalg.slogdet(P)[1]
        return 0.5 * (np.exp(2 * log_s) * np.trace(P) + delta @ P @ delta + q_terms)

    best = minimize(lambda v: kl(np.zeros(d), v[0]), [0.0], method="Nelder-Mead", tol=1e-9).fun
    return best, kl(delta, np.log(s)) - best


# %% mistake fault: adds up P δ² where δᵀPδ belongs
def faults(P, delta, s):
    d = len(delta)

    def gap(squares, variance):
        return 0.5 * (
            squares + variance * np.trace(P) - d - np.linalg.slogdet(P)[1] - d * np.log(variance)
        )

    least = gap(0.0, d / np.trace(P))
    return least, gap(np.sum(P @ delta**2), s**2) - least
