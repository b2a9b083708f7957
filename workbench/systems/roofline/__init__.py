"""Chapter 15: kernels on real machines."""
