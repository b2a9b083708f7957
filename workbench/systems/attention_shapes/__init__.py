"""Chapter 08: cheaper shapes of attention."""
