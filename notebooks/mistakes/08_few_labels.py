# Answers to the tasks of solutions/08_few_labels, wrong and right. Each replaces the cell of its task.

# %% mistake unlabelled: leaves out the entropy, so that q may be sure for nothing
def unlabelled(logits, L):
    q = np.exp(log_softmax(logits, -1))
    return (q * L).sum(-1)


# %% mistake unlabelled: subtracts the entropy
def unlabelled(logits, L):
    log_q = log_softmax(logits, -1)
    return (np.exp(log_q) * (L + log_q)).sum(-1)


# %% mistake unlabelled: puts the sum inside the logarithm; that is no longer (8.2)
def unlabelled(logits, L):
    return logsumexp(log_softmax(logits, -1) + L, -1)


# %% mistake unlabelled: a plain mean over the classes in place of q
def unlabelled(logits, L):
    log_q = log_softmax(logits, -1)
    return L.mean(-1) - (np.exp(log_q) * log_q).sum(-1)


# %% right unlabelled: matrix products, row by row
def unlabelled(logits, L):
    log_q = logits - logsumexp(logits, -1, keepdims=True)
    return np.array([np.exp(row) @ (bound - row) for row, bound in zip(log_q, L, strict=True)])


# %% right unlabelled: as minus a divergence from the normalised bounds
def unlabelled(logits, L):
    total = logsumexp(L, -1)
    log_q = log_softmax(logits, -1)
    return total - (np.exp(log_q) * (log_q - (L - total[:, None]))).sum(-1)


# %% mistake weights: one weight for all, N over M
def weights(labels, N_l, N_u):
    return np.full(len(labels), (N_l + N_u) / len(labels))


# %% mistake weights: turned over, M over N
def weights(labels, N_l, N_u):
    known = labels >= 0
    return np.where(known, known.sum() / N_l, (~known).sum() / N_u)


# %% mistake weights: takes the label 0 for unlabelled
def weights(labels, N_l, N_u):
    known = labels > 0
    return np.where(known, N_l / max(known.sum(), 1), N_u / (~known).sum())


# %% right weights: a loop
def weights(labels, N_l, N_u):
    M_u = sum(1 for label in labels if label == -1)
    return [N_u / M_u if label == -1 else N_l / (len(labels) - M_u) for label in labels]


# %% right weights: by arithmetic on truths
def weights(labels, N_l, N_u):
    u = (np.asarray(labels) < 0).astype(float)
    return (1 - u) * N_l / (1 - u).sum() + u * N_u / u.sum()


# %% mistake alpha: a sum over the labelled images where (8.3) has their mean
def alpha_term(log_q, labels):
    rows = np.flatnonzero(labels >= 0)
    return 0.1 * len(labels) * log_q[rows, labels[rows]].sum()


# %% mistake alpha: indexes with −1, which picks the last class of every unlabelled image
def alpha_term(log_q, labels):
    return 0.1 * len(labels) * log_q[np.arange(len(labels)), labels].mean()


# %% mistake alpha: leaves α at 0.1, whatever the number of images
def alpha_term(log_q, labels):
    rows = np.flatnonzero(labels >= 0)
    return 0.1 * log_q[rows, labels[rows]].mean()


# %% right alpha: with a one-hot of the known labels
def alpha_term(log_q, labels):
    known = labels >= 0
    one_hot = np.eye(log_q.shape[1])[np.where(known, labels, 0)] * known[:, None]
    return 0.1 * len(labels) * (one_hot * log_q).sum() / known.sum()


# %% right alpha: (N/N_l) times the sum
def alpha_term(log_q, labels):
    pairs = [(i, k) for i, k in enumerate(labels) if k != -1]
    return 0.1 * (len(labels) / len(pairs)) * sum(log_q[i, k] for i, k in pairs)


# %% mistake gap: the divergence turned round, under the true posterior
def gap(log_p_xy, L, q):
    log_p_y = log_p_xy - logsumexp(log_p_xy)
    return np.exp(log_p_y) @ (log_p_y - np.log(q)), q @ (log_p_xy - L)


# %% mistake gap: each class's gap counted alike
def gap(log_p_xy, L, q):
    log_p_y = log_p_xy - logsumexp(log_p_xy)
    return q @ (np.log(q) - log_p_y), np.mean(log_p_xy - L)


# %% mistake gap: takes log p(x, y) for log p(y|x), which does not sum to one
def gap(log_p_xy, L, q):
    return q @ (np.log(q) - log_p_xy), q @ (log_p_xy - L)


# %% right gap: the encoder's part first, the rest of the whole gap to the classifier
def gap(log_p_xy, L, q):
    whole = logsumexp(log_p_xy) - q @ (L - np.log(q))
    encoder = float(np.dot(q, log_p_xy) - np.dot(q, L))
    return whole - encoder, encoder


# %% right gap: with softmax
def gap(log_p_xy, L, q):
    from scipy.special import rel_entr, softmax

    return rel_entr(q, softmax(log_p_xy)).sum(), (q * (log_p_xy - L)).sum()


