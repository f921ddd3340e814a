"""Colours: Okabe and Ito's for what is done, told apart by colour-blind readers; names stand beside them."""

from typing import NamedTuple

INK, MUTED, FAINT, GRID, CARD, PAGE = "#1b2330", "#5a6473", "#a9b0ba", "#e3e6ea", "#ffffff", "#eff1f4"
BLUE, ORANGE, GREEN, VERMILLION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, YELLOW, BLACK = "#cc79a7", "#56b4e9", "#f0e442", "#30343b"

SOFT_BLUE, SOFT_GREY, PALE_BLUE, GROUND, EMPTY = "#7fb8d8", "#c9ced6", "#b9d7e8", "#f7f8fa", "#f1f3f5"
"""Of links, units on the server, own subchannels, the ground of the cell, and subchannels of others."""

COLOURS = (
    *(INK, MUTED, FAINT, GRID, CARD, PAGE, BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, YELLOW, BLACK),
    *(SOFT_BLUE, SOFT_GREY, PALE_BLUE, GROUND, EMPTY),
)
"""All of them."""

ALERT = VERMILLION
"""The straggler, what went wrong, and the target."""


class Look(NamedTuple):
    """How a stage is shown."""

    name: str
    """In the legend."""
    short: str
    """Inside a bar."""
    letter: str
    """In a timeline of text."""
    colour: str
    text_colour: str
    """On top of that colour."""


_FORWARD = Look("forward pass", "FP", "F", BLUE, CARD)
_BACKWARD = Look("backward pass", "BP", "B", PURPLE, INK)
_BACKHAUL = Look("backhaul", "link", "h", SOFT_GREY, INK)
_CLOUD = Look("cloud", "cloud", "k", SOFT_BLUE, INK)
_LINK = Look("link", "link", "l", SOFT_GREY, INK)
_MOVED = Look("moved layers", "move", "x", BLACK, CARD)
_OTHERS = Look("micro-batches", "others", "o", SOFT_BLUE, INK)
_UPLINK = Look("uplink", "up", "u", ORANGE, INK)
_UNICAST = Look("unicast", "down", "d", GREEN, INK)
_MODEL = Look("model", "model", "m", YELLOW, INK)

_LOOKS = {
    "migration": _MOVED,
    "client_fp": _FORWARD,
    "server_fp": _FORWARD,
    "client_bp": _BACKWARD,
    "server_bp": _BACKWARD,
    "backhaul_up": _BACKHAUL,
    "cloud_fp": _CLOUD,
    "cloud_bp": _CLOUD,
    "backhaul_down": _BACKHAUL,
    "uplink": _UPLINK,
    "broadcast": Look("broadcast", "cast", "c", SKY, INK),
    "unicast": _UNICAST,
    "tail_unicast": _UNICAST,
    "tail_fp": _FORWARD,
    "tail_bp": _BACKWARD,
    "tail_uplink": _UPLINK,
    "queue": Look("waits at server", "wait", "w", EMPTY, MUTED),
    "generated": Look("generated", "gen", "g", SOFT_BLUE, INK),
    "model_down": _MODEL,
    "model_up": _MODEL,
    "fed_down": _BACKHAUL,
    "fed_up": _BACKHAUL,
    "averaging": _MODEL,
    "relocation": _MOVED,
    "server_fp_": _FORWARD,
    "server_bp_": _BACKWARD,
    "link_fp_": _LINK,
    "link_bp_": _LINK,
    "forward_pipeline": _OTHERS,
    "backward_pipeline": _OTHERS,
}
"""Of nodes of a path and links between them without their numbers."""


def look(stage: str) -> Look:
    """How a stage is shown; one that is not known here is black, under its own name."""
    return _LOOKS.get(stage.rstrip("0123456789")) or Look(stage.replace("_", " "), stage[:4], stage[0], BLACK, CARD)
