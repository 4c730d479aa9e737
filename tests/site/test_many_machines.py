"""The page on many machines: each of its commands is one that `accelerate launch` and our command line take."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml
from accelerate.commands.launch import launch_command_parser

from lessons_lib import COMMAND
from lessons_lib.__main__ import build_parser
from lessons_lib.commands.train import settings


def commands(root, page: str) -> list[list[str]]:
    """The words of each command in the page's shell blocks."""
    blocks = re.findall(r"^```bash\n(.*?)^```", (root / "book" / page).read_text(encoding="utf-8"), re.M | re.S)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines() if line.strip()]


def trained(words: list[str]):
    """What our command line makes of `train …`, its settings checked as before a run."""
    arguments = build_parser(["train"]).parse_args(words)
    return arguments, settings(arguments.set, arguments.method)


def test_each_command_is_taken(root):
    plain, launched = [], []
    for words in commands(root, "many_machines.md"):
        if words[0] == COMMAND:
            plain.append(trained(words[1:]))
            continue
        assert words[:2] == ["accelerate", "launch"], words
        parsed = launch_command_parser().parse_args(words[2:])
        assert (parsed.module, parsed.training_script) == (True, "lessons_lib")
        launched.append((parsed, yaml.safe_load((root / parsed.config_file).read_text())))
        _, config = trained(parsed.training_script_args)
        processes = parsed.num_processes or launched[-1][1]["num_processes"]
        rows = config.batch_size // processes
        assert rows >= 1 and (config.rows_per_pass is None or rows % config.rows_per_pass == 0)
    assert len(plain) == 1 and len(launched) >= 4
    ranks = [parsed.machine_rank for parsed, file in launched if file["num_machines"] > 1]
    assert ranks == [0, 1]


def test_every_shipped_configuration_is_on_the_page(root):
    launch = root / "lessons_lib" / "training" / "launch"
    page = (root / "book" / "many_machines.md").read_text(encoding="utf-8")
    assert launch.is_dir()
    assert not [path.name for path in launch.glob("*.yaml") if f"lessons_lib/training/launch/{path.name}" not in page]


@pytest.mark.parametrize("name", ["fsdp.yaml", "fsdp_many_machines.yaml"])
def test_both_fsdp_configurations_shard_alike(root, name):
    files = root / "lessons_lib" / "training" / "launch"
    alike = yaml.safe_load((files / "fsdp.yaml").read_text())["fsdp_config"]
    assert yaml.safe_load((files / name).read_text())["fsdp_config"] == alike
    assert alike["fsdp_version"] == 2


def test_the_cells_of_the_page_run(root):
    """In order, in one namespace, as the book runs them; a table has as many cells in each of its rows."""
    text = (root / "book" / "many_machines.md").read_text(encoding="utf-8")
    cells = re.findall(r"^```\{code-cell\} python3\n(?::[^\n]*\n)*(.*?)^```", text, re.M | re.S)
    names = {}
    for cell in cells:
        body, _, last = cell.strip().rpartition("\n")
        exec(body, names)
        widths = {line.count("|") for line in eval(last, names).data.splitlines()}
        assert len(widths) == 1
    assert len(cells) == 3
    assert names["travels"](2, 1)["copies, GB sent by each"] == f"{4 * names['P'] / 1e9:.3g}"
