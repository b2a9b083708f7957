"""Where candidates come from: one contract for a search, a table of templates and a language model.

A proposer reads a prompt and answers with text; what it writes is parsed, verified and judged elsewhere.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