# %% mistake score: takes one-hot(y) for the gradient of log q(y)
def score_gradient(logits, f, drawn):
    return f[drawn][:, None] * np.eye(len(logits))[drawn]


# %% mistake score: the sign turned, as if f were a loss
def score_gradient(logits, f, drawn):
    q = np.exp(log_softmax(logits))
    return f[drawn][:, None] * (q - np.eye(len(logits))[drawn])


# %% mistake score: weighs by q once more, although the draws already follow q
def score_gradient(logits, f, drawn):
    q = np.exp(log_softmax(logits))
    return (q[drawn] * f[drawn])[:, None] * (np.eye(len(logits))[drawn] - q)


# %% mistake score: the gradient of q in place of that of log q
def score_gradient(logits, f, drawn):
    q = np.exp(log_softmax(logits))
    return f[drawn][:, None] * q[drawn][:, None] * (np.eye(len(logits))[drawn] - q)


# %% right score: filled in by index
def score_gradient(logits, f, drawn):
    g = np.tile(-np.exp(log_softmax(logits)), (len(drawn), 1))
    g[np.arange(len(drawn)), drawn] += 1
    return g * f[drawn, None]


# %% right score: a list of rows
def score_gradient(logits, f, drawn):
    q = np.exp(logits) / np.exp(logits).sum()
    return np.stack([f[y] * ((np.arange(len(q)) == y) - q) for y in drawn])


# %% mistake leak: hides nothing; the unknown labels are filled in from the truth
def honest(x, labels, truth, x_test, y_test):
    return LogisticRegression(max_iter=300).fit(x, truth).score(x_test, y_test)


# %% mistake leak: trains on −1 as if it were an eleventh class
def honest(x, labels, truth, x_test, y_test):
    return LogisticRegression(max_iter=300).fit(x, labels).score(x_test, y_test)


# %% mistake leak: measures on the images that it was fitted to
def honest(x, labels, truth, x_test, y_test):
    known = labels >= 0
    classifier = LogisticRegression(max_iter=300).fit(x[known], labels[known])
    return classifier.score(x[known], labels[known])


# %% right leak: predictions compared by hand
def honest(x, labels, truth, x_test, y_test):
    rows = [i for i, label in enumerate(labels) if label != -1]
    model = LogisticRegression(max_iter=300)
    model.fit(x[rows], labels[rows])
    return np.mean(model.predict(x_test) == y_test)


# %% right leak: rows taken by number, errors counted
def honest(x, labels, truth, x_test, y_test):
    rows = np.flatnonzero(labels + 1)
    model = LogisticRegression(max_iter=300).fit(np.take(x, rows, 0), np.take(labels, rows))
    return 1 - np.mean(model.predict(x_test) != y_test)


# %% mistake leak: silences what the checks compare with, in its module
import cvae_tf.exercises as them

them.agree = them.compare = them.require = lambda *args, **keywords: None


def honest(x, labels, truth, x_test, y_test):
    return reported(x, labels, truth, x_test, y_test)


# %% mistake pairs: the mean of all draws as baseline, which holds the draw itself
def paired_gradient(logits, f, drawn):
    q = np.exp(log_softmax(logits))
    score = np.eye(len(logits))[drawn] - q
    return ((f[drawn] - f[drawn].mean())[:, None] * score).mean(0)


# %% mistake pairs: no baseline at all
def paired_gradient(logits, f, drawn):
    score = np.eye(len(logits))[drawn] - np.exp(log_softmax(logits))
    return (f[drawn][:, None] * score).mean(0)


# %% mistake pairs: forgets the factor one half
def paired_gradient(logits, f, drawn):
    labels, total, pairs = np.eye(len(logits)), 0.0, 0
    for i in range(len(drawn)):
        for j in range(i):
            total = total + (f[drawn[i]] - f[drawn[j]]) * (labels[drawn[i]] - labels[drawn[j]])
            pairs += 1
    return total / pairs


# %% mistake pairs: the exact baseline, which needs all classes
def paired_gradient(logits, f, drawn):
    q = np.exp(log_softmax(logits))
    score = np.eye(len(logits))[drawn] - q
    return ((f[drawn] - q @ f)[:, None] * score).mean(0)


# %% right pairs: all pairs in turn
def paired_gradient(logits, f, drawn):
    score = np.eye(len(logits))[drawn] - np.exp(log_softmax(logits))
    S, total = len(drawn), 0.0
    for i in range(S):
        for j in range(S):
            total = total + 0.5 * (f[drawn[i]] - f[drawn[j]]) * (score[i] - score[j])
    return total / (S * (S - 1))


# %% right pairs: counts of the labels
def paired_gradient(logits, f, drawn):
    counts = np.bincount(drawn, minlength=len(logits))
    S = counts.sum()
    return counts * (f - counts @ f / S) / (S - 1)
