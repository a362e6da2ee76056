// One device of the table. It renders again only if its row, its columns or its selection changed.
import { Component } from "preact";
import { html } from "../../html.js";
import { Sparkline } from "../../components/sparkline.js";
import { Status } from "../../components/status.js";
import { formatHashrate, formatPower, formatTemperature } from "../../data/format.js";
import { formatRoute, navigate } from "../../data/router.js";
import { select } from "./state.js";

/** @typedef {{ row: any, columns: import("./columns.js").Column[], columnKeys: string, spark?: (number | null)[], index: number, isActive: boolean, isSelected: boolean, isNarrow: boolean }} Props */
const COMPARED = /** @type {(keyof Props)[]} */ (["row", "columnKeys", "spark", "index", "isActive", "isSelected", "isNarrow"]);

/** @extends {Component<Props>} */
export class DeviceRow extends Component {
  /** @param {Props} next */
  shouldComponentUpdate(next) {
    return COMPARED.some((key) => next[key] !== this.props[key]);
  }

  /** @param {MouseEvent} event */
  open = (event) => {
    if (!(/** @type {HTMLElement} */ (event.target).closest("a, input, button"))) navigate(`devices/${this.props.row.mac}`);
  };

  render() {
    const { row, columns, spark, index, isActive, isSelected, isNarrow } = this.props;
    const toggle = html`<input type="checkbox" tabindex="-1" aria-label=${`Select ${row.title}`} checked=${isSelected} onChange=${() => select([row.mac], !isSelected)} />`;
    const name = html`<a tabindex="-1" href=${formatRoute(`devices/${row.mac}`)} title=${row.mac}>${row.title}</a>`;
    const common = { "data-index": index, tabindex: isActive ? 0 : -1, onClick: this.open, class: isSelected ? "selected" : "", "aria-rowindex": index + 2 };
    if (isNarrow) {
      return html`
        <tr ...${common}>
          <td class="narrow-row">
            <span class="narrow-name">${name}</span>
            <${Status} status=${row.status} detail=${row.statusDetail} />
            <span class="narrow-spark"><${Sparkline} values=${spark} /></span>
            <span class="number soft">${formatHashrate(row.hashrateGhs)} · ${formatTemperature(row.temperatureCelsius)} · ${formatPower(row.powerWatts)}</span>
          </td>
        </tr>
      `;
    }
    return html`
      <tr ...${common}>
        <td>${toggle}</td>
        <th scope="row">${name}</th>
        ${columns.map((column) => html`<td key=${column.key} class=${column.number ? "num" : ""}>${column.render(row, spark)}</td>`)}
      </tr>
    `;
  }
}
