# Answers to the tasks of solutions/07_one_family, wrong and right. Each replaces the cell of its task.

# %% mistake groups: takes the maximum image by image, before the average over the batch
def free_bits(R, kl, groups, minimum):
    paid = [np.maximum(minimum, kl[:, group].sum(1)).mean() for group in groups]
    return R.mean() - sum(paid)


# %% mistake groups: the minimum in place of the maximum, which caps the price
def free_bits(R, kl, groups, minimum):
    return R.mean() - sum(min(minimum, kl[:, group].sum(1).mean()) for group in groups)


# %% mistake groups: a λ for each dimension, whatever the groups
def free_bits(R, kl, groups, minimum):
    return R.mean() - np.maximum(minimum, kl.mean(0)).sum()


# %% mistake groups: one λ for the whole KL
def free_bits(R, kl, groups, minimum):
    return R.mean() - max(minimum, kl.sum(1).mean())


# %% right groups: batch first, then groups
def free_bits(R, kl, groups, minimum):
    means = kl.mean(0)
    return np.mean(R) - np.sum([np.maximum(means[list(g)].sum(), minimum) for g in groups])


# %% right groups: what is above λ, added to λ
def free_bits(R, kl, groups, minimum):
    total = 0.0
    for group in groups:
        mean = np.mean([sum(row[j] for j in group) for row in kl])
        total += minimum + (mean - minimum) * (mean > minimum)
    return R.sum() / len(R) - total


# %% mistake groups: a mean over a group's dimensions, where their KLs add up
def free_bits(R, kl, groups, minimum):
    return R.mean() - sum(max(minimum, kl[:, group].mean(1).mean()) for group in groups)


# %% mistake groups: the greatest of a group's dimensions speaks for the group
def free_bits(R, kl, groups, minimum):
    return R.mean() - sum(max(minimum, kl[:, group].max(1).mean()) for group in groups)


# %% mistake cycle: begins each cycle at zero
def beta(epoch, cycle, rise):
    return min(1.0, (epoch % cycle) / rise)


# %% mistake cycle: rises once and never comes back
def beta(epoch, cycle, rise):
    return min(1.0, (epoch + 1) / rise)


# %% mistake cycle: rises over the whole cycle
def beta(epoch, cycle, rise):
    return (epoch % cycle + 1) / cycle


