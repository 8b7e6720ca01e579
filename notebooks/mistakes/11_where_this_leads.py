# Answers to the tasks of solutions/11_where_this_leads, wrong and right. Each replaces the cell of its task.

# %% mistake mcc: forgets that a coordinate may be found with its sign turned
def mean_correlation(found, z):
    k = z.shape[1]
    c = np.corrcoef(found.T, z.T)[:k, k:]
    return c[linear_sum_assignment(c, maximize=True)].mean()


# %% mistake mcc: lets two found coordinates claim the same true one
def mean_correlation(found, z):
    k = z.shape[1]
    c = np.abs(np.corrcoef(found.T, z.T)[:k, k:])
    return c.max(1).mean()


# %% mistake mcc: expects the coordinates in the truth's order
def mean_correlation(found, z):
    return np.mean([abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(found.T, z.T)])


# %% mistake mcc: looks for the least sum, which is what SciPy does unless told
def mean_correlation(found, z):
    k = z.shape[1]
    c = np.abs(np.corrcoef(found.T, z.T)[:k, k:])
    rows, columns = linear_sum_assignment(c)
    return c[rows, columns].mean()


# %% mistake mcc: takes the best pair first and never goes back
def mean_correlation(found, z):
    k = z.shape[1]
    c = np.abs(np.corrcoef(found.T, z.T)[:k, k:])
    total = 0.0
    for _ in range(k):
        i, j = np.unravel_index(c.argmax(), c.shape)
        total += c[i, j]
        c[i], c[:, j] = -1, -1
    return total / k


# %% right mcc: by the least cost
def mean_correlation(found, z):
    k = z.shape[1]
    cost = 1 - np.abs(np.corrcoef(found.T, z.T)[k:, :k])
    rows, columns = linear_sum_assignment(cost)
    return 1 - cost[rows, columns].mean()


# %% right mcc: all matchings in turn
def mean_correlation(found, z):
    from itertools import permutations

    k = z.shape[1]
    c = np.abs([[np.corrcoef(a, b)[0, 1] for b in z.T] for a in found.T])
    return max(sum(c[i, j] for i, j in enumerate(order)) for order in permutations(range(k))) / k


# %% mistake levels: puts z₂ at its mean
def two_levels(m, s, a, b, r, c, d, t):
    upper = 0.5 * (s**2 + m**2 - 1 - np.log(s**2))
    lower = np.log(t / r) + (r**2 + (a * m + b - c * m - d) ** 2) / (2 * t**2) - 0.5
    return upper, lower


# %% mistake levels: draws z₂ from the prior
def two_levels(m, s, a, b, r, c, d, t):
    upper = 0.5 * (s**2 + m**2 - 1 - np.log(s**2))
    lower = np.log(t / r) + (r**2 + (b - d) ** 2 + (a - c) ** 2) / (2 * t**2) - 0.5
    return upper, lower


# %% mistake levels: compares q(z₁|x) with p(z₁), without z₂ on either side
def two_levels(m, s, a, b, r, c, d, t):
    upper = 0.5 * (s**2 + m**2 - 1 - np.log(s**2))
    v, u = r**2 + (a * s) ** 2, t**2 + c**2
    return upper, 0.5 * (v / u + (a * m + b - d) ** 2 / u - 1 + np.log(u / v))


# %% mistake levels: the KL divergences of the lower level the other way round
def two_levels(m, s, a, b, r, c, d, t):
    upper = 0.5 * (s**2 + m**2 - 1 - np.log(s**2))
    apart = ((a - c) * m + b - d) ** 2 + ((a - c) * s) ** 2
    return upper, np.log(r / t) + (t**2 + apart) / (2 * r**2) - 0.5


# %% right levels: the second moment of the difference
def two_levels(m, s, a, b, r, c, d, t):
    def kl(mean_square, scale, width):
        return np.log(width / scale) + (scale**2 + mean_square) / (2 * width**2) - 0.5

    slope, offset = a - c, b - d
    return kl(m**2, s, 1.0), kl(slope**2 * (m**2 + s**2) + 2 * slope * offset * m + offset**2, r, t)


# %% right levels: mirrored points, exact for squares
def two_levels(m, s, a, b, r, c, d, t):
    upper = -np.log(s) + (s**2 + m**2) / 2 - 0.5
    z2 = np.array([m - s, m + s])
    each = np.log(t) - np.log(r) + (r**2 + (a * z2 + b - c * z2 - d) ** 2) / (2 * t**2) - 0.5
    return upper, each.mean()


