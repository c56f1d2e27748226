"""The committed matrix says what the tests prove."""

from tests.conformance import matrix
from tests.conformance.pending import PENDING

REMEDY = "run: python -m pytest tests/conformance --write-matrix"


def test_the_committed_matrix_is_that_of_the_tests() -> None:
    rows = matrix.every_row()
    results = {one: matrix.expected_result(one) for one in rows}
    assert matrix.MATRIX.read_text() == matrix.render(rows, results), REMEDY
    readme = matrix.README.read_text()
    assert matrix.with_summary(readme, matrix.render_summary(rows, results)) == readme, REMEDY
    assert matrix.README_BLOCK.search(readme)


def test_every_client_has_rows_and_none_is_there_twice() -> None:
    rows = matrix.every_row()
    assert {one.client for one in rows} == set(matrix.CLIENTS)
    named = [(one.client, one.call) for one in rows]
    assert len(set(named)) == len(named), sorted({one for one in named if named.count(one) > 1})


def test_what_is_pending_is_a_row() -> None:
    assert set(PENDING) <= {one.test for one in matrix.every_row()}
