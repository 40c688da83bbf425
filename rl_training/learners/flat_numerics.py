"""The numerics of `rl_training.learners.flat_ppo`: arrays in, arrays out.

Dense layers with tanh between them, their hand-written backward pass, PPO's losses, gradient clipping and Adam over
one flat parameter vector. Every array starts on a 64-byte boundary, because matrix products change in the last bits
with the alignment of their operands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from stable_baselines3.common.policies import ActorCriticPolicy

Array = npt.NDArray[np.float32]

_LINE_BYTES = 64
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)


def aligned(*shape: int) -> Array:
    """Float32 zeros of this shape that start on a 64-byte boundary."""
    size = prod(shape) * 4
    # numpy promises no such boundary: take a line too much and start at the first one within.
    raw = np.zeros(size + _LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % _LINE_BYTES
    return raw[start : start + size].view(np.float32).reshape(shape)


class FlatParameters:
    """Weights, gradients and Adam moments of a policy, each one flat vector of the same layout.

    The parameters of the policy, their `.grad` and the state of its optimiser become views of these vectors, so
    torch and the matrix products here always see the same numbers. The gaps that alignment leaves stay zero.
    """

    def __init__(self, policy: ActorCriticPolicy) -> None:
        self._parameters = dict(policy.named_parameters())
        self._places: dict[str, tuple[int, tuple[int, ...]]] = {}
        size = 0
        for name, parameter in self._parameters.items():
            self._places[name] = (size, tuple(parameter.shape))
            # Up to a whole line, so that the next parameter begins on a boundary too.
            size += -(-parameter.numel() * 4 // _LINE_BYTES) * _LINE_BYTES // 4
        self.weights, self.gradients, self.adam_m, self.adam_v = (aligned(size) for _ in range(4))
        # torch counts Adam's steps for each parameter; here all take the same steps, so any of them is the count.
        self._steps = np.zeros(len(self._places), np.float32)
        weights, gradients = self.views(self.weights), self.views(self.gradients)
        for name, parameter in self._parameters.items():
            weights[name][...] = parameter.detach().numpy()
            # The parameter objects stay: optimiser and policy refer to them.
            parameter.data = torch.from_numpy(weights[name])
            parameter.grad = torch.from_numpy(gradients[name])
        self.link_optimizer(policy.optimizer)

    def views(self, vector: Array) -> dict[str, Array]:
        """A vector of this layout as one array per parameter, by the parameter's name."""
        return {
            name: vector[start : start + prod(shape)].reshape(shape) for name, (start, shape) in self._places.items()
        }

    @property
    def adam_step(self) -> int:
        """How many Adam steps the weights have taken."""
        return int(self._steps[0])

    @adam_step.setter
    def adam_step(self, step: int) -> None:
        self._steps[:] = step

    def link_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the optimiser's state views of the moments here, taking over what it holds now."""
        moments_m, moments_v = self.views(self.adam_m), self.views(self.adam_v)
        for row, (name, parameter) in enumerate(self._parameters.items()):
            # Loading puts new tensors into the state: their values are taken over, and views put back in their place.
            state = optimizer.state[parameter]
            held = ((moments_m[name], "exp_avg"), (moments_v[name], "exp_avg_sq"))
            for moment, key in held:
                moment[...] = state[key].numpy() if key in state else _ZERO
                state[key] = torch.from_numpy(moment)
            self._steps[row] = float(state["step"]) if "step" in state else 0.0
            state["step"] = torch.from_numpy(self._steps[row : row + 1]).squeeze()

    def clipped_adam(self, learning_rate: float, betas: tuple[float, float], eps: float, max_norm: float) -> float:
        """Scale the gradients to at most `max_norm`, take one Adam step, return the norm before scaling.

        A norm that is not finite is returned without a step.
        """
        # The gaps are zero, so one product over the whole vector is the norm over all parameters.
        norm = float(np.sqrt(np.dot(self.gradients, self.gradients)))
        # Before the step: a NaN would stay in weights and moments for good.
        if not np.isfinite(norm):
            return norm
        self._steps += _ONE
        step = self.adam_step
        beta1, beta2 = betas
        _adam(
            self.weights, self.gradients, self.adam_m, self.adam_v,
            # As torch clips: with the same small addend, and never enlarging a gradient.
            np.float32(min(max_norm / (norm + 1e-6), 1.0)),
            np.float32(1.0 - beta1), np.float32(beta2), np.float32(1.0 - beta2),
            np.float32(-learning_rate / (1.0 - beta1**step)),
            np.float32((1.0 - beta2**step) ** 0.5), np.float32(eps),
        )  # fmt: skip
        return norm


@dataclass(frozen=True)
class _Layer:
    weight: Array
    bias: Array
    weight_gradient: Array
    bias_gradient: Array


