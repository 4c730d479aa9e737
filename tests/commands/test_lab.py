"""`lab`: it finds every lesson's studies."""

import pytest

from lessons_lib.commands.lab import get_study, studies
from lessons_lib.errors import UserError
from lessons_lib.lessons.lesson05.studies import NEAR_DETERMINISTIC
from lessons_lib.recorded.store import RECORDED


def test_every_lessons_studies_are_found():
    assert get_study("near_deterministic") is NEAR_DETERMINISTIC
    assert set(studies()) == {path.stem for path in RECORDED.glob("*.json")}


def test_an_unknown_study_names_the_known_ones():
    with pytest.raises(UserError, match="near_deterministic"):
        get_study("near_determinstic")