# %% mistake levels: replaces NumPy's sums
np.mean = np.sum = lambda *args, **keywords: 0.0


def two_levels(m, s, a, b, r, c, d, t):
    return 0.0, 0.0


# %% mistake back: takes α² + σ² = 1 for granted
def step_back(x, z, alpha_s, sigma_s, alpha_t, sigma_t):
    a = alpha_t / alpha_s
    added = 1 - a**2
    variance = 1 / (1 / sigma_s**2 + a**2 / added)
    return variance * (alpha_s * x / sigma_s**2 + a * z / added), variance


# %% mistake back: forgets that the step shrinks the old noise
def step_back(x, z, alpha_s, sigma_s, alpha_t, sigma_t):
    a = alpha_t / alpha_s
    added = sigma_t**2 - sigma_s**2
    variance = 1 / (1 / sigma_s**2 + a**2 / added)
    return variance * (alpha_s * x / sigma_s**2 + a * z / added), variance


# %% mistake back: gives the standard deviation
def step_back(x, z, alpha_s, sigma_s, alpha_t, sigma_t):
    a = alpha_t / alpha_s
    added = sigma_t**2 - a**2 * sigma_s**2
    variance = 1 / (1 / sigma_s**2 + a**2 / added)
    return variance * (alpha_s * x / sigma_s**2 + a * z / added), np.sqrt(variance)


# %% mistake back: undoes the step and forgets x
def step_back(x, z, alpha_s, sigma_s, alpha_t, sigma_t):
    a = alpha_t / alpha_s
    added = sigma_t**2 - a**2 * sigma_s**2
    return z / a if a else 0 * z, added / a**2 if a else np.inf


# %% right back: by conditioning a joint Gaussian
def step_back(x, z, alpha_s, sigma_s, alpha_t, sigma_t):
    covariance = alpha_t / alpha_s * sigma_s**2
    mean = alpha_s * x + covariance / sigma_t**2 * (z - alpha_t * x)
    return mean, sigma_s**2 - covariance**2 / sigma_t**2


# %% right back: by signal-to-noise ratios
def step_back(x, z, alpha_s, sigma_s, alpha_t, sigma_t):
    kept = (alpha_t * sigma_s / (alpha_s * sigma_t)) ** 2
    gain = alpha_t / alpha_s * sigma_s**2 / sigma_t**2
    return gain * z + (1 - kept) * alpha_s * x, sigma_s**2 * (1 - kept)


# %% mistake level: one level's cost, which does not stand for the others
def one_for_all(snr, pi, t, epsilon, guess):
    return 0.5 * (snr[t - 1] / snr[t] - 1) * ((epsilon - guess) ** 2).sum(-1)


# %% mistake level: makes up for the draw as if all levels were equally likely
def one_for_all(snr, pi, t, epsilon, guess):
    steps = len(snr) - 2
    return steps * 0.5 * (snr[t - 1] / snr[t] - 1) * ((epsilon - guess) ** 2).sum(-1)


# %% mistake level: the weight that belongs to an error in x
def one_for_all(snr, pi, t, epsilon, guess):
    return 0.5 * (snr[t - 1] - snr[t]) * ((epsilon - guess) ** 2).sum(-1) / pi[t]


# %% mistake level: averages over the coordinates
def one_for_all(snr, pi, t, epsilon, guess):
    return 0.5 * (snr[t - 1] / snr[t] - 1) * ((epsilon - guess) ** 2).mean(-1) / pi[t]


# %% mistake level: weighs all levels alike, as the simple loss does
def one_for_all(snr, pi, t, epsilon, guess):
    return ((epsilon - guess) ** 2).sum(-1) / pi[t]


# %% right level: one example at a time
def one_for_all(snr, pi, t, epsilon, guess):
    out = []
    for level, true, guessed in zip(t, epsilon, guess):
        ratio = snr[level - 1] / snr[level]
        out.append((ratio - 1) / 2 * np.linalg.norm(true - guessed) ** 2 / pi[level])
    return np.array(out)


# %% right level: by the error in x, whose α and σ cancel
def one_for_all(snr, pi, t, epsilon, guess):
    squared_error_of_x = np.einsum("bd,bd->b", epsilon - guess, epsilon - guess) / snr[t]
    return (snr[t - 1] - snr[t]) * squared_error_of_x / (2 * pi[t])


# %% mistake tilt: mixes means and keeps the scale
def tilted(m, s, M, S, w):
    return (1 + w) * m - w * M, s


