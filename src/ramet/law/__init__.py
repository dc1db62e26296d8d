"""What the kernel will answer to a request for a new task, worked out without asking it."""

from .evaluate import Call, broken_rules, check, refusal
from .rules import RULES, Rule

__all__ = ["RULES", "Call", "Rule", "broken_rules", "check", "refusal"]
