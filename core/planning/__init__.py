"""Which frames, at which size, for what cost; knows nothing of torch, decoders or pages."""

from core.planning.card import DEMO_MODEL, ModelCard, load_card
from core.planning.fit import Remedy, fit, remedy_for
from core.planning.forecast import Estimate, check, estimate
from core.planning.machine import Device, Rates, parse_devices, rough_rates, this_machine
from core.planning.plan import Plan, make_plan
from core.planning.prompt import Turn
from core.planning.seconds import Reused
from core.planning.settings import Settings

__all__ = [
    "DEMO_MODEL",
    "Device",
    "Estimate",
    "ModelCard",
    "Plan",
    "Rates",
    "Remedy",
    "Reused",
    "Settings",
    "Turn",
    "check",
    "estimate",
    "fit",
    "load_card",
    "make_plan",
    "parse_devices",
    "remedy_for",
    "rough_rates",
    "this_machine",
]
