"""The filter database: many small networks, trained to order, and their 3 x 3 filters as rows.

    >>> from workbench import zoo
    >>> zoo.shipped().query("SELECT data, avg(score), sum(filters) FROM models GROUP BY data")

`build` trains the networks of a budget, `add` takes in other people's weights, `pack` makes files to hand
out. A `Zoo` answers in SQL, and gives covariances, histograms and equal samples of groups without loading
all filters.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
