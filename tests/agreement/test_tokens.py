"""Networks of tokens in the matrix."""

import pytest
from float64_cell import assert_whole_passes_agree

from tfbp import network
from tfbp.agreement.cases import cases_of

FILES = network.dense, network.embedding, network.position, network.linear_cross_entropy
CASES = {case.name.split("-B")[0]: case for case in cases_of(*FILES)}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.sampled(7)
def test_in_float64_whole_passes_agree_to_1e_12(case):
    assert_whole_passes_agree(case)
