"""Episodes made by hand."""

import numpy as np

from splitgym.evaluation import Episode


def episode(agent="a", seed=0, accuracy=(0.2, 0.6, 0.5, 0.9), target=0.6, budget=20.0, scenario="s"):
    """Latencies of 1, 2, 3, .. s; 10 J per second; accuracy 0.1 before the first round."""
    accuracy = np.array(accuracy)
    latency = np.arange(1.0, len(accuracy) + 1)
    return Episode(scenario, agent, seed, target, budget, np.cumsum(latency), accuracy, latency, 10 * latency, 0.1)


EPISODES = [
    episode("slow", 1, target=0.9),  # 10 s
    episode("slow", 0, target=0.95),  # missed: 20 s
    episode("fast", 0),  # 3 s
    episode("fast", 1, accuracy=(0.6, 0.8)),  # 1 s
]
