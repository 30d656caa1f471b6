"""Networks of tokens in the matrix."""

import pytest
from float64_cell import assert_whole_passes_agree

from tfbp.agreement.kind_cases import token_cases

CASES = {case.name.split("-B")[0]: case for case in token_cases()}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_in_float64_whole_passes_agree_to_1e_12(case):
    assert_whole_passes_agree(case)