class Tower:
    """Dense layers with tanh between them and a linear last layer, for batches of up to `rows` rows.

    `transposed` keeps a contiguous copy of each weight matrix laid out (inputs, outputs): twice as fast for the
    few rows of a rollout step. Such a tower sees new weights after `refresh()` and cannot go backward.
    """

    def __init__(self, layers: Sequence[_Layer], rows: int, *, transposed: bool = False) -> None:
        self._layers = layers
        self._matrices = [layer.weight.T for layer in layers]
        if transposed:
            self._matrices = [aligned(*matrix.shape) for matrix in self._matrices]
        self._outputs = [aligned(rows, layer.bias.size) for layer in layers]
        self._deltas = [aligned(rows, layer.bias.size) for layer in layers[:-1]]

    def refresh(self) -> None:
        """Copy the present weights."""
        for matrix, layer in zip(self._matrices, self._layers, strict=True):
            matrix[...] = layer.weight.T

    def forward(self, inputs: Array) -> Array:
        """Outputs (rows, outputs) of the last layer; the array is used again by the next call."""
        rows = inputs.shape[0]
        for matrix, layer, output in zip(self._matrices, self._layers, self._outputs, strict=True):
            activation = output[:rows]
            np.dot(inputs, matrix, out=activation)
            _add_bias(activation, layer.bias)
            if layer is not self._layers[-1]:
                np.tanh(activation, out=activation)
            inputs = activation
        return inputs

    def backward(self, inputs: Array, delta: Array) -> None:
        """Write the gradients of all layers, given the loss's derivative by the outputs of `forward(inputs)`."""
        rows = inputs.shape[0]
        np.sum(delta, axis=0, out=self._layers[-1].bias_gradient)
        for index in range(len(self._layers) - 1, 0, -1):
            activation, below = self._outputs[index - 1][:rows], self._deltas[index - 1][:rows]
            np.dot(delta.T, activation, out=self._layers[index].weight_gradient)
            # Weights are [outputs, inputs], as in torch, so going backward needs no transposing.
            np.dot(delta, self._layers[index].weight, out=below)
            _through_tanh(below, activation, self._layers[index - 1].bias_gradient)
            delta = below
        np.dot(delta.T, inputs, out=self._layers[0].weight_gradient)


def towers(parameters: FlatParameters, rows: int, *, transposed: bool = False) -> tuple[Tower, Tower]:
    """The policy's actor (ends in logits) and critic (ends in one value) over its flat parameters."""
    weights, gradients = parameters.views(parameters.weights), parameters.views(parameters.gradients)

    def layers(body: str, head: str) -> list[_Layer]:
        # In the order of the policy's parameters, which is that of the layers.
        hidden = [name.removesuffix(".weight") for name in weights if name.startswith(body)]
        names = [name for name in hidden if not name.endswith(".bias")] + [head]
        return [
            _Layer(*(source[f"{name}.{kind}"] for source in (weights, gradients) for kind in ("weight", "bias")))
            for name in names
        ]

    actor = layers("mlp_extractor.policy_net.", "action_net")
    critic = layers("mlp_extractor.value_net.", "value_net")
    return Tower(actor, rows, transposed=transposed), Tower(critic, rows, transposed=transposed)


@njit(cache=True, error_model="numpy")
def sample_actions(
    logits: Array, uniforms: npt.NDArray[np.float64], actions: npt.NDArray[np.int64], log_probs: Array
) -> bool:
    """Draw each row's action by inverting its cumulative distribution; write it and its log probability.

    False if a row has no distribution because its logits are not finite.
    """
    proper = True
    for i in range(logits.shape[0]):
        # Less the largest logit, exp cannot overflow.
        top = logits[i].max()
        weights = np.exp(logits[i] - top)
        total = np.float32(weights.sum())
        threshold = uniforms[i] * total
        cumulative = 0.0
        actions[i] = 0
        for j in range(logits.shape[1]):
            cumulative += weights[j]
            # Where rounding leaves the sum below the threshold, the last action of any weight stands, no masked one.
            if weights[j] > 0:
                actions[i] = j
            if cumulative > threshold:
                break
        log_probs[i] = logits[i, actions[i]] - (top + np.log(total))
        proper = proper and np.isfinite(log_probs[i])
    return proper


@njit(cache=True, error_model="numpy")
def generalised_advantages(
    rewards: Array,
    values: Array,
    episode_starts: Array,
    last_values: Array,
    last_dones: Array,
    gamma: np.float32,
    gamma_lambda: np.float32,
    advantages: Array,
) -> None:
    """GAE(lambda) over [steps, environments], bit for bit as in stable-baselines3's buffer."""
    steps = rewards.shape[0]
    for env in range(rewards.shape[1]):
        advantage = _ZERO
        going_on, next_value = _ONE - last_dones[env], last_values[env]
        for step in range(steps - 1, -1, -1):
            delta = rewards[step, env] + gamma * next_value * going_on - values[step, env]
            advantage = delta + gamma_lambda * going_on * advantage
            advantages[step, env] = advantage
            # That this step begins an episode is what cuts the step before it off.
            going_on, next_value = _ONE - episode_starts[step, env], values[step, env]