# %% right cycle: by subtraction of whole cycles
def beta(epoch, cycle, rise):
    within = epoch - (epoch // cycle) * cycle
    return 1.0 if within >= rise else (within + 1) / rise


# %% right cycle: from a table
def beta(epoch, cycle, rise):
    table = np.concatenate([np.arange(1, rise + 1) / rise, np.ones(cycle - rise)])
    return table[epoch % cycle]


# %% mistake cycle: divides by rise − 1, so that it begins at nothing and a rise of one epoch breaks
def beta(epoch, cycle, rise):
    return min(1.0, (epoch % cycle) / (rise - 1))


# %% mistake cycle: 1/rise to 1 in rise steps, but by rise − 1 where it is more than one
def beta(epoch, cycle, rise):
    return min(1.0, 1 / rise + (epoch % cycle) * (1 - 1 / rise) / (rise - 1))


# %% mistake cycle: stays at 1 for two epochs, whatever the cycle
def beta(epoch, cycle, rise):
    return min(1.0, (epoch % (rise + 2) + 1) / rise)


# %% mistake cycle: the example's numbers, written down
def beta(epoch, cycle, rise):
    return [0.25, 0.5, 0.75, 1, 1, 1][epoch % 6]


# %% mistake surgery: the first part against the prior, which is the whole KL
def surgery(q, p):
    aggregate = q.mean(0)
    return (q * np.log(q / p)).sum(1).mean(), aggregate @ np.log(aggregate / p)


# %% mistake surgery: the second part the other way round
def surgery(q, p):
    aggregate = q.mean(0)
    return (q * np.log(q / aggregate)).sum(1).mean(), p @ np.log(p / aggregate)


# %% mistake surgery: averages logarithms in place of probabilities
def surgery(q, p):
    aggregate = np.exp(np.log(q).mean(0))
    information = (q * np.log(q / aggregate)).sum(1).mean()
    return information, q.mean(0) @ np.log(aggregate / p)


# %% right surgery: by entropies
def surgery(q, p):
    a = q.mean(0)
    H = -(a * np.log(a)).sum()
    return H + (q * np.log(q)).sum(1).mean(), -H - a @ np.log(p)


# %% right surgery: the rest of the mean KL
def surgery(q, p):
    from scipy.stats import entropy

    mean_kl = np.mean([entropy(row, p) for row in q])
    information = np.mean([entropy(row, q.mean(0)) for row in q])
    return information, mean_kl - information


# %% mistake surgery: the two parts in the other order
def surgery(q, p):
    aggregate = q.mean(0)
    return aggregate @ np.log(aggregate / p), (q * np.log(q / aggregate)).sum(1).mean()


# %% mistake mmd: compares each point with itself, which biases upwards
def mmd_squared(a, b):
    k = lambda u, v: np.exp(-((u[:, None] - v[None]) ** 2).sum(-1) / 2).mean()
    return k(a, a) + k(b, b) - 2 * k(a, b)


# %% mistake mmd: counts the pairs across once
def mmd_squared(a, b):
    k = lambda u, v: np.exp(-((u[:, None] - v[None]) ** 2).sum(-1) / 2)
    M, N = len(a), len(b)
    within = (k(a, a).sum() - M) / (M * (M - 1)) + (k(b, b).sum() - N) / (N * (N - 1))
    return within - k(a, b).mean()


# %% mistake mmd: compares the means of the clouds alone
def mmd_squared(a, b):
    return ((a.mean(0) - b.mean(0)) ** 2).sum()


# %% mistake mmd: the distance in place of its square in the kernel
def mmd_squared(a, b):
    k = lambda u, v: np.exp(-np.sqrt(((u[:, None] - v[None]) ** 2).sum(-1)) / 2)
    M, N = len(a), len(b)
    within = (k(a, a).sum() - M) / (M * (M - 1)) + (k(b, b).sum() - N) / (N * (N - 1))
    return within - 2 * k(a, b).mean()


# %% right mmd: the diagonal masked
def mmd_squared(a, b):
    from scipy.spatial.distance import cdist

    def off_diagonal(s):
        return np.exp(-cdist(s, s, "sqeuclidean") / 2)[~np.eye(len(s), dtype=bool)].mean()

    return off_diagonal(a) + off_diagonal(b) - 2 * np.exp(-cdist(a, b, "sqeuclidean") / 2).mean()


# %% right mmd: upper triangles
def mmd_squared(a, b):
    def k(u, v):
        return np.exp(-0.5 * (np.sum(u**2, 1)[:, None] + np.sum(v**2, 1) - 2 * u @ v.T))

    pairs = [k(s, s)[np.triu_indices(len(s), 1)].mean() for s in (a, b)]
    return pairs[0] + pairs[1] - 2 * k(a, b).mean()


# %% mistake mmd: the kernel without its ½
def mmd_squared(a, b):
    k = lambda u, v: np.exp(-((u[:, None] - v[None]) ** 2).sum(-1))
    M, N = len(a), len(b)
    within = (k(a, a).sum() - M) / (M * (M - 1)) + (k(b, b).sum() - N) / (N * (N - 1))
    return within - 2 * k(a, b).mean()


# %% mistake ceilings: the logarithm of a mean of exp(+KL)
def lower_one():
    return "(10.1)"


def ceilings(pi, kl):
    return logsumexp(kl, b=pi), pi @ kl


# %% mistake ceilings: leaves the weights out
def lower_one():
    return "(10.1)"


def ceilings(pi, kl):
    return -logsumexp(-kl), kl.mean()


# %% mistake ceilings: the two in the wrong order, as if the simple one were lower
def lower_one():
    return "(10.1)"


def ceilings(pi, kl):
    return pi @ kl, -logsumexp(-kl, b=pi)


# %% right ceilings: log π inside
def lower_one():
    return "(10.1)"


def ceilings(pi, kl):
    return -logsumexp(np.log(pi) - kl), np.sum(pi * kl)


# %% right ceilings: the least divergence taken out
def lower_one():
    return "(10.1)"


def ceilings(pi, kl):
    least = kl.min()
    return least - np.log(pi @ np.exp(least - kl)), np.average(kl, weights=pi)


# %% mistake ceilings: predicts that the simple ceiling is the lower
def lower_one():
    return "simple"


def ceilings(pi, kl):
    return -logsumexp(-kl, b=pi), pi @ kl


# %% mistake use: the best label in place of the image's own
def use_of_y(L, labels):
    best = L.max(1)
    return np.mean(best - (L.sum(1) - best) / (L.shape[1] - 1))


# %% mistake use: the mean still contains the right label
def use_of_y(L, labels):
    return np.mean(L[np.arange(len(L)), labels] - L.mean(1))


# %% mistake use: takes whole columns where one entry per row is meant
def use_of_y(L, labels):
    return np.mean(L[:, labels] - L.mean(1, keepdims=True))


# %% right use: by a mask
def use_of_y(L, labels):
    own = np.eye(L.shape[1], dtype=bool)[labels]
    return L[own].mean() - L[~own].mean()


# %% right use: from the mean over all, scaled
def use_of_y(L, labels):
    C = L.shape[1]
    own = np.take_along_axis(L, labels[:, None], 1)[:, 0]
    return C / (C - 1) * np.mean(own - L.mean(1))


# %% mistake use: the drop with a minus
def use_of_y(L, labels):
    own = L[np.arange(len(L)), labels]
    return np.mean((L.sum(1) - own) / (L.shape[1] - 1) - own)


# %% mistake use: what is handed in changes the data that the check compares with
L = labels = rng = drop = None


def use_of_y(L, labels):
    L[:] = 0.0
    return 0.0
