"""An explorer's settings as a config for TRL, spelled as `lessons_lib.methods` says TRL spells them."""

from __future__ import annotations

from lessons_lib.explorers.core import ExplorerSpec


def configs(explorer: ExplorerSpec) -> dict[str, str]:
    """For each method the explorer sets: its name, and a config with `{slider}` where a slider's value goes."""
    if not explorer.trl:
        return {}
    from lessons_lib.methods import METHODS

    return {METHODS[key].name: _config(METHODS[key], sliders) for key, sliders in explorer.trl.items()}


def filled(template: str, explorer: ExplorerSpec, **values) -> str:
    """A config with the slider values written in, as the page's button does."""
    for name, value in explorer.state(**values).items():
        slider = explorer.by_name[name]
        template = template.replace(f"{{{name}}}", slider.texts[slider.index(value)])
    return template


def _config(method, sliders) -> str:
    lines = [f"{name}={value!r}," for name, value in method.trl.settings.items()]
    for name, slider in sliders.items():
        knob = method.hyperparameters[name]
        lines.append(f"{knob.trl_name}={{{slider}}},  # {knob.symbol}")
    trap = f"# {method.trl.trap}\n" if method.trl.trap else ""
    body = "".join(f"    {line}\n" for line in lines)
    return f"from {method.trl.module} import {method.trl.config}\n\n{trap}config = {method.trl.config}(\n{body})\n"
