from .running import Benchmark, bench, every_benchmark, require_same

__all__ = ["Benchmark", "bench", "every_benchmark", "require_same"]
