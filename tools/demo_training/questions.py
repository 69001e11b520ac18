"""What can be asked about a truth and the one right answer, without the words of the question.

Each method named in `WEIGHTS` returns an `Ask`: which patterns fit, what fills them, the answer;
or None where the clip gives no fair question of the kind.
"""

from __future__ import annotations

from .asking_looks import AboutLooks
from .asking_motion import AboutMotion
from .asking_order import AboutOrder
from .asking_time import AboutTime


class Questioner(AboutLooks, AboutMotion, AboutTime, AboutOrder):
    """Draws questions of all kinds about one truth."""


WEIGHTS = {
    "colour": 8,
    "colours_all": 2,
    "shape": 8,
    "shapes_all": 3,
    "presence": 7,
    "is_colour": 2,
    "is_shape": 2,
    "direction": 8,
    "does_move": 2,
    "who_moves": 1,
    "which_first": 6,
    "before": 6,
    "first": 4,
    "last": 4,
    "order": 6,
    "appear": 11,
    "vanish": 9,
    "at_time": 1,
    "flash_when": 6,
    "flash_is": 4,
    "flash_count": 5,
    "flash_colour": 4,
    "count": 16,
    "describe": 17,
    "background": 1,
}
