"""`quiz` on the command line: what it asks for."""

import pytest

from lessons_lib.__main__ import main


def test_a_phase_or_a_lesson_is_asked_for_and_not_both(tmp_path, capsys):
    for which in ([], ["--phase", "1", "--lesson", "2"]):
        with pytest.raises(SystemExit) as end:
            main(["quiz", *which, "--out", str(tmp_path / "quiz.zip")])
        assert end.value.code == 2
    said = capsys.readouterr().err
    assert "one of the arguments --phase --lesson is required" in said and "not allowed with argument" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("which", "name", "says"),
    [
        (["--phase", "1"], "quiz.pdf", "expected a name that ends in .ipynb or .zip"),
        (["--lesson", "2"], "quiz.ipynb", "--phase"),
    ],
)
def test_what_cannot_be_written_is_said(which, name, says, tmp_path, capsys):
    assert main(["quiz", *which, "--out", str(tmp_path / name)]) == 2
    assert says in capsys.readouterr().err