@njit(cache=True, error_model="numpy")
def ppo_losses(
    logits: Array,
    values: Array,
    actions: npt.NDArray[np.int64],
    advantages: Array,
    old_log_probs: Array,
    old_values: Array,
    returns: Array,
    clip_range: float,
    clip_range_vf: float,
    ent_coef: float,
    vf_coef: float,
) -> tuple[float, float, float, float, float, float]:
    """Mean losses; replaces `logits` and `values` by the derivatives of the whole loss by them.

    Loss: -min(A r, A clip(r)) + ent_coef * (-entropy) + vf_coef * (return - value)^2, r the probability ratio.
    """
    count = logits.shape[0]
    low, high = np.float32(1.0 - clip_range), np.float32(1.0 + clip_range)
    per_row, clip_vf = np.float32(1.0 / count), np.float32(clip_range_vf)
    entropy_weight, value_weight = np.float32(ent_coef) * per_row, np.float32(2.0 * vf_coef) * per_row
    policy_loss = value_loss = entropy_sum = kl = clipped = 0.0
    for i in range(count):
        top = logits[i].max()
        log_total = top + np.log(np.float32(np.exp(logits[i] - top).sum()))
        log_probs = logits[i] - log_total
        probs = np.exp(log_probs)
        entropy = _ZERO
        for j in range(logits.shape[1]):
            entropy -= probs[j] * log_probs[j]
        log_ratio = log_probs[actions[i]] - old_log_probs[i]
        ratio = np.exp(log_ratio)
        plain, held = advantages[i] * ratio, advantages[i] * min(max(ratio, low), high)
        # Where the clipped term is the smaller one it is a constant, which has no slope.
        slope = _ZERO
        if plain < held or low <= ratio <= high:
            slope = -advantages[i] * per_row * ratio
        for j in range(logits.shape[1]):
            towards = _ONE if j == actions[i] else _ZERO
            # The second term is the derivative of the negative entropy by a logit: p (log p + entropy).
            logits[i, j] = slope * (towards - probs[j]) + entropy_weight * probs[j] * (log_probs[j] + entropy)
        move = values[i, 0] - old_values[i]
        predicted = values[i, 0] if np.isinf(clip_vf) else old_values[i] + min(max(move, -clip_vf), clip_vf)
        error = predicted - returns[i]
        # A value that moved beyond the clip was replaced by a constant: no slope.
        values[i, 0] = value_weight * error if abs(move) <= clip_vf else _ZERO
        policy_loss -= float(min(plain, held))
        value_loss += float(error * error)
        entropy_sum += float(entropy)
        # This estimate, stable-baselines3's too, is never negative; the mean of -log_ratio can be.
        kl += float((ratio - _ONE) - log_ratio)
        if abs(ratio - _ONE) > np.float32(clip_range):
            clipped += 1.0
    losses = (policy_loss / count, value_loss / count, -entropy_sum / count)
    loss = losses[0] + ent_coef * losses[2] + vf_coef * losses[1]
    return losses[0], losses[1], losses[2], kl / count, clipped / count, loss


@njit(cache=True, error_model="numpy")
def _add_bias(rows: Array, bias: Array) -> None:
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            rows[i, j] += bias[j]


@njit(cache=True, error_model="numpy")
def _through_tanh(delta: Array, activation: Array, bias_gradient: Array) -> None:
    """Carry `delta` in place through tanh; its column sums are the gradient of the layer's bias."""
    bias_gradient[:] = _ZERO
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            # The slope of tanh from its output alone, so that the inputs need not be kept.
            carried = delta[i, j] * (_ONE - activation[i, j] * activation[i, j])
            delta[i, j] = carried
            bias_gradient[j] += carried


@njit(cache=True, error_model="numpy")
def _adam(
    weights: Array,
    gradients: Array,
    adam_m: Array,
    adam_v: Array,
    scale: np.float32,
    one_minus_beta1: np.float32,
    beta2: np.float32,
    one_minus_beta2: np.float32,
    step_size: np.float32,
    root_correction: np.float32,
    eps: np.float32,
) -> None:
    """torch.optim.Adam in its order of operations, in one pass; `step_size` is negative."""
    for i in range(weights.size):
        gradient = gradients[i] * scale
        m = adam_m[i] + one_minus_beta1 * (gradient - adam_m[i])
        v = adam_v[i] * beta2 + one_minus_beta2 * gradient * gradient
        adam_m[i] = m
        adam_v[i] = v
        weights[i] += step_size * m / (np.sqrt(v) / root_correction + eps)
