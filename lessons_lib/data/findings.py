"""What was measured on a dataset: one figure with its interval and how it was made, and a profile of many.

Light records that hold no text of the dataset. `profile` makes them; the committed ones are read without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

UNITS = ("words", "characters", "tokens")  # of lengths


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        value: None where the rows cannot tell; then `reason` says why.
        unit: "share" (0 to 1), "count" (out of `n`), "words", "characters", "tokens" or "coefficient".
        how: what was counted, in words.
        n: how many things it was measured on.
        low, high: ends of the 95 % interval; None where there is none to give (a census of the file's own rows).
        assumes: what must hold for value and interval to mean what they say.
        parts: the figure broken down, by label.
    """

    value: float | int | None
    unit: str
    how: str
    n: int | None = None
    low: float | None = None
    high: float | None = None
    assumes: str = ""
    reason: str = ""
    parts: Mapping[str, Figure] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.value is None:
            return f"unknown: {self.reason}"
        show = {"share": lambda x: f"{100 * x:.1f} %", "coefficient": "{:.2f}".format}.get(self.unit, "{:,.0f}".format)
        interval = f" ({show(self.low)} to {show(self.high)})" if self.low is not None else ""
        unit = f" {self.unit}" if self.unit in UNITS else ""
        return f"{show(self.value)}{unit}{interval}" + (f" of {self.n:,}" if self.n is not None else "")


@dataclass(frozen=True)
class Profile:
    """The figures of one dataset by name; `form` is a key of `judgements.FORMS`. Holds no text of the dataset."""

    name: str
    form: str
    figures: Mapping[str, Figure]

    def __getitem__(self, name: str) -> Figure:
        return self.figures[name]

    def value(self, name: str) -> float | int | None:
        """The number alone; None where it is unknown or does not apply to this form."""
        return self.figures[name].value if name in self.figures else None

    def as_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping) -> Profile:
        """What `as_dict` gave, as a profile again."""
        return cls(record["name"], record["form"], {name: _figure(part) for name, part in record["figures"].items()})


def _figure(record: Mapping) -> Figure:
    return Figure(**{**record, "parts": {name: _figure(part) for name, part in record["parts"].items()}})
