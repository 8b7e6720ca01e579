# Answers to the tasks of solutions/05_cvae_3, wrong and right. Each replaces the cell of its task.
# ruff: noqa: F811, F821


# %% mistake rules: lets the draws vote instead of averaging their probabilities
def two_answers(logits, m, s, epsilon):
    votes = logits(m + s * epsilon).argmax(-1)
    return logits(m[None])[0].argmax(), np.bincount(votes).argmax()


# %% mistake rules: averages logits, where (5.6) averages probabilities
def two_answers(logits, m, s, epsilon):
    return logits(m[None])[0].argmax(), logits(m + s * epsilon).mean(0).argmax()


# %% mistake rules: averages log-probabilities, a logarithm too early
def two_answers(logits, m, s, epsilon):
    log_p = np.log(softmax(logits(m + s * epsilon), -1))
    return logits(m[None])[0].argmax(), log_p.mean(0).argmax()


# %% mistake rules: decodes the mean of the draws, as if (5.5) approximated (5.6)
def two_answers(logits, m, s, epsilon):
    z = m + s * epsilon
    return logits(z.mean(0)[None])[0].argmax(), softmax(logits(z), -1).mean(0).argmax()


# %% mistake rules: takes the two rules for one and the same
def two_answers(logits, m, s, epsilon):
    answer = softmax(logits(m + s * epsilon), -1).mean(0).argmax()
    return answer, answer


# %% mistake rules: takes the standard deviation for a variance
def two_answers(logits, m, s, epsilon):
    z = m + s**2 * epsilon
    return logits(m[None])[0].argmax(), softmax(logits(z), -1).mean(0).argmax()


# %% right rules: a sum of probabilities by logsumexp
def two_answers(logits, m, s, epsilon):
    raw = logits(m + s * epsilon)
    log_p = raw - logsumexp(raw, axis=1, keepdims=True)
    return np.argmax(logits(np.array([m]))), np.argmax(logsumexp(log_p, axis=0))


# %% right rules: draw by draw, with the softmax written out
def two_answers(logits, m, s, epsilon):
    total = 0
    for e in epsilon:
        raw = logits((m + s * e).reshape(1, -1))[0]
        p = np.exp(raw - raw.max())
        total = total + p / p.sum()
    return [int(np.argmax(softmax(logits(m.reshape(1, -1))))), int(np.argmax(total))]


# %% mistake rules: the first dimension's scale for all of them
def two_answers(logits, m, s, epsilon):
    average = softmax(logits(m + s[0] * epsilon), axis=-1).mean(0)
    return int(logits(m[None])[0].argmax()), int(average.argmax())


# %% mistake rules: the softmax over the draws in place of the labels
def two_answers(logits, m, s, epsilon):
    average = softmax(logits(m + s * epsilon), axis=0).mean(0)
    return int(logits(m[None])[0].argmax()), int(average.argmax())


# %% mistake rules: overwrites the function that finds the greatest
np.argmax = lambda *args, **keywords: 0


def two_answers(logits, m, s, epsilon):
    return 0, 0


# %% mistake gsnn: the other divergence, from the prior to the posterior turned round
def gsnn(prior, likelihood, answers):
    scores = np.log(likelihood) @ answers
    posterior = prior[:, None] * likelihood / (prior @ likelihood)
    gaps = (posterior * np.log(posterior / prior[:, None])).sum(0)
    return prior @ scores, gaps @ answers, scores.max()


# %% mistake gsnn: gives each answer its own best z, which a prior that has not seen y cannot do
def gsnn(prior, likelihood, answers):
    bound = prior @ np.log(likelihood) @ answers
    gap = np.log(prior @ likelihood) @ answers - bound
    return bound, gap, np.log(likelihood.max(0)) @ answers


# %% mistake gsnn: the logarithm outside of the average over z, which is log p(y|x) itself
def gsnn(prior, likelihood, answers):
    scores = np.log(likelihood) @ answers
    bound = np.log(prior @ likelihood) @ answers
    return bound, bound - prior @ scores, scores.max()


# %% mistake gsnn: the best z for the likeliest answer alone
def gsnn(prior, likelihood, answers):
    scores = np.log(likelihood) @ answers
    gap = np.log(prior @ likelihood) @ answers - prior @ scores
    return prior @ scores, gap, scores[likelihood[:, answers.argmax()].argmax()]


# %% mistake gsnn: all answers alike, however often they occur
def gsnn(prior, likelihood, answers):
    scores = np.log(likelihood).mean(1)
    gap = np.log(prior @ likelihood).mean() - prior @ scores
    return prior @ scores, gap, scores.max()


# %% right gsnn: the gap as what is missing from log p(y|x)
def gsnn(prior, likelihood, answers):
    bound = prior @ np.log(likelihood) @ answers
    gap = np.log(prior @ likelihood) @ answers - bound
    return bound, gap, max(answers @ np.log(row) for row in likelihood)


