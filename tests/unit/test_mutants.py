"""The faults of `tests/mutants` still fit the code; that tests find them is tried by `python -m tests.mutants`."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import ROOT
from tests.mutants.patches import Mutant, apply, read_mutants

MUTANTS = read_mutants()


def test_there_are_forty_of_different_names() -> None:
    assert [mutant.name[:3] for mutant in MUTANTS] == [f"{number:02d}-" for number in range(1, 41)]
    assert len({mutant.name[3:] for mutant in MUTANTS}) == 40


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_fits_the_code_and_names_tests_that_exist(mutant: Mutant) -> None:
    assert apply(mutant, ROOT, "--check") == ""
    assert all(file.startswith(("gateway_batch/", "sql/")) for file in mutant.files)
    assert mutant.what.endswith(".")
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / file).read_text(encoding="utf-8")
