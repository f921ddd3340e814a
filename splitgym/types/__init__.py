"""The values that cross rooms: what may be known at the start of a round, what is decided, what was learnt.

The numeric rooms work on N worlds at once: there every array has a leading axis N. The same classes without that axis
speak for one world; `world`, `batch` and `Decision.stack` go from one form to the other.
"""

from splitgym.types.decision import Decision
from splitgym.types.flights import Flights
from splitgym.types.outcome import RoundOutcome
from splitgym.types.plan import Plan, common_plans
from splitgym.types.state import RoundState, with_axis
from splitgym.types.system import SystemParameters

__all__ = [
    "Decision",
    "Flights",
    "Plan",
    "RoundOutcome",
    "RoundState",
    "SystemParameters",
    "common_plans",
    "with_axis",
]
