"""Releases a learner's runs of the capstone against her sealed plans. Instructors only.

    python exercises/specs/release_ex14.py plans/*.json --roster roster.csv --salt marks/salt.txt --out marks/14

A file of plans is what the notebook wrote: {"ticket", "plans", "seal"}. For each, ``OUT/released_TICKET.txt`` is
written, to be sent back and pasted. ``OUT/released.csv`` keeps ticket, seal and time: who comes a second time gets the
runs of the first seal again, and other plans are refused, so that nobody tries several.

Only tickets of the course are served, which ``--roster`` and ``--salt`` tell; with ``--anybody`` in their place every
ticket is, as somebody who works alone wants it.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import runpy
import sys
from pathlib import Path

from lessons_lib.errors import UserError
from lessons_lib.grading import files, roster, tickets
from lessons_lib.lessons.lesson14 import plan, trial

SPEC = Path(__file__).with_name("ex14.py")
EXERCISE = "14_capstone"


def release(path: Path, out: Path, known: set[str] | None = None) -> Path:
    """Write what is sent to one learner; a `UserError` says why there is nothing to send."""
    ticket, plans, seal = _read(path)
    if not re.fullmatch(r"[0-9a-f]{12}|practice", ticket):
        raise UserError(f"{path}: expected a ticket of twelve digits and letters, got {ticket[:40]!r}")
    if known is not None and ticket not in known:
        raise UserError(f"{path}: ticket {ticket!r} belongs to nobody on the roster; is this the course's salt?")
    if not plan.is_whole(plans, ticket):
        raise UserError(f"{path}: the plans do not fit together; the check in the notebook says what is missing")
    if plan.seal(plans, ticket) != seal:
        raise UserError(f"{path}: the seal {seal!r} is not that of these plans; they were changed after it was made")
    ledger = out / "released.csv"
    earlier = {line["ticket"]: line for line in _ledger(ledger)}
    first = earlier.get(ticket)
    if first and first["seal"] != seal:
        raise UserError(f"{path}: runs were released on {first['released']} for other plans, seal {first['seal']}")
    released = first["released"] if first else plan.now()
    if plan.signed_at(plans).isoformat(timespec="seconds") > released:
        raise UserError(f"{path}: signed {plans['signed']}, which is still to come; a clock is wrong")
    spec = runpy.run_path(str(SPEC))
    found = trial.release(spec["runs"](), spec["key"](), plans, ticket, released)
    if not first:
        _write_ledger(ledger, [*earlier.values(), {"ticket": ticket, "seal": seal, "released": released}])
    target = out / f"released_{ticket}.txt"
    files.write(target, pasted(found))
    return target


def pasted(found: dict) -> str:
    """The released runs as a learner pastes them: Python, a line a dataset."""
    head = "".join(f"    {name!r}: {found[name]!r},\n" for name in ("seal", "released", "receipt"))
    lines = "".join(f"        {name!r}: {values},\n" for name, values in found["differences"].items())
    return f"released = {{\n{head}    'differences': {{\n{lines}    }},\n}}\n"


def _read(path: Path) -> tuple[str, dict, str]:
    try:
        sent = json.loads(path.read_text(encoding="utf-8"))
        return str(sent["ticket"]).strip().lower(), sent["plans"], str(sent["seal"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: expected the file that the notebook wrote, with ticket, plans, seal: {error!r}"
        ) from None


def _ledger(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []


def _write_ledger(path: Path, lines: list[dict[str, str]]) -> None:
    rows = "".join(f"{line['ticket']},{line['seal']},{line['released']}\n" for line in lines)
    files.write(path, f"ticket,seal,released\n{rows}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans", nargs="+", type=Path, help="files that notebooks wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is sent and for released.csv")
    parser.add_argument("--roster", type=Path, help="the course's, as `grade` takes it; needs --salt")
    parser.add_argument("--salt", type=Path, help="the course's, from which its tickets were drawn; needs --roster")
    parser.add_argument("--anybody", action="store_true", help="serve every ticket, without --roster and --salt")
    asked = parser.parse_args()
    if {bool(asked.roster), bool(asked.salt)} != {not asked.anybody}:
        parser.error("expected both --roster and --salt, or --anybody to serve every ticket")
    known, failed = None, False
    if not asked.anybody:
        salt = tickets.read_salt(asked.salt)
        known = {tickets.ticket(salt, one.id, EXERCISE) for one in roster.read(asked.roster)[0]}
    for path in asked.plans:
        try:
            print(f"{path}: {release(path, asked.out, known)}")
        except UserError as error:
            failed = True
            print(error, file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
