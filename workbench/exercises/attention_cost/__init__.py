"""Chapter 07: what attention costs."""
