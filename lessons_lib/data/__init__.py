"""Preference data: `preferences` (the two shapes), `readers` (files and the Hub), `real` (five public datasets)."""