# %% right gsnn: with einsum and scipy's entropy; the best prior written down
def gsnn(prior, likelihood, answers):
    bound = np.einsum("z,y,zy->", prior, answers, np.log(likelihood))
    gap = sum(
        f * entropy(prior, prior * column) for f, column in zip(answers, likelihood.T, strict=True)
    )
    best = np.eye(len(prior))[np.argmax(np.log(likelihood) @ answers)]
    return bound, gap, np.einsum("z,y,zy->", best, answers, np.log(likelihood))


# %% mistake mix: takes the hybrid for the bound of the mixture
def hybrid_and_mixture(alpha, q, prior, likelihood):
    cvae = q @ (np.log(prior) + np.log(likelihood) - np.log(q))
    hybrid = alpha * cvae + (1 - alpha) * prior @ np.log(likelihood)
    return hybrid, hybrid


# %% mistake mix: draws the GSNN's z from q
def hybrid_and_mixture(alpha, q, prior, likelihood):
    kl, explained = q @ np.log(q / prior), q @ np.log(likelihood)
    r = alpha * q + (1 - alpha) * prior
    mixed = r @ np.log(prior * likelihood / r)
    return alpha * (explained - kl) + (1 - alpha) * explained, mixed


# %% mistake mix: charges the mixture α KL(q‖p(z|x)), as if the divergence were linear
def hybrid_and_mixture(alpha, q, prior, likelihood):
    kl, r = q @ np.log(q / prior), alpha * q + (1 - alpha) * prior
    hybrid = alpha * (q @ np.log(likelihood) - kl) + (1 - alpha) * prior @ np.log(likelihood)
    return hybrid, r @ np.log(likelihood) - alpha * kl


# %% mistake mix: α and 1 − α change places
def hybrid_and_mixture(alpha, q, prior, likelihood):
    def bound(r):
        return r @ np.log(prior * likelihood / r)

    beta = 1 - alpha
    return beta * bound(q) + alpha * bound(prior), bound(beta * q + alpha * prior)


# %% mistake mix: forgets that r, too, pays for leaving the prior
def hybrid_and_mixture(alpha, q, prior, likelihood):
    cvae = q @ np.log(prior * likelihood / q)
    r = alpha * q + (1 - alpha) * prior
    return alpha * cvae + (1 - alpha) * prior @ np.log(likelihood), r @ np.log(likelihood)


# %% right mix: reconstruction less divergence
def hybrid_and_mixture(alpha, q, prior, likelihood):
    r = alpha * q + (1 - alpha) * prior
    explained = np.array([q, prior, r]) @ np.log(likelihood)
    cvae, gsnn_, mixed = explained - [entropy(q, prior), 0, entropy(r, prior)]
    return alpha * cvae + (1 - alpha) * gsnn_, mixed


# %% right mix: by the gaps to log p(y|x)
def hybrid_and_mixture(alpha, q, prior, likelihood):
    joint = prior * likelihood
    log_p, posterior = np.log(joint.sum()), joint / joint.sum()
    gap = alpha * entropy(q, posterior) + (1 - alpha) * entropy(prior, posterior)
    return log_p - gap, log_p - entropy(alpha * q + (1 - alpha) * prior, posterior)


# %% mistake blur: ½ for every pixel, though the regressor may choose
def nats_lost(patterns, weights):
    return patterns.shape[1] * np.log(2) + xlogy(weights, weights).sum()


# %% mistake blur: what the regressor pays in all, not what it pays too much
def nats_lost(patterns, weights):
    ink = weights @ patterns
    return -(xlogy(ink, ink) + xlogy(1 - ink, 1 - ink)).sum()


# %% mistake blur: a mean over the pixels, where logarithms of a product add up
def nats_lost(patterns, weights):
    ink = weights @ patterns
    stated = xlogy(ink, ink) + xlogy(1 - ink, 1 - ink)
    return (xlogy(weights, weights).sum() - stated.sum()) / patterns.shape[1]


# %% mistake blur: scores the ink and forgets the paper
def nats_lost(patterns, weights):
    ink = weights @ patterns
    return xlogy(weights, weights).sum() - xlogy(ink, ink).sum()


# %% mistake blur: all patterns equally frequent
def nats_lost(patterns, weights):
    ink = patterns.mean(0)
    return -np.log(len(patterns)) - (xlogy(ink, ink) + xlogy(1 - ink, 1 - ink)).sum()


# %% mistake blur: 0 · log 0 left to the computer
def nats_lost(patterns, weights):
    ink = weights @ patterns
    stated = ink * np.log(ink) + (1 - ink) * np.log(1 - ink)
    return weights @ np.log(weights) - stated.sum()


# %% mistake blur: the blurred image rounded to the likeliest value of each pixel
def nats_lost(patterns, weights):
    answer = (weights @ patterns > 0.5).astype(int)
    same = np.all(patterns == answer, axis=1)
    return -np.log(weights[same].sum()) if same.any() else np.inf


# %% right blur: as a KL divergence from the truth to the product
def nats_lost(patterns, weights):
    ink = weights @ patterns
    product = np.prod(np.where(patterns == 1, ink, 1 - ink), axis=1)
    return entropy(weights, product / product.sum()) - np.log(product.sum())


