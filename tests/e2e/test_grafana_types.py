"""What the service gives to Grafana, against Grafana's own types: the dashboard model, and each panel's options and
field settings, in the schema packages of 11, 12 and 13."""

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
# Where each version keeps its types: the whole, and those of one panel type.
WHERE = {
    11: ("dist/index.d.ts", "dist/esm/raw/composable/{folder}/panelcfg/x/{name}PanelCfg_types.gen.d.ts"),
    12: ("dist/esm/index.d.mts", "dist/esm/raw/composable/{folder}/panelcfg/x/{name}PanelCfg_types.gen.d.ts"),
    13: ("dist/types/index.d.ts", "dist/types/raw/composable/{folder}/panelcfg/x/types.gen.d.ts"),
}
PANELS = {
    "bargauge": "BarGauge",
    "stat": "Stat",
    "state-timeline": "StateTimeline",
    "table": "Table",
    "timeseries": "TimeSeries",
}

# Enums become the literals that JSON holds.
PLAIN = """
type Plain<T> = T extends string ? `${T}` : T extends number | boolean ? T
  : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
"""


def made() -> dict[str, dict[str, Any]]:
    templates = Templates()
    return {
        "device": templates.device("pluto-02005e000001", "gamma-attic", MAC),
        "hostile": templates.device("pluto-02005e000001", HOSTILE, MAC),
        "overview": templates.overview("pluto-overview", "Pluto fleet"),
    }


def source(dashboard: dict[str, Any]) -> str:
    """TypeScript that compiles when the JSON is what the types say. `id: null` is how a dashboard asks for a new id."""
    lines = ['import type { Dashboard } from "@grafana/schema";']
    lines += [f'import type * as {name} from "panels/{name}";' for name in PANELS.values()]
    model = {key: value for key, value in dashboard.items() if key != "id"}
    lines += [PLAIN, f"export const dashboard: Plain<Partial<Dashboard>> = {json.dumps(model)};"]
    for panel in dashboard["panels"]:
        name, custom = PANELS[panel["type"]], panel["fieldConfig"]["defaults"].get("custom")
        lines.append(f"export const o{panel['id']}: Plain<Partial<{name}.Options>> = {json.dumps(panel['options'])};")
        if custom is not None:
            lines.append(f"export const f{panel['id']}: Plain<Partial<{name}.FieldConfig>> = {json.dumps(custom)};")
    return "\n".join(lines)


def compiled(folder: Path, version: int, dashboards: dict[str, dict[str, Any]]) -> str:
    """What the compiler has to say: nothing, when all is well."""
    whole, panel = WHERE[version]
    package = JS / "node_modules" / f"grafana-schema-{version}"
    paths = {"@grafana/schema": [str(package / whole)]}
    for kind, name in PANELS.items():
        path = package / panel.format(folder=kind.replace("-", ""), name=name)
        assert path.is_file(), path
        paths[f"panels/{name}"] = [str(path)]
    options = {"noEmit": True, "strict": True, "skipLibCheck": True, "target": "es2022", "module": "esnext"}
    config = {"compilerOptions": {**options, "moduleResolution": "bundler", "paths": paths}, "include": ["*.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(config))
    for name, dashboard in dashboards.items():
        (folder / f"{name}.ts").write_text(source(dashboard))
    command = [str(JS / "node_modules/.bin/tsc"), "--project", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100).stdout


@pytest.mark.parametrize("version", WHERE)
def test_dashboards_are_what_grafana_takes(version: int, tmp_path: Path) -> None:
    assert compiled(tmp_path, version, made()) == ""


def _in(*path: Any, value: Any) -> Any:
    """Puts `value` at the path of a dashboard."""

    def change(dashboard: Any) -> None:
        for key in path[:-1]:
            dashboard = dashboard[key]
        dashboard[path[-1]] = value

    return change


MISTAKES = {
    "a type": _in("schemaVersion", value="39"),
    "a key": _in("panels", 0, "gridPoss", value={}),
    "an option": _in("panels", 1, "options", "colorMode", value="rainbow"),
    "an option's name": _in("panels", 1, "options", "colourMode", value="value"),
    "a field setting": _in("panels", 6, "fieldConfig", "defaults", "custom", "drawStyle", value="dots"),
}


@pytest.mark.parametrize("version", WHERE)
def test_the_compiler_would_notice(version: int, tmp_path: Path) -> None:
    dashboards = {}
    for number, change in enumerate(MISTAKES.values()):
        dashboards[f"mistake{number}"] = made()["overview"]
        change(dashboards[f"mistake{number}"])
    said = compiled(tmp_path, version, dashboards)
    assert [name for name in dashboards if f"{name}.ts(" not in said] == [], said
