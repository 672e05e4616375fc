"""A pole is balanced on a cart by a network that learns from nothing but how long it stayed up: policy gradient.

REINFORCE with a baseline (Williams 1992; Sutton and Barto 2018, section 13.4): the network gives the probabilities of
pushing left and right; after a round of episodes each action is made more likely by as much as what followed it was
better than the average. That is cross-entropy with the action as label and the advantage as the row's weight.

python examples/cartpole.py [ROUNDS]            until it balances for 475 of 500 steps, or so many rounds
python examples/cartpole.py [ROUNDS] --torch    then the same rounds with PyTorch, if it is installed, and both speeds
"""

import sys
import time

import numpy as np

from fastnn import Dense, Model, optimizers

EPISODES, STEPS, DISCOUNT = 32, 500, 0.99


class CartPole:
    """Many carts at once. The physics of Barto, Sutton and Anderson (1983) in the units of Gym's CartPole-v1: state
    (position, velocity, angle, angular velocity), a push of 10 N every 0.02 s, over at 2.4 m or 12 degrees."""

    def __init__(self, carts: int, rng: np.random.Generator) -> None:
        self.state = rng.uniform(-0.05, 0.05, (carts, 4))

    def step(self, right: np.ndarray) -> np.ndarray:
        """Push each cart to the right or the left; returns which still stand."""
        _, v, angle, spin = self.state.T
        sin, cos = np.sin(angle), np.cos(angle)
        pull = (np.where(right, 10.0, -10.0) + 0.05 * spin**2 * sin) / 1.1
        turn = (9.8 * sin - cos * pull) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
        self.state += 0.02 * np.stack([v, pull - 0.05 * turn * cos / 1.1, spin, turn], axis=1)
        return (np.abs(self.state[:, 0]) < 2.4) & (np.abs(self.state[:, 2]) < np.radians(12))


class FastnnPolicy:
    def __init__(self) -> None:
        self.model = Model([Dense(4, 64, activation="tanh"), Dense(2, activation="softmax")], seed=0)
        self.model.set(loss="categorical_crossentropy", optimizer=optimizers.Adam(learning_rate=0.01))
        self.model.finalize()

    def probabilities(self, states: np.ndarray) -> np.ndarray:
        return self.model.predict(states)

    def learn(self, states: np.ndarray, actions: np.ndarray, advantages: np.ndarray) -> None:
        self.model.train_on_batch(states, actions, sample_weight=advantages)


class TorchPolicy:
    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.torch = torch
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=0.01)

    def probabilities(self, states: np.ndarray) -> np.ndarray:
        with self.torch.inference_mode():
            return self.net(self.torch.from_numpy(states)).softmax(dim=1).numpy()

    def learn(self, states: np.ndarray, actions: np.ndarray, advantages: np.ndarray) -> None:
        torch = self.torch
        self.optimizer.zero_grad()
        each = torch.nn.functional.cross_entropy(
            self.net(torch.from_numpy(states)), torch.from_numpy(actions), reduction="none"
        )
        (each * torch.from_numpy(advantages)).mean().backward()
        self.optimizer.step()


def play(policy: FastnnPolicy | TorchPolicy, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """A round of episodes, side by side: states (steps, episodes, 4), actions and who stood, (steps, episodes)."""
    carts, standing = CartPole(EPISODES, rng), np.ones(EPISODES, bool)
    states, actions, stood = [], [], []
    while standing.any() and len(states) < STEPS:
        now = carts.state.astype(np.float32)
        right = rng.random(EPISODES) < policy.probabilities(now)[:, 1]
        states.append(now)
        actions.append(right)
        stood.append(standing)
        standing = standing & carts.step(right)
    return np.array(states), np.array(actions), np.array(stood)


def advantages(stood: np.ndarray) -> np.ndarray:
    """Of each step still stood: the discounted steps to come, against the mean over all, in standard deviations."""
    to_come = np.zeros(stood.shape)
    ahead = np.zeros(stood.shape[1])
    for t in range(len(stood) - 1, -1, -1):
        ahead = to_come[t] = stood[t] * (1.0 + DISCOUNT * ahead)
    earned = to_come[stood]
    return ((earned - earned.mean()) / (earned.std() + 1e-9)).astype(np.float32)


def learn(policy: FastnnPolicy | TorchPolicy, rounds: int, goal: float = 475) -> None:
    rng, steps, in_net, start = np.random.default_rng(0), 0, 0.0, time.perf_counter()
    for number in range(1, rounds + 1):
        states, actions, stood = play(policy, rng)
        weights = advantages(stood)
        began = time.perf_counter()
        policy.learn(states[stood], actions[stood].astype(np.int64), weights)
        in_net += time.perf_counter() - began
        steps += stood.sum()
        length = stood.sum(axis=0).mean()
        if number % 10 == 0 or length >= goal or number == rounds:
            print(f"round {number:3}  an episode lasts {length:5.1f} steps")
        if length >= goal:
            break
    seconds = time.perf_counter() - start
    speed = f"{steps / seconds:,.0f} steps a second; learning from a round {in_net / number * 1e3:.2f} ms"
    print(f"{type(policy).__name__}: {speed}")


if __name__ == "__main__":
    given = [a for a in sys.argv[1:] if a != "--torch"]
    rounds = int(given[0]) if given else 200
    learn(FastnnPolicy(), rounds)
    if "--torch" in sys.argv:
        learn(TorchPolicy(), rounds)
