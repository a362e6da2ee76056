// The fleet: figures, problems, the chart, and the table of all devices.
import { useEffect } from "preact/hooks";
import { html } from "../../html.js";
import { Empty } from "../../components/empty.js";
import { allRows, loadError, loadedAt } from "../../data/fleet.js";
import { formatRoute } from "../../data/router.js";
import { isConnected } from "../../data/socket.js";
import { FleetChart } from "./fleet_chart.js";
import { Problems } from "./problems.js";
import { SelectionBar } from "./selection_bar.js";
import { clearFilters, isFiltered, items } from "./state.js";
import { DeviceTable } from "./table.js";
import { loadTileHistory } from "./tile_history.js";
import { Tiles } from "./tiles.js";
import { Toolbar } from "./toolbar.js";

const RELOAD_MS = 5 * 60_000;

export function FleetScreen() {
  const isLive = isConnected.value;
  useEffect(() => {
    const load = () => void loadTileHistory().catch(() => {}); // tiles are complete without sparklines
    load();
    const timer = setInterval(load, RELOAD_MS);
    return () => clearInterval(timer);
  }, [isLive]);
  if (loadedAt.value === null) return html`<h1 class="visually-hidden">Fleet</h1><${Loading} />`;
  if (allRows.value.length === 0) return html`<h1 class="visually-hidden">Fleet</h1><${FirstStart} />`;
  return html`
    <h1 class="visually-hidden">Fleet</h1>
    <${Tiles} />
    <${Problems} />
    <${FleetChart} />
    <div class="stack">
      <${Toolbar} />
      <${DeviceTable} />
      ${items.value.length === 0 && isFiltered.value
        ? html`<${Empty} title="No device matches"><button class="button" onClick=${clearFilters}>Clear filters</button><//>`
        : null}
    </div>
    <${SelectionBar} />
  `;
}

function Loading() {
  if (loadError.value) return html`<${Empty} title="The devices could not be loaded"><p>${loadError.value.message}</p><//>`;
  return html`<p class="soft" role="status">Loading devices …</p>`;
}

function FirstStart() {
  return html`
    <${Empty} title="No miners yet">
      <p>Pluto watches the miners that you register. Scan your network to find them, or add one by its address.</p>
      <a class="button primary" href=${formatRoute("add")}>Add devices</a>
    <//>
  `;
}