# %% right blur: entropies of the pixels less the entropy of the patterns
def nats_lost(patterns, weights):
    ink = np.average(patterns, axis=0, weights=weights)
    return sum(entropy([p, 1 - p]) for p in ink) - entropy(weights)


# %% mistake rest: leaves the seen pixels out, but still averages the draws pixel by pixel
def mended(p, image, seen):
    ink = p.mean(0)
    return np.sum(np.where(image == 1, np.log(ink), np.log(1 - ink))[~seen])


# %% mistake rest: multiplies within a draw, but still scores the seen pixels
def mended(p, image, seen):
    whole = np.where(image == 1, np.log(p), np.log(1 - p)).sum(1)
    return logsumexp(whole) - np.log(len(p))


# %% mistake rest: averages logarithms, which is the GSNN's bound
def mended(p, image, seen):
    return np.where(image == 1, np.log(p), np.log(1 - p))[:, ~seen].sum(1).mean()


# %% mistake rest: leaves the logarithms, so that a large image has probability zero
def mended(p, image, seen):
    chances = np.where(image == 1, p, 1 - p)[:, ~seen].prod(1)
    return np.log(chances.mean())


# %% mistake rest: takes `seen` for the pixels to score
def mended(p, image, seen):
    whole = np.where(image == 1, np.log(p), np.log(1 - p))[:, seen].sum(1)
    return logsumexp(whole) - np.log(len(p))


# %% mistake rest: sums over the draws
def mended(p, image, seen):
    return logsumexp(np.where(image == 1, np.log(p), np.log(1 - p))[:, ~seen].sum(1))


# %% right rest: the unseen part cut out first, and the greatest taken out by hand
def mended(p, image, seen):
    p, y = p[:, ~seen], image[~seen]
    whole = np.log(p) @ y + np.log1p(-p) @ (1 - y)
    top = whole.max()
    return top + np.log(np.mean(np.exp(whole - top)))


# %% right rest: draw by draw, with np.logaddexp
def mended(p, image, seen):
    total = -np.inf
    for row in p:
        unseen = [
            np.log(a if b else 1 - a) for a, b, s in zip(row, image, seen, strict=True) if not s
        ]
        total = np.logaddexp(total, sum(unseen))
    return total - np.log(p.shape[0])


# %% mistake weights: predicts that q is always the better source
def varies_less():
    return {"careful": "q", "hasty": "q", "idle": "q"}


def relative_variance(prior, likelihood, source):
    weight = likelihood * prior / source
    mean = source @ weight
    return source @ (weight - mean) ** 2 / mean**2


# %% mistake weights: leaves the prior out of the weight of (5.8)
def varies_less():
    return {"careful": "q", "hasty": "prior", "idle": "prior"}


def relative_variance(prior, likelihood, source):
    weight = likelihood / source
    mean = source @ weight
    return source @ (weight - mean) ** 2 / mean**2


# %% mistake weights: treats the values of z as equally frequent draws
def varies_less():
    return {"careful": "q", "hasty": "prior", "idle": "prior"}


def relative_variance(prior, likelihood, source):
    weight = likelihood * prior / source
    return weight.var() / weight.mean() ** 2


# %% mistake weights: the variance of the logarithm of the weight
def varies_less():
    return {"careful": "q", "hasty": "prior", "idle": "prior"}


def relative_variance(prior, likelihood, source):
    log_w = np.log(likelihood * prior / source)
    return source @ (log_w - source @ log_w) ** 2


# %% mistake weights: a variance in its own units, not relative to the mean
def varies_less():
    return {"careful": "q", "hasty": "prior", "idle": "prior"}


def relative_variance(prior, likelihood, source):
    weight = likelihood * prior / source
    return source @ weight**2 - (source @ weight) ** 2


# %% mistake weights: forgets to weigh the draws, so that the source shifts the mean
def varies_less():
    return {"careful": "q", "hasty": "prior", "idle": "prior"}


def relative_variance(prior, likelihood, source):
    mean = source @ likelihood
    return source @ (likelihood - mean) ** 2 / mean**2


# %% right weights: mean square over squared mean
def varies_less():
    return dict(careful="q", hasty="prior", idle="prior")


def relative_variance(prior, likelihood, source):
    joint = prior * likelihood
    return np.sum(joint**2 / source) / joint.sum() ** 2 - 1


# %% right weights: by numpy's average, from the posterior
def varies_less():
    return {"idle": "prior", "hasty": "prior", "careful": "q"}


def relative_variance(prior, likelihood, source):
    posterior = prior * likelihood / np.dot(prior, likelihood)
    return np.average((posterior / source - 1) ** 2, weights=source)


# %% mistake weights: replaces the cases, and fits the answer to them
cases, prior = {}, np.ones(1)


def varies_less():
    return {"careful": "q", "hasty": "prior", "idle": "prior"}


def relative_variance(prior, likelihood, source):
    return 0.0
