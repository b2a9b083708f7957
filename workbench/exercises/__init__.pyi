from .find import exercise, exercises
from .model import Exercise, Finding
from .proof import prove

__all__ = ["Exercise", "Finding", "exercise", "exercises", "prove"]
