"""Private training: sampling, clipping, noise and accounting from one object."""

from tfbp.privacy.norms import per_example_gradient_norms as per_example_gradient_norms
from tfbp.privacy.privacy import Privacy as Privacy
