"""The dashboards against Grafana's own types: the dashboard model and each panel's options and field settings.

The types are those of the schema packages of Grafana 11, 12 and 13.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from processes import JS

from app.services.dashboards.templates import Templates

MAC = "02:00:5e:00:00:01"
HOSTILE = "\"}); const x: number = 'no'; ({ ${__all_variables} [[mac]] @@mac@@ </script>"
# Per version: the file with the dashboard model and the file of one panel type.
TYPE_FILES = {
    11: ("dist/index.d.ts", "dist/esm/raw/composable/{folder}/panelcfg/x/{name}PanelCfg_types.gen.d.ts"),
    12: ("dist/esm/index.d.mts", "dist/esm/raw/composable/{folder}/panelcfg/x/{name}PanelCfg_types.gen.d.ts"),
    13: ("dist/types/index.d.ts", "dist/types/raw/composable/{folder}/panelcfg/x/types.gen.d.ts"),
}
PANEL_MODULES = {
    "bargauge": "BarGauge",
    "stat": "Stat",
    "state-timeline": "StateTimeline",
    "table": "Table",
    "timeseries": "TimeSeries",
}

# Turns enums into the literals that JSON has.
PLAIN_TYPE = """
type Plain<T> = T extends string ? `${T}` : T extends number | boolean ? T
  : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
"""


def build_dashboards() -> dict[str, dict[str, Any]]:
    templates = Templates()
    return {
        "device": templates.render_device("pluto-02005e000001", "gamma-attic", MAC),
        "hostile": templates.render_device("pluto-02005e000001", HOSTILE, MAC),
        "overview": templates.render_overview("pluto-overview", "Pluto fleet"),
    }


def render_typescript(dashboard: dict[str, Any]) -> str:
    """Return TypeScript that compiles if the JSON has the right types. `id` is left out: its null requests a new id."""
    lines = ['import type { Dashboard } from "@grafana/schema";']
    lines += [f'import type * as {name} from "panels/{name}";' for name in PANEL_MODULES.values()]
    model = {key: value for key, value in dashboard.items() if key != "id"}
    lines += [PLAIN_TYPE, f"export const dashboard: Plain<Partial<Dashboard>> = {json.dumps(model)};"]
    for panel in dashboard["panels"]:
        name, custom = PANEL_MODULES[panel["type"]], panel["fieldConfig"]["defaults"].get("custom")
        lines.append(f"export const o{panel['id']}: Plain<Partial<{name}.Options>> = {json.dumps(panel['options'])};")
        if custom is not None:
            lines.append(f"export const f{panel['id']}: Plain<Partial<{name}.FieldConfig>> = {json.dumps(custom)};")
    return "\n".join(lines)


def compile_dashboards(folder: Path, version: int, dashboards: dict[str, dict[str, Any]]) -> str:
    """Return the messages of the compiler; "" when the dashboards have the right types."""
    model_types, panel_types = TYPE_FILES[version]
    package = JS / "node_modules" / f"grafana-schema-{version}"
    paths = {"@grafana/schema": [str(package / model_types)]}
    for kind, name in PANEL_MODULES.items():
        path = package / panel_types.format(folder=kind.replace("-", ""), name=name)
        assert path.is_file(), path
        paths[f"panels/{name}"] = [str(path)]
    options = {"noEmit": True, "strict": True, "skipLibCheck": True, "target": "es2022", "module": "esnext"}
    config = {"compilerOptions": {**options, "moduleResolution": "bundler", "paths": paths}, "include": ["*.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(config))
    for name, dashboard in dashboards.items():
        (folder / f"{name}.ts").write_text(render_typescript(dashboard))
    command = [str(JS / "node_modules/.bin/tsc"), "--project", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100).stdout


@pytest.mark.parametrize("version", TYPE_FILES)
def test_dashboards_match_the_types_of_grafana(version: int, tmp_path: Path) -> None:
    assert compile_dashboards(tmp_path, version, build_dashboards()) == ""


def _change_value(*path: Any, value: Any) -> Any:
    """Return a function that sets the value at this path of a dashboard."""

    def change(dashboard: Any) -> None:
        for key in path[:-1]:
            dashboard = dashboard[key]
        dashboard[path[-1]] = value

    return change


MISTAKES = {
    "a type": _change_value("schemaVersion", value="39"),
    "a key": _change_value("panels", 0, "gridPoss", value={}),
    "an option": _change_value("panels", 1, "options", "colorMode", value="rainbow"),
    "an option's name": _change_value("panels", 1, "options", "colourMode", value="value"),
    "a field setting": _change_value("panels", 6, "fieldConfig", "defaults", "custom", "drawStyle", value="dots"),
}


@pytest.mark.parametrize("version", TYPE_FILES)
def test_compiler_reports_every_known_mistake(version: int, tmp_path: Path) -> None:
    dashboards = {}
    for number, change in enumerate(MISTAKES.values()):
        dashboards[f"mistake{number}"] = build_dashboards()["overview"]
        change(dashboards[f"mistake{number}"])
    messages = compile_dashboards(tmp_path, version, dashboards)
    assert [name for name in dashboards if f"{name}.ts(" not in messages] == [], messages
