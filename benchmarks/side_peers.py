"""The peers' sides: PyTorch (eager, compiled, CUDA graphs), JAX (jitted step, scan), Pyro's SVI.

    python benchmarks/side_peers.py SIDE ROW

Runs in an environment of its own (benchmarks/requirements-peers.txt), without TensorFlow. On a GPU
(CVAE_TF_DEVICE=gpu) the data lie there before the first step, as ours do; JAX finds it by itself;
and PyTorch multiplies in TF32, as TensorFlow and JAX do where the card can.
"""

import sys

import numpy as np
import setting


def problem(row):
    x, y, labels = setting.data(row)
    _, y_dim, _, z, batch, num_rows, epochs = setting.row(row)
    sizes = {} if "convolutional" in row else setting.factors(row)
    nets = {name: setting.weights(shape) for name, shape in sizes.items()}
    given = y if y_dim else None
    observed = np.arange(num_rows) % 10 == 0  # M2: every tenth label is known
    return x, given, labels, observed, z, batch, num_rows, epochs, nets


# PyTorch ------------------------------------------------------------------------------------


def torch_model(row):
    import torch
    from torch import nn
    from torch.nn import functional as F

    device = "cuda" if setting.DEVICE == "gpu" else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("PyTorch finds no GPU.")
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
    x, given, labels, observed, z_dim, batch, num_rows, epochs, arrays = problem(row)
    torch.manual_seed(0)

    def mlp(layers):
        modules = []
        for kernel, bias in layers:
            linear = nn.Linear(*kernel.shape)
            linear.weight.data = torch.tensor(kernel.T.copy())
            linear.bias.data = torch.tensor(bias)
            modules += [linear, nn.ReLU()]
        return nn.Sequential(*modules[:-1])

    if "convolutional" in row:
        filters = setting.row(row)[2]
        nets = {
            "posterior": nn.Sequential(
                nn.Conv2d(1, filters, 3, 2, 1), nn.ReLU(),
                nn.Conv2d(filters, 2 * filters, 3, 2, 1), nn.ReLU(),
                nn.Flatten(), nn.Linear(2 * filters * 49, 128), nn.ReLU(), nn.Linear(128, 2 *
                z_dim),
            ),
            "likelihood": nn.Sequential(
                nn.Linear(z_dim, 128), nn.ReLU(), nn.Linear(128, 2 * filters * 49), nn.ReLU(),
                nn.Unflatten(1, (2 * filters, 7, 7)),
                nn.ConvTranspose2d(2 * filters, filters, 3, 2, 1, 1), nn.ReLU(),
                nn.ConvTranspose2d(filters, filters, 3, 2, 1, 1), nn.ReLU(),
                nn.Conv2d(filters, 1, 3, 1, 1),
            ),
        }  # fmt: skip
        x = x.reshape(-1, 1, 28, 28)
    else:
        nets = {name: mlp(layers) for name, layers in arrays.items()}
    module = nn.ModuleDict(nets).to(device)

    def gaussian(raw):
        mean, raw_scale = raw.chunk(2, -1)
        return mean, setting.MIN_SCALE + F.softplus(raw_scale)

    def kl_of(mean, scale, prior_mean, prior_scale):
        return (
            torch.log(prior_scale / scale)
            + (scale**2 + (mean - prior_mean) ** 2) / (2 * prior_scale**2)
            - 0.5
        ).sum(-1)

    one = torch.ones((), device=device)

    def negative_bound(x, y):
        mean, scale = gaussian(module["posterior"](x if y is None else torch.cat([x, y], -1)))
        z = mean + scale * torch.randn_like(mean)
        if y is None or "prior" not in nets:
            kl = kl_of(mean, scale, 0 * one, one)
        else:
            kl = kl_of(mean, scale, *gaussian(module["prior"](y)))
        logits = module["likelihood"](z if y is None else torch.cat([y, z], -1))
        entropies = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return entropies.flatten(1).sum(-1) + kl

    def loss_of(x, y):
        if not setting.is_m2(row):
            return negative_bound(x, y).mean()
        return m2_loss(x, y)

    eye = torch.eye(setting.CLASSES, device=device)

    def m2_loss(x, labels):  # (8.3), as the mean over examples
        size = len(x)
        every_y = eye.repeat_interleave(size, 0)  # [C·B, C]
        each = -negative_bound(x.repeat(setting.CLASSES, 1), every_y).view(setting.CLASSES, size)
        each = each - float(np.log(setting.CLASSES))
        log_q = F.log_softmax(module["classifier"](x), -1).T  # [C, B]
        unlabelled = (log_q.exp() * (each - log_q)).sum(0)
        index = labels.clamp(min=0)[None]
        of_label = each.gather(0, index)[0] + M2_WEIGHT * log_q.gather(0, index)[0]
        return -torch.where(labels >= 0, of_label, unlabelled).mean()

    M2_WEIGHT = float(setting.M2_ALPHA * num_rows / observed.sum())
    x = torch.tensor(x, device=device)
    if setting.is_m2(row):
        given = torch.tensor(np.where(observed, labels, -1), device=device)
    elif given is not None:
        given = torch.tensor(given, device=device)
    optimizer = torch.optim.Adam(
        module.parameters(), setting.LEARNING_RATE, fused=True, capturable=device == "cuda"
    )
    return torch, x, given, loss_of, optimizer, batch, num_rows, epochs