# %% mistake tilt: mixes means and standard deviations
def tilted(m, s, M, S, w):
    return (1 + w) * m - w * M, (1 + w) * s - w * S


# %% mistake tilt: forgets the label at w = 0
def tilted(m, s, M, S, w):
    precision = w / s**2 + (1 - w) / S**2
    return (w * m / s**2 + (1 - w) * M / S**2) / precision, precision**-0.5


# %% mistake tilt: gives the variance
def tilted(m, s, M, S, w):
    precision = (1 + w) / s**2 - w / S**2
    return ((1 + w) * m / s**2 - w * M / S**2) / precision, 1 / precision


# %% mistake tilt: multiplies by p(x) instead of dividing
def tilted(m, s, M, S, w):
    precision = (1 + w) / s**2 + w / S**2
    return ((1 + w) * m / s**2 + w * M / S**2) / precision, precision**-0.5


# %% right tilt: as a step away from M
def tilted(m, s, M, S, w):
    variance = 1 / (1 / s**2 + w * (1 / s**2 - 1 / S**2))
    return m + w * variance * (m - M) / S**2, np.sqrt(variance)


# %% right tilt: over a common denominator
def tilted(m, s, M, S, w):
    below = (1 + w) * S**2 - w * s**2
    return ((1 + w) * m * S**2 - w * M * s**2) / below, s * S / np.sqrt(below)


# %% mistake chain: mends the scale and the noise, and still asks at the next level
def mended(guess, levels, noise):
    z = noise[-1]
    for t in range(len(levels) - 1, 0, -1):
        level, finer = levels[t], levels[t - 1]
        kept = np.exp(level - finer)
        x_hat = guess(finer, z)
        mean = kept * alpha(finer) / alpha(level) * z + (1 - kept) * alpha(finer) * x_hat
        z = mean + sigma(finer) * np.sqrt(1 - kept) * noise[t - 1]
    return z


# %% mistake chain: mends the level and the noise, and leaves the scale
def mended(guess, levels, noise):
    z = noise[-1]
    for t in range(len(levels) - 1, 0, -1):
        level, finer = levels[t], levels[t - 1]
        kept = np.exp(level - finer)
        x_hat = guess(level, z)
        mean = kept * alpha(finer) / alpha(level) * z + (1 - kept) * alpha(finer) * x_hat
        z = mean + sigma(finer) * noise[t - 1]
    return z


# %% mistake chain: mends the level and the scale, and uses the noise of z_T twice
def mended(guess, levels, noise):
    z = noise[-1]
    for t in range(len(levels) - 1, 0, -1):
        level, finer = levels[t], levels[t - 1]
        kept = np.exp(level - finer)
        x_hat = guess(level, z)
        mean = kept * alpha(finer) / alpha(level) * z + (1 - kept) * alpha(finer) * x_hat
        z = mean + sigma(finer) * np.sqrt(1 - kept) * noise[t]
    return z


# %% mistake chain: the program as it was
def mended(guess, levels, noise):
    return too_wide(guess, levels, noise)


# %% mistake chain: returns the guess of x
def mended(guess, levels, noise):
    z = noise[-1]
    for t in range(len(levels) - 1, 0, -1):
        level, finer = levels[t], levels[t - 1]
        kept = np.exp(level - finer)
        mean = kept * alpha(finer) / alpha(level) * z + (1 - kept) * alpha(finer) * guess(level, z)
        z = mean + sigma(finer) * np.sqrt(1 - kept) * noise[t - 1]
    return guess(levels[0], z)


# %% right chain: levels and noise taken in pairs
def mended(guess, levels, noise):
    *rest, z = noise
    steps = zip(levels[:0:-1], levels[-2::-1], rest[::-1])
    for level, finer, epsilon in steps:
        kept = np.exp(level - finer)
        own = alpha(finer) / alpha(level) * kept
        z = own * z + alpha(finer) * (1 - kept) * guess(level, z) + sigma(finer) * (1 - kept) ** 0.5 * epsilon
    return z


# %% right chain: by the noise that the guess implies
def mended(guess, levels, noise):
    z = noise[-1]
    for t in range(len(levels) - 1, 0, -1):
        coarse, fine = levels[t], levels[t - 1]
        x_hat = guess(coarse, z)
        kept = np.exp(coarse - fine)
        implied = (z - alpha(coarse) * x_hat) / sigma(coarse)
        along = alpha(fine) * x_hat + sigma(fine) * np.sqrt(kept) * implied
        z = along + sigma(fine) * np.sqrt(1 - kept) * noise[t - 1]
    return z
