"""One function's gradient on trial: differences, tolerances, comparison, diagnosis. Tensors in, verdict and cause out.

Knows no network and no writing: it is for anybody's code. `tfbp.agreement` is its first customer.
"""