def torch_side(row, compiled=False, graphs=False):
    torch, x, given, loss_of, optimizer, batch, num_rows, epochs = torch_model(row)
    loss_of = torch.compile(loss_of) if compiled else loss_of
    last = [0.0]

    def step(rows):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(x[rows], None if given is None else given[rows])
        loss.backward()
        optimizer.step()
        return loss.detach()

    full = _captured(torch, step, torch.arange(batch, device=x.device)) if graphs else step

    def play():
        for _ in range(epochs):
            order = torch.randperm(num_rows, device=x.device)
            total = torch.zeros((), device=x.device)
            for rows in order.split(batch):
                loss = full(rows) if len(rows) == batch else step(rows)
                total += loss * len(rows)
            last[0] = float(total) / num_rows  # waits for the device
        return epochs * -(-num_rows // batch)

    return play, lambda: last[0]


def _captured(torch, step, rows):
    """The step as one CUDA graph, replayed on row numbers copied to where it reads them."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # what is made at the first steps must not be captured
        for _ in range(3):
            step(rows)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step(rows)

    def replay(now):
        rows.copy_(now)
        graph.replay()
        return loss

    return replay


# JAX ----------------------------------------------------------------------------------------


def jax_side(row, scan):
    import jax
    import jax.numpy as jnp
    import optax

    if setting.DEVICE == "gpu" and jax.default_backend() != "gpu":
        raise RuntimeError("JAX finds no GPU.")
    x, given, labels, observed, z_dim, batch, num_rows, epochs, nets = problem(row)
    m2 = setting.is_m2(row)
    if "convolutional" in row:
        nets, net = _jax_convolutional(jax, jnp, setting.row(row)[2], z_dim)
        x = x.reshape(-1, 28, 28, 1)
    else:

        def net(layers, h):
            for kernel, bias in layers[:-1]:
                h = jax.nn.relu(h @ kernel + bias)
            kernel, bias = layers[-1]
            return h @ kernel + bias

    def gaussian(raw):
        mean, raw_scale = jnp.split(raw, 2, -1)
        return mean, setting.MIN_SCALE + jax.nn.softplus(raw_scale)

    def negative_bound(nets, x, y, key):
        mean, scale = gaussian(
            net(nets["posterior"], x if y is None else jnp.concatenate([x, y], -1))
        )
        z = mean + scale * jax.random.normal(key, mean.shape)
        prior_mean, prior_scale = (0.0, 1.0)
        if y is not None and "prior" in nets:
            prior_mean, prior_scale = gaussian(net(nets["prior"], y))
        kl = jnp.log(prior_scale / scale) - 0.5
        kl += (scale**2 + (mean - prior_mean) ** 2) / (2 * prior_scale**2)
        logits = net(nets["likelihood"], z if y is None else jnp.concatenate([y, z], -1))
        entropies = optax.sigmoid_binary_cross_entropy(logits, x)
        return entropies.reshape(len(x), -1).sum(-1) + kl.sum(-1)

    weight = setting.M2_ALPHA * num_rows / observed.sum()

    def loss_of(nets, x, y, key):
        if not m2:
            return negative_bound(nets, x, y, key).mean()
        size, classes = len(x), setting.CLASSES
        every_y = jnp.repeat(jnp.eye(classes), size, 0)
        each = -negative_bound(nets, jnp.tile(x, (classes, 1)), every_y, key).reshape(classes, size)
        each = each - np.log(classes)
        log_q = jax.nn.log_softmax(net(nets["classifier"], x)).T
        unlabelled = (jnp.exp(log_q) * (each - log_q)).sum(0)
        index = jnp.maximum(y, 0)[None]
        of_label = jnp.take_along_axis(each + weight * log_q, index, 0)[0]
        return -jnp.where(y >= 0, of_label, unlabelled).mean()

    x = jnp.asarray(x)
    y = jnp.asarray(np.where(observed, labels, -1)) if m2 else given
    y = None if y is None else jnp.asarray(y)
    optimizer = optax.adam(setting.LEARNING_RATE)
    params = jax.tree.map(jnp.asarray, nets)
    state = [params, optimizer.init(params), jax.random.PRNGKey(0), 0.0]
    num_full = num_rows // batch

    def step(carry, inputs):
        params, moments = carry
        rows, key = inputs
        loss, gradients = jax.value_and_grad(loss_of)(
            params, x[rows], None if y is None else y[rows], key
        )
        updates, moments = optimizer.update(gradients, moments)
        return (optax.apply_updates(params, updates), moments), loss

    jitted, shuffler = jax.jit(step), np.random.default_rng(0)

    @jax.jit
    def epoch(params, moments, key):
        key_order, key_noise, key_short = jax.random.split(key, 3)
        order = jax.random.permutation(key_order, num_rows)
        full = order[: num_full * batch].reshape(num_full, batch)
        carry, losses = jax.lax.scan(
            step, (params, moments), (full, jax.random.split(key_noise, num_full))
        )
        total = losses.sum() * batch
        if num_rows % batch:
            short = order[num_full * batch :]
            carry, loss = step(carry, (short, key_short))
            total += loss * len(short)
        return *carry, total / num_rows

    def play():
        for _ in range(epochs):
            state[2], key = jax.random.split(state[2])
            if scan:
                state[0], state[1], loss = epoch(state[0], state[1], key)
                state[3] = float(loss)
                continue
            order, total = shuffler.permutation(num_rows), 0.0
            for index in range(0, num_rows, batch):
                key, now = jax.random.split(key)
                rows = order[index : index + batch]
                carry, loss = jitted((state[0], state[1]), (rows, now))
                state[0], state[1] = carry
                total = total + loss * len(rows)
            state[3] = float(total) / num_rows
        return epochs * -(-num_rows // batch)

    return play, lambda: state[3]


def _jax_convolutional(jax, jnp, filters, z_dim):
    rng = np.random.default_rng(0)

    def glorot(*shape):
        receptive = int(np.prod(shape[:-2]))
        limit = np.sqrt(6 / (receptive * (shape[-2] + shape[-1])))
        return rng.uniform(-limit, limit, shape).astype("float32"), np.zeros(shape[-1], "float32")

    f = filters
    nets = {
        "posterior": [
            glorot(3, 3, 1, f), glorot(3, 3, f, 2 * f), glorot(98 * f, 128), glorot(128, 2 * z_dim),
        ],
        "likelihood": [
            glorot(z_dim, 128), glorot(128, 98 * f), glorot(3, 3, 2 * f, f),
            glorot(3, 3, f, f), glorot(3, 3, f, 1),
        ],
    }  # fmt: skip
    dims = ("NHWC", "HWIO", "NHWC")

    def conv(h, layer, stride):
        return (
            jax.lax.conv_general_dilated(
                h, layer[0], (stride, stride), "SAME", dimension_numbers=dims
            )
            + layer[1]
        )

    def up(h, layer):
        return (
            jax.lax.conv_transpose(h, layer[0], (2, 2), "SAME", dimension_numbers=dims) + layer[1]
        )

    def net(layers, h):
        relu = jax.nn.relu
        if len(layers) == 4:
            h = relu(conv(relu(conv(h, layers[0], 2)), layers[1], 2)).reshape(len(h), -1)
            return relu(h @ layers[2][0] + layers[2][1]) @ layers[3][0] + layers[3][1]
        h = relu(h @ layers[0][0] + layers[0][1])
        h = relu(h @ layers[1][0] + layers[1][1]).reshape(len(h), 7, 7, 2 * f)
        return conv(relu(up(relu(up(h, layers[2])), layers[3])), layers[4], 1)

    return nets, net


# Pyro ---------------------------------------------------------------------------------------


def pyro_side(row):
    import pyro
    import torch
    from pyro import distributions as dist
    from torch import nn
    from torch.nn import functional as F

    x, given, _, _, z_dim, batch, num_rows, epochs, arrays = problem(row)
    assert given is None, "Pyro runs the VAE's rows"
    torch.manual_seed(0)
    pyro.clear_param_store()

    def mlp(layers):
        modules = []
        for kernel, bias in layers:
            linear = nn.Linear(*kernel.shape)
            linear.weight.data, linear.bias.data = torch.tensor(kernel.T.copy()), torch.tensor(bias)
            modules += [linear, nn.ReLU()]
        return nn.Sequential(*modules[:-1])

    encoder, decoder = mlp(arrays["posterior"]), mlp(arrays["likelihood"])

    def model(x):
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x), z_dim), 1.0).to_event(1))
            pyro.sample(
                "x", dist.Bernoulli(logits=decoder(z), validate_args=False).to_event(1), obs=x
            )

    def guide(x):
        pyro.module("encoder", encoder)
        mean, raw = encoder(x).chunk(2, -1)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(mean, setting.MIN_SCALE + F.softplus(raw)).to_event(1))

    pyro.enable_validation(False)
    svi = pyro.infer.SVI(
        model,
        guide,
        pyro.optim.Adam({"lr": setting.LEARNING_RATE}),
        pyro.infer.TraceMeanField_ELBO(),
    )
    x, last = torch.tensor(x), [0.0]

    def play():
        # SVI sums over the batch; Adam's step does not depend on the scale of the loss.
        for _ in range(epochs):
            total = sum(svi.step(x[rows]) for rows in torch.randperm(num_rows).split(batch))
            last[0] = total / num_rows
        return epochs * -(-num_rows // batch)

    return play, lambda: last[0]


SIDES = {
    "PyTorch, eager": torch_side,
    "PyTorch, compiled": lambda row: torch_side(row, compiled=True),
    "PyTorch, CUDA graphs": lambda row: torch_side(row, graphs=True),
    "JAX, jitted step": lambda row: jax_side(row, scan=False),
    "JAX, scan": lambda row: jax_side(row, scan=True),
    "Pyro, SVI": pyro_side,
}

if __name__ == "__main__":
    side, row = sys.argv[1:]
    setting.serve(lambda: SIDES[side](row))
