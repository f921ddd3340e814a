"""What a round taught."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from splitgym.arrays import Floats, Ints


@dataclass(frozen=True)
class RoundOutcome:
    """What a round taught. Shapes are those of one world; a batch has a leading axis N on every field."""

    accuracy: Any
    """Data-weighted mean over all clients of the test accuracy of (client's part + server)."""
    worst_accuracy: Any
    """Test accuracy of the worst client."""
    balanced_accuracy: Any
    """Like accuracy, but of the mean over the classes of each class's accuracy."""
    loss: Any
    """Mean training loss over the clients that took part, weighted as in training; of the last round that trained."""
    client_loss: Floats
    """[C] as in RoundState."""
    client_accuracy: Floats
    """[C] test accuracy of each client's composed network."""
    cut_layer: Any
    """Cut layer the server stands at; 0 before the first round."""
    client_cut_layer: Ints
    """[C] as in RoundState."""
    client_second_cut: Ints
    """[C] as in RoundState."""
    trained: Any
    """False: nobody took part, or the loss was not finite, and no weight was trained."""
    finite: Any
    """False: loss or gradients were not finite; models are as they were (after the cut has moved, if it did)."""
    evaluated: Any
    """Whether accuracy was measured after this round (else it is the last measured one)."""
    evaluation_samples: Any
    """Test samples on which accuracy is measured."""
    prescribed_ratio: Any
    """phi that the framework prescribes for the next round; NaN: whoever decides may choose it."""
    generated_rows: Any
    """Rows with which the server balanced labels, which it works on after it has answered the clients."""
    bits_per_character: Any
    """Of text mean cross-entropy of a test character, in bits, weighted as accuracy; else NaN."""

    @classmethod
    def empty(cls, worlds: int, clients: int) -> "RoundOutcome":
        """Outcomes of N worlds, to be filled."""
        numbers, of_clients = ("accuracy", "worst_accuracy", "balanced_accuracy", "loss"), (worlds, clients)
        return cls(
            **{name: np.zeros(worlds) for name in (*numbers, "prescribed_ratio", "bits_per_character")},
            **{name: np.zeros(of_clients) for name in ("client_loss", "client_accuracy")},
            **{name: np.zeros(worlds, bool) for name in ("trained", "finite", "evaluated")},
            cut_layer=np.zeros(worlds, np.int64),
            client_cut_layer=np.zeros(of_clients, np.int64),
            client_second_cut=np.zeros(of_clients, np.int64),
            evaluation_samples=np.zeros(worlds, np.int64),
            generated_rows=np.zeros(worlds, np.int64),
        )
