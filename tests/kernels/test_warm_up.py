"""What is compiled beforehand is all that environments need."""

import json
import subprocess
import sys

CODE = """
import json
import gymnasium as gym
import numba.core.event as event
from splitgym.warm_up import warm_up

warm_up()
compiled = []

class Listener(event.Listener):
    def on_start(self, of):
        compiled.append(of.data["dispatcher"].py_func.__module__)
    def on_end(self, of):
        pass

event.register("numba:compile", Listener())
for scenario, framework, learner, action in (
    ("toy", "cpsl", "train", "discrete"),
    ("three-tier", "hierarchical", "surrogate", "schedule"),
    ("iot-family", "epsl", "surrogate", "priority"),
    ("bandwidth-limited", "epsl", "surrogate", "continuous"),
):
    for sharing in ("static", "on-demand"):
        what = dict(scenario=scenario, framework=framework, learner=learner, action=action, radio={"sharing": sharing})
        env = gym.make("SplitLearning-v0", **what)
        env.reset(seed=0)
        env.step(env.action_space.sample())
        envs = gym.make_vec("SplitLearning-v0", num_envs=3, vectorization_mode="vector_entry_point", **what)
        envs.reset(seed=0)
        envs.step(envs.action_space.sample())
print(json.dumps([module for module in compiled if module.startswith("splitgym")]))
"""


def test_after_the_warm_up_nothing_is_compiled_for_another_scenario_framework_learner_or_number_of_environments():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
