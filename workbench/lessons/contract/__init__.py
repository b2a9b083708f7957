"""The notebook contract, one small rule at a time. The modules beside this one add the rules."""

from workbench.lessons.contract.rules import RULES, Problem, Rule

__all__ = ["RULES", "Problem", "Rule"]
