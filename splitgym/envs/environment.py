"""`SplitLearning-v0`: the Gymnasium environment. The class docstring is the manual."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats
from splitgym.envs.actions import ActionCodec
from splitgym.envs.features import STANDARD, Feature
from splitgym.envs.info import of_one
from splitgym.envs.recorder import Recorder
from splitgym.envs.reset_arguments import check_options, seed_of
from splitgym.envs.scheduling import SchedulerView, checked
from splitgym.envs.simulation import Settings, Simulation, account
from splitgym.envs.spec import JsonableSpec
from splitgym.envs.world import Round
from splitgym.rendering import RENDER_MODES
from splitgym.scenario import Scenario
from splitgym.types import Decision


class SplitLearningEnv(SchedulerView, JsonableSpec, gym.Env[NDArray[np.float32], NDArray[Any]]):
    """Schedules the rounds of a real split-learning training run over a wireless cell.

    ## Description
    C clients hold the data of a learning task. In each round some of them run the first units of a neural network on a
    mini-batch, send the activations (smashed data) over M subchannels to an edge server, which trains the remaining
    units and sends gradients back (efficient parallel split learning, arXiv 2303.15991). A step of the environment is
    one such round: the network is really trained, in PyTorch, and the round's latency, energy and traffic are
    computed from the framework's phases over the simulated cell. The agent decides the round: cut layer, subchannels
    and powers, participating clients, and the aggregation ratio phi.

    `framework=` names what is trained where; every framework really trains, and is timed from its own phases:

    | framework | a round |
    |---|---|
    | `"centralised"` | the server trains the whole network on all clients' mini-batches; nothing is sent |
    | `"fl"` | every client trains the whole network (`training.local_steps` mini-batches); models are averaged |
    | `"sl"` | one client after the other, with the whole band; the client model is handed on |
    | `"sfl-v1"` | in parallel, client models averaged; a server copy for each client, averaged |
    | `"sfl-v2"` | likewise, with one server model that takes the clients one after the other |
    | `"psl"` | in parallel against one server model; client models are never averaged |
    | `"epsl"` | PSL that aggregates last-layer gradients of a fraction phi of the rows |
    | `"psl-drop"` | PSL without that fraction of the rows: the control of EPSL |
    | `"epsl-pt"` | EPSL with phi = 1 first, then PSL; it prescribes phi |
    | `"cpsl"` | clusters one after the other (`training.clusters`); inside, client models averaged, one server model |
    | `"hierarchical"` | PSL in three parts: the units behind a second cut are trained in a cloud |
    | `"multi-hop"` | PSL whose units behind the cut lie on a path of servers, see `placement` of the scenario |
    | `"u-shaped"` | PSL in three parts: clients train the units behind a second cut, too, and keep their labels |
    | `"async-psl"` | PSL of those who have delivered, while the others go on; see below |
    | `"async-sfl"` | likewise; clients fetch common first units and give them back, which are mixed in |

    In `"sl"` and `"cpsl"` subchannels are reallocated in every slot: the clients of the slot keep their own and get
    those of the others, with an even part of the power budgets. Clusters are formed of clients that need about as long.
    A decision that is played past the encodings (`play`) may say the subchannels of every slot itself. A framework of
    one's own is named `module:NAME`: the `splitgym.frameworks.Framework` of that name in a module that can be imported.

    With `radio={"sharing": "on-demand"}` no client waits for others unless it has to: subchannels and power that are
    idle at a moment go to the client that sends or receives then and would be ready last, and the server works for
    clients whose data has arrived (after all of it has, where its batch norm normalises all rows together; to a cloud
    and back, all rows go together). A round is then never longer than with the default, `"static"`, for the same
    decision and participants.

    With `"async-psl"` and `"async-sfl"` a step is one update of the server. A client that is selected begins a
    mini-batch when it has nothing else to do, and its smashed data wait at the server in the order in which they came
    (of equals the lowest index). The update closes when K of them are there (`training.quorum`, 0: of all clients that
    can deliver), or with at least one when `training.patience_s` is over, or at the round's timeout with those that are
    there; the step ends as the server is done with them. They then take their gradients back and go on, the others are
    where they were: rows, cycles and bits that are left are part of the state. A client in flight stays selected, and
    without a subchannel it waits. One that drops out loses its mini-batch; gradients on their way back wait for it.
    Weights change as the server updates: what a client learns counts from there, before it has received it. In
    `"async-sfl"` a client fetches the common units as it begins (`model_down`), and what it has trained counts from
    when it has given it back (`model_up`); accuracy is that of the common units and the server's. A common cut layer or
    codec moves only while nothing is in flight; one of a client's own while that client has nothing in flight.
    `training.client_weights` makes more or less of clients that came seldom. With `training={"label_balancing":
    "generated"}` the server fills up rare classes with rows drawn from Gaussians of the smashed data, after it has
    answered the clients; it takes up the next update when it has done them. Rules search subchannels for a synchronous
    round of all that are selected or in flight and have not delivered; in such a round all should be ready at once, so
    that simple shares are better here (rules: `allocation=proportional-fair`). So `"schedule"` and `"priority"` use the
    descent only where an update waits for all of them, else proportionally fair shares. The surrogate has a calibration
    of its own for `"async-psl"`, with `client_weights = "none"`.

    `learner="surrogate"` puts a model in the place of the training that answers in microseconds what a round teaches
    (skill of the server by class, label biases and drift of the clients, randomness as in real runs), calibrated on
    logs of real runs; cell, timing, actions, observations and rewards are the same code. A scenario without a
    calibration is refused with the command that makes it. Errors on real runs that nothing is fitted to
    (`python -m experiments calibrate.unseen`): accuracy along the run, and that of a second real run with other initial
    weights; rounds to the target; rank correlation of runs by these.

    | calibration | accuracy | of a second run | rounds, median | rank |
    |---|---|---|---|---|
    | `iot`, `iot-family` | 0.06 | 0.04 | 18 % | 0.90 |
    | `iot`, `stragglers` with `"async-psl"` | 0.05 | 0.04 | 13 % | 0.93 |
    | `iot-wide`, 5 to 120 clients | 0.06 | 0.04 | 18 % | 0.91 |
    | `bandwidth-limited` | 0.07 | 0.04 | 17 % | 0.92 |
    | `toy` | 0.05 | 0.06 | 13 % (target 0.6) | 0.91 |
    | `epsl`, `edge6g`, `three-tier`, `hospitals` | 0.09 | 0.09 | not reached | - |

    It is worst with phi above 0.6 (0.10 in `iot` and in `bandwidth-limited`), with less than a third of the clients
    (0.09 and 0.08) and with cuts that move (0.08 and 0.10). Those of the last row have logs of 60 rounds only,
    which end before the target, and reach it rarely or never: do not use their time to target. `"hierarchical"` and
    `"multi-hop"` train the weights of `"psl"`, and have its calibrations.
    Cut layers of the clients' own, and smashed data of 8 or 4 bits, are covered in `iot`; other codecs and few bits at
    the clients are for real training only.

    ## Action Space
    One decision, five encodings of it (`action=`); with L units in the network, C clients, M subchannels, phi levels
    and power levels of the scenario:

    | action | space | components in order |
    |---|---|---|
    | `"discrete"` | MultiDiscrete, 2 M + C + 2 | cut - 1; owner, then power level, of each subchannel; clients; phi |
    | `"continuous"` | Box(-1, 1), 3 C + 2 | cut; clients; spectrum demand of each; power of each; phi |
    | `"schedule"` | MultiDiscrete, C + 2 | cut - 1; clients; phi (subchannels and power: the paper's greedy) |
    | `"priority"` | Box(-1, 1), C + 3 | cut; weight of each client; latency exponent; phi (the rest is searched) |
    | `"rule"` | Discrete, 4 C (L - 1) | ((rule) C + clients - 1) (L - 1) + cut - 1 (the rest as `"schedule"`) |

    Owner C means unused. A client is selected at 1, in the Box above 0. Demands become numbers of subchannels, at least
    one each.

    With `"rule"` one of four rules selects so many clients: `round-robin-k`, `fastest-k`, `highest-loss-k` and
    `loss-per-second-k` in this order, two without the last two where labels are private. Phi is the scenario's
    `training.aggregation_ratio`; of all that a scenario opens, nothing is decided but the common cut layer.

    With `"priority"` client i with entry a_i has weight w_i = 8^{a_i}, at -1 weight 0; the selected set S maximises
    sum w_i / T(S)^p, where T is the expected latency of its round and p = 1 + the exponent's entry. Phi is 0 up to 0.

    A power level is the fraction of the client's whole power budget that it puts on that subchannel. With a framework
    that does not aggregate, the only phi level is 0 and the Box has no phi; what `"epsl-pt"` prescribes is set by
    itself, and `"psl-drop"` has only levels that leave two rows. Every action of the space is legal: one
    that breaks a power budget is scaled down and `info["projected"]` says so; with no client able to take part
    the round's timeout passes and nothing is learnt. An action outside the space raises a ValueError.
    `env.unwrapped.action_masks()` serves MaskablePPO: unavailable clients cannot be selected and, where memory is
    limited, neither can clients without the memory for any cut layer, nor cut layers that no available client can hold,
    nor batch sizes that need more memory than that, nor placements for which nodes lack it.

    An encoding of one's own is a class of `splitgym.envs.actions.ActionCodec`, named `module:NAME`: a list of
    components (those of the package in `splitgym.envs.actions.components`, or one's own) and a function from what they
    say to a decision.

    A scenario may open more of the decision, each with entries behind the cut of the action. With `plan={"cut_layer":
    "by-client"}` every client has a cut layer of its own (C entries instead of one): `"psl"`, `"async-psl"`, and with
    phi = 0 `"epsl"` (where cuts differ, phi is 0), `"sl"`, `"sfl-v1"`, `"sfl-v2"` and `"async-sfl"` train so, rows join
    the server behind their client's cut, and a client that is not selected keeps its units up to its entry. With
    `plan={"second_cut": "decided"}` `"hierarchical"` has one more entry, the last unit at the edge server - 1, no
    smaller than the cut; units that move between edge server and cloud go over the link between them. In `"u-shaped"`
    it is the last unit at the server - 2, at least one behind the cut; units that move at either end of the clients go
    over the radio, and clients keep the last `clients.tail_units` units where it is not decided. With `plan={"codecs":
    ["none", "uniform-8", "top-k:0.1"]}` smashed data and their gradients are encoded, really packed, sent and decoded
    with the codec of the one entry more, an index of the list; with `"codec": "by-client"` too there are C entries
    (where codecs differ, phi is 0; so it is with `"top-k"`, whose gradients differ from client to client); in
    `"u-shaped"` that is so at both cuts. Accuracy is measured behind the codec that each client used last. See
    `splitgym.frameworks.codecs`. With `plan={"quorum": "decided"}` asynchronous frameworks have one more entry, K - 1
    of C values.

    | codec | what is sent of a number |
    |---|---|
    | `"none"` | 32 bit |
    | `"fp16"`, `"bf16"` | 16 bit |
    | `"uniform-8"`, `"uniform-4"`, `"uniform-2"` | so many bits, rounded at random, and a scale for each channel |
    | `"top-k:0.1"`, `"random-top-k:0.1"` | a tenth of the numbers with their places; gradients at these places alone |
    | `"c3:4"`, `"c3-unitary:4"` | a quarter: four rows as the sum of their circular convolutions with keys |

    With `plan={"precisions": [32, 8, 4]}` clients compute with so many bits, an index of the list likewise, by client
    with `"precision": "by-client"`: weights, activations, gradients and momentum are fixed-point numbers, rounded at
    random, without a copy in float32; the server keeps 32 bits. Fewer bits need fewer cycles
    (`clients.cycles_at_bits`), less energy (`clients.energy_exponent`), and fewer bits on the way: what no codec
    encodes is sent in the bits that it has, and so are units that move with the cut. An entry `"32x0.5"` is 32 bits in
    half of the channels: a client with units of its own, and no tail, computes, trains and sends the first channels of
    each of its layers alone, with the cycles and the memory that these need; the server takes the others for zero.

    With `plan={"batch_sizes": [8, 16, 32]}` one entry more, the last of these, says on how many samples each client
    trains, an index of the list; `play` and rules may choose any number from the first to the last. With
    `"batch_size": "by-client"` there are C entries (where batch sizes differ, phi is 0), and a client's weight in the
    round is its share of the rows, see `training.weigh_by`. `training.batch_size` is what is not decided.

    With `plan={"placement": "decided"}` `"multi-hop"` has one entry more, behind these: which servers train what is
    behind the cut, an index of `env.unwrapped.system.program.placed.placements`, those of the scenario's `placement`.
    In a Box there are K entries, a score of each: the highest one is taken, of equal ones the first. Units that change
    their server move before they are needed, with what the optimiser remembers of them.

    With `plan={"clock": "decided"}` there are C entries more, behind those of cuts and lists: the fraction of the
    speed that it has to spare with which each client computes, a level of `actions.clock_levels`, or in a Box 0.1 to 1.
    A client with half its clock computes for twice as long and spends a quarter of the energy on each cycle.

    With `fed_server={"interval_rounds": 5}` clients' parts are averaged in every fifth round of `"sfl-v1"` and
    `"sfl-v2"`. In between they are the clients' own and the cut layer stays, whatever an action says: it moves when the
    mean is fetched, in the round after. With `plan={"averaging": "decided"}` there is one more entry, behind those of
    lists: 1 if the round ends with the mean, 0 if not. `fed_server={"node": "cloud"}` averages behind the link to the
    cloud.

    ## Observation Space
    Box(0, 1), float32, of what the scheduler *believes* (channel knowledge may be stale or noisy). "squashed at r" is
    x / (x + r). `env.unwrapped.observation_names` names every index.

    | index | what |
    |---|---|
    | 0 .. C-1 | channel: spectral efficiency with p_max over the whole band, squashed at 4 bit/s/Hz; mean over k |
    | C .. 2C-1 | compute to spare, squashed at the geometric mean of the scenario's slowest and fastest client |
    | 2C .. 3C-1 | training loss of the client's last mini-batch, squashed at ln(classes) |
    | 3C .. 4C-1 | data share times C, squashed at 1 |
    | 4C .. 5C-1 | available (1) or not (0), as announced before the last round: clients drop out during a round |
    | 5C .. 6C-1 | took part in the last round |
    | 6C .. 7C-1 | cut layer up to which the client's own part is valid, over L - 1; 0 if it has none |
    | 7C .. 8C-1 | rounds since the client took part, or since the episode began, squashed at 4 |
    | 8C .. 9C-1 | rounds in which the client took part, squashed at 16 |
    | 9C .. 10C-1 | diversity of the client's data: effective number of its classes, 1 / sum p^2, over K |
    | 10C .. 11C-1 | novelty of the client's classes, squashed at 1; see below |
    | 11C | test accuracy |
    | 11C+1 | cut layer of the last round that trained, over L - 1 (0: none yet) |
    | 11C+2 | aggregation ratio of the last round |
    | 11C+3 | latency of the last round, squashed at time budget / round budget |
    | 11C+4 | fraction of the round budget left |
    | 11C+5 | fraction of the time budget left |
    | 11C+6 .. | only with `action="discrete"`: channel of every client and subchannel, C M values, client by client |

    Labels travel with the smashed data, so the server may know of what classes the clients' data are: client i has the
    fraction p of class k. Novelty is the sum over k of p / (t + 0.05), with t what the rounds so far have taught of
    class k over the mean of all K classes; a client counts with its data share times half a round more than it took
    part in. Where labels are private (with `"u-shaped"`, or `knowledge={"labels": "private"}`) loss, diversity and
    novelty are not shown, `state.client_loss` and `state.class_share` have no entries, and rules that read them are
    refused; with `knowledge={"labels": "reported"}` clients report them. Test accuracy, on data of the operator, and
    the mean loss in `info`, which is for the log, are there all the same.

    Before that last row, if the scenario's `family` draws them: `present[i]`, C values, 1 for clients that belong to
    the episode (all that is said of the others is 0), and `bandwidth` of a subchannel, squashed at the scenario's. And
    with several codecs `codec[i]`, C values: that with which the client took part last, its index over the last one's.
    And where the clients' memory is limited `memory[i]`, C values: the deepest cut layer that the client can hold, over
    L - 1. And where batch sizes are decided, C values each: `batch_size[i]`, that with which the client took part last,
    over the largest; `data_left[i]`, the fraction of its samples that it has not trained on yet since it last began
    with all of them.
    And with asynchronous frameworks, C values each: `in_flight[i]`, 1 for clients at work on a mini-batch that the
    server has not taken up; `delivered[i]`, 1 if its smashed data wait there; `compute_left[i]`, seconds of computing
    until it has delivered or is back from an update, squashed at time budget / round budget; `bits_left[i]`, bits to
    send or receive until then over those of a whole mini-batch. With balanced labels behind them `server_left`, the
    seconds that the server still works on generated rows, squashed likewise.
    Where placements are decided, K values each: `placement[k]`, 1 for that of the last round; `relocation[k]`, seconds
    in which units would move to its servers, and `behind_cut[k]`, seconds of a round on its servers and links with all
    clients that are there, both at the cut of the last round and squashed at time budget / round budget; with several
    `stations` also `way[k]`, seconds in which what a client sends and gets for itself goes over wires to its first
    server and back, mean over available clients, likewise.
    With a fed server that does not average in every round `rounds_to_mean`, rounds until it does, this one included,
    over the interval, or where that is decided `rounds_since_mean`, rounds since it did or the episode began, squashed
    at 4; `client_cut_layer[i]` is 0 where clients have to fetch the mean.
    With several `stations` in the scenario, C values each: `station[i]`, the index of the client's base station over
    that of the last one; `interruption[i]`, the seconds by which it begins later after a handover, squashed at time
    budget / round budget; `wired[i]`, the seconds of a bit over wires between station and server, squashed at those of
    one over the whole band at 4 bit/s/Hz. With `radio={"frequency_reuse": "universal"}` also `interference[i]`, its
    part in interference and noise at the client's station, mean over subchannels, if all sent as in the last round;
    subchannels are then those of the first station, of the second and so on. With `budgets={"energy_j": 50.0}`
    `energy_left`, the fraction of that budget that is left.
    Where second cuts of `"u-shaped"` are decided, `client_second_cut[i]`, C values: that behind which the client's own
    part is valid, over L - 1.

    `observation=` takes other features: a sequence of `"standard"` (all of the above), names without their index, and
    `module:NAME` of a `splitgym.envs.features.Feature` of one's own, whose values lie between 0 and 1.

    ## Rewards
    `reward=` names a weighted sum of terms, or holds weights by term, `{"accuracy_gain": 10.0}`, also by `module:NAME`
    of a `splitgym.envs.rewards.RewardTerm` of one's own, or is a function that gives the [N] rewards of a
    `splitgym.envs.world.Round` in N worlds; `info["reward_terms"]` holds the unweighted terms of the round:
    `accuracy_gain` (test accuracy now minus before), `latency` (minus the fraction of the time budget that the
    round took), `energy` (minus the joules spent), `target_reached` (1 in the round that reaches the target).

    | reward | sum |
    |---|---|
    | `"gain-latency"` | 10 accuracy_gain + 10 latency |
    | `"time-to-target"` | 10 latency + 10 target_reached |
    | `"gain-latency-energy"` | 10 accuracy_gain + 10 latency + 0.1 energy |

    What goes beyond the scenario's budgets is a cost, apart from all rewards: with `budgets={"energy_j": 50.0}` the
    joules beyond that in an episode, over it (`energy`); with `{"deadline_s": 5.0}` 1 for a longer round (`deadline`);
    with `leak_by_cut` and `leak_max` 1 if a client that took part had a cut layer that gives away more (`leak`).

    ## Starting State
    `reset(seed=)` draws everything again: places, shadowing, fading, device speeds, split and sizes of the data,
    initial weights. The same seed, a whole number from 0, gives the same episode, to the bit, on the same machine with
    the same number of torch threads (`torch.get_num_threads()`); otherwise real training rounds its sums differently,
    and after some rounds losses and accuracies differ. On a GPU it does so as far as its pooling layers add in a fixed
    order. There are no `options=`.

    With `clients={"memory_min_bytes": 64e3, "memory_max_bytes": 2e6}` every client has a memory of its own, drawn
    log-uniformly, and with `server={"memory_bytes": 3e6}` the server has so much (`splitgym.models.Memory` says what
    training needs). A client that lacks the memory for its plan takes no part; of more clients than the server has the
    memory for, those do that have been absent for the longest.

    With ranges in the scenario's `family` an episode also draws its own number of clients, speeds, radius of the cell,
    bandwidth and skew of the data: `family={"clients": (5, 8), "compute_factor": (0.5, 2.0)}`. Spaces are those of
    `clients.count` clients; an absent client is never available and holds no data.

    With rows of `stations` several base stations serve the clients, each the one that it hears best, and over wired
    `links` the one edge server. Clients that move, in the cell or with `cell={"mobility": "road"}` on a road, change
    their station as `handover` says (presets `highway` and `campus`). Subchannels are those of all stations together;
    with `radio={"frequency_reuse": "universal"}` every station has all of them, and what others send on one interferes.
    Nobody uses subchannels of another station than its own: with `"discrete"` a client that belongs elsewhere stands
    for the next one of that station, in the order of their indices and around the end, that is available.

    ## Episode End
    Termination: within the time budget the measured test accuracy (data-weighted mean over all clients) reaches
    `episode.target_accuracy`, unless `episode.stop_at_target` is false. Truncation: `episode.max_rounds` rounds are
    done or `episode.time_budget_s` seconds of simulated time are spent. A step after the end raises
    `gymnasium.error.ResetNeeded`, any use after `close` `gymnasium.error.ClosedEnvironmentError`.

    ## Arguments
    For tools that take an id alone, `SplitLearning-{preset}-surrogate-{action}-v0` is registered for the presets `iot`,
    `iot-family`, `iot-wide`, `bandwidth-limited`, `toy` and every action encoding; arguments may be given all the same.

    | argument | default | allowed |
    |---|---|---|
    | `scenario` | `"iot"` | preset name, path of a TOML file, mapping, or `Scenario` |
    | `framework` | `"epsl"` | see Description |
    | `learner` | `"train"` | `"train"`: real training; `"surrogate"`: a model of it, see Description |
    | `action` | `"discrete"` | `"discrete"`, `"continuous"`, `"schedule"`, `"priority"`, `"rule"`; or your own |
    | `reward` | `"gain-latency"` | see Rewards |
    | `render_mode` | `None` | `None`; `"rgb_array"`: pixels, needs the extra "render"; `"ansi"`: text |
    | `device` | `None` | torch device to train on; None: cuda if there is one, else cpu |
    | `observation` | `"standard"` | see Observation Space |
    | anything else | | a section of the scenario, whose fields are replaced: `clients={"count": 20}` |

    ## Info
    After `reset` and `step`: `round` (rounds done), `elapsed_s`, `accuracy`, `worst_accuracy` (of the worst client),
    `balanced_accuracy` (mean over the classes), `loss` (mean training loss of the last round that trained),
    `evaluated` (whether accuracy was measured now), `evaluation_samples`, `cost` (how far the round went beyond the
    scenario's budgets, see Rewards; 0 at first) and `costs` (by name); of text `bits_per_character` (mean cross-entropy
    of a test character; accuracy is then that of the next character); with several stations in the scenario `station`
    (int [C]: the base station of each client in the coming round) and `handovers` (clients that have just changed
    theirs). After `step` also:

    | key | what |
    |---|---|
    | `round_latency_s` | seconds the round took |
    | `stages` | seconds on the critical path by stage (below); they sum to the latency |
    | `cut_layer`, `aggregation_ratio`, `selected` | as decided; bool [C] `selected`, own cuts are int [C] |
    | `second_cut` | as decided, where it is; what was left open is the first that the cut layer allows |
    | `codec`, `precision` | as decided, where there are several: index in the list of `plan`; own ones are int [C] |
    | `averaging` | whether the round was to end with the mean of clients' parts, where that is decided |
    | `placement` | as decided, where there are several: index of the placement |
    | `batch_size` | samples of a mini-batch, where they are decided; own ones are int [C] |
    | `clock` | as decided, where actions say clocks: float [C] |
    | `generated_rows` | rows with which the server balanced labels, where it does |
    | `quorum`, `in_flight` | asynchronous: K as decided (0: all), bool [C] clients in flight at the end |
    | `participants` | bool [C]: clients that really took part |
    | `without_subchannel`, `unavailable`, `timed_out` | bool [C]: selected clients that did not, by reason |
    | `without_memory` | bool [C]: likewise, where memory is limited |
    | `energy_j`, `client_energy_j`, `server_energy_j` | joules in all, per client [C], of server and cloud |
    | `traffic_bits`, `migration_bits` | bits sent in all; those of moved parts of the network among them |
    | `projected` | the decision broke a power budget and was scaled down |
    | `finite` | false: loss or gradients were not finite and the models stayed as they were |
    | `trained` | false: no client took part, or not finite |
    | `reward_terms` | unweighted reward terms by name |

    Stages: `migration` (parts of the network that move; and the interruption of a handover), `client_fp`, `uplink`,
    `server_fp`, `server_bp`, `broadcast`, `unicast`, `client_bp`; where models are handed on or averaged also
    `model_down`, `model_up`; with a cloud `backhaul_up`, `cloud_fp`, `cloud_bp`, `backhaul_down`; in `"multi-hop"`
    `server_fp_h`, `link_fp_h`, `server_bp_h`, `link_bp_h` of node h = 1, 2, ... and the link behind it, with several
    placements `relocation`, with micro-batches `forward_pipeline` and `backward_pipeline`; with a fed server behind a
    link `fed_down`, `fed_up` and `averaging`; in `"u-shaped"` between the server's passes `tail_unicast`,
    `tail_fp`, `tail_bp`, `tail_uplink`. Waiting for uplinks that never come counts as the first uplink of the
    framework.

    ## Vectorized environment
    `gym.make_vec("SplitLearning-v0", num_envs=N, vectorization_mode="vector_entry_point", learner="surrogate")` steps N
    environments as arrays, slices of them in threads (`threads=`); environment i equals the single one with seed + i,
    to the bit. `autoreset_mode=` says, by Gymnasium's names, when the next episode begins after an end:

    | autoreset_mode | the next episode begins |
    |---|---|
    | `"SameStep"` (default) | in the step of the end, of which `info["final_obs"]` and `info["final_info"]` tell |
    | `"NextStep"` | in the step after it, which ignores the action and has reward 0; some wrappers need this one |
    | `"Disabled"` | when `reset(options={"reset_mask": ended})` says so with a bool array, which it must |

    `action_masks()` has a row for each environment. For Stable-Baselines3 there is `splitgym.envs.SB3VecEnv(N, ...)`,
    whose information is empty but at the end of an episode.

    `gym.make_vec("SplitLearning-v0", num_envs=N, vectorization_mode="async")` runs N copies in N processes; with a
    start method other than fork, name it `"splitgym:SplitLearning-v0"` so that workers import the package. Forked
    copies train with one torch thread, since threads do not survive a fork; others with as many as there are, where
    `torch.set_num_threads(1)` is faster for small networks.

    Environments can be copied (`copy.deepcopy`) and pickled; a copy goes on as the original would.

    ## Version History
    * v0: first version.

    ## References
    * Lin et al., Efficient Parallel Split Learning over Resource-constrained Wireless Edge Networks, arXiv 2303.15991.
    * Lin et al., Split Learning in 6G Edge Networks, arXiv 2306.12194.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        scenario: str | Path | Mapping[str, Any] | Scenario = "iot",
        framework: str = "epsl",
        learner: str = "train",
        action: str | type[ActionCodec] = "discrete",
        reward: str | Mapping[str, float] | Callable[[Round], Floats] = "gain-latency",
        render_mode: str | None = None,
        device: str | None = None,
        observation: str | Sequence[str | Feature] = STANDARD,
        **overrides: Mapping[str, Any],
    ) -> None:
        settings = Settings(scenario, framework, learner, action, reward, render_mode, device, observation)
        self.scenario = settings.build(overrides, RENDER_MODES)
        self.render_mode = render_mode
        self.learner = learner
        self._recorder: Recorder | None = None
        self._simulation = Simulation(settings, self.scenario, worlds=1)
        self.framework = self._simulation.framework
        self.action_space = self._simulation.actions.space
        self.observation_space = self._simulation.observations.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts an episode; see Starting State.

        Args:
            seed: Whole number from 0; None: the episode goes on drawing from the generator.
            options: There are none.

        Raises:
            InputError: another seed, or an option.
            gymnasium.error.ClosedEnvironmentError: the environment is closed.
        """
        self._need_open()
        check_options(options)
        super().reset(seed=seed_of(seed))
        # It stays so if the data cannot be read.
        self._begun = self._running = False
        self._played = None
        self._simulation.reset([self.np_random], [0])
        self._begun = self._running = True
        if self.render_mode is not None:
            self._recorder = Recorder(self._simulation.world, self.learner, self.render_mode)
        return self._simulation.observe()[0], of_one(self._simulation.progress())

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Plays the round that the action says.

        Raises:
            ValueError: the action is not in the action space.
            gymnasium.error.ResetNeeded: no episode is running.
            gymnasium.error.ClosedEnvironmentError: the environment is closed; also by `play`, `render` and all others.
        """
        return self._play(self._decode(action))

    def play(self, decision: Decision) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """`step` for a decision as it is, past the encoding.

        Raises:
            ValueError: a field of the decision does not fit; the message names it.
            gymnasium.error.ResetNeeded: no episode is running.
        """
        self._need_episode()
        return self._play(checked(decision, self.truth).batch())

    def render(self) -> Any:
        """The last round, or the cell before the first one, in the form of `render_mode`.

        Cell and links, timeline and the client that the others waited for, the decision, and accuracy over simulated
        time: as pixels, uint8 [720, 1280, 3] ("rgb_array"; needs the extra `render`), or as lines of text ("ansi").

        Raises:
            gymnasium.error.ResetNeeded: no episode has begun.
            gymnasium.error.Error: there is no render mode.
        """
        self._need_reset()
        if self._recorder is None:
            modes = " or ".join(map(repr, RENDER_MODES))
            raise gym.error.Error(f"render_mode = None renders nothing, allowed: gym.make(..., render_mode={modes})")
        return self._recorder.frame()

    def close(self) -> None:
        """Ends the use of the environment; closing it again does nothing."""
        self._closed = True

    def _play(self, decision: Decision) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """`step` for a decision as a batch of one."""
        step = self._simulation.play(decision)
        terminated, truncated = bool(step.terminated[0]), bool(step.truncated[0])
        self._running = not (terminated or truncated)
        self._played = step.played.decision
        if self._recorder is not None:
            self._recorder.follow(self._simulation.world, step.played)
        info = of_one({**self._simulation.progress(), **account(step)})
        return self._simulation.observe()[0], float(step.reward[0]), terminated, truncated, info
