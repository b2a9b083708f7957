from .answer import Answer, code_of, fenced
from .contract import Message, Proposer
from .ensemble import Ensemble
from .exemplars import ExemplarAdapter
from .llm import LLM
from .mutations import Mutations, mutants
from .prompt import Prompt
from .schedule import Schedule, rewrites
from .templates import Template, Templates

__all__ = [
    "LLM",
    "Answer",
    "Ensemble",
    "ExemplarAdapter",
    "Message",
    "Mutations",
    "Prompt",
    "Proposer",
    "Schedule",
    "Template",
    "Templates",
    "code_of",
    "fenced",
    "mutants",
    "rewrites",
]
