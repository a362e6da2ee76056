// Adds one miner by its address, also one that is switched off.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../../html.js";
import { get, put } from "../../data/api.js";
import { showToast } from "../../data/toasts.js";
import { FoundLine } from "./found_line.js";
import { fromDiscovered, updateKinds } from "./found.js";
import { currentFleet } from "./current_fleet.js";
import { registerMiners } from "./register.js";

/** @param {{ initialIp: string }} props the address of a miner whose MAC is to be entered, or empty */
export function AddressForm({ initialIp }) {
  const [ip, setIp] = useState(initialIp);
  const [mac, setMac] = useState("");
  const [found, setFound] = useState(/** @type {import("./found.js").Found[]} */ ([]));
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const macInput = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    if (initialIp) macInput.current?.focus();
  }, []);

  const run = async (/** @type {() => Promise<void>} */ action) => {
    setBusy(true);
    setError("");
    setFound([]);
    try {
      await action();
    } catch (failure) {
      setError(/** @type {Error} */ (failure).message);
    }
    setBusy(false);
  };
  const look = () => run(async () => {
    const miners = await get("devices/discover", { ip: ip.trim(), mac: mac.trim() });
    setFound(miners.map(fromDiscovered));
    if (!miners.length) setError("No miner answers at this address. With its MAC it can be registered while it is switched off.");
  });
  const registerByHand = () => run(async () => {
    await put("devices/imprint", { devices: [{ mac: mac.trim(), ip: ip.trim() }] });
    showToast(`${ip.trim()} registered.`);
    setIp("");
    setMac("");
  });

  return html`
    <section class="card" aria-label="By address">
      <header><h2>By address</h2></header>
      <form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); look(); }}>
        <div class="field">
          <label for="add-ip">Address or host name</label>
          <input id="add-ip" class="input" required autocomplete="off" placeholder="192.168.1.40" value=${ip} onInput=${(/** @type {any} */ event) => setIp(event.target.value)} />
        </div>
        <div class="field">
          <label for="add-mac">MAC (only for a miner that is switched off or does not report it)</label>
          <input id="add-mac" ref=${macInput} class="input" autocomplete="off" placeholder="aa:bb:cc:dd:ee:ff" value=${mac} onInput=${(/** @type {any} */ event) => setMac(event.target.value)} />
        </div>
        ${error && html`<p class="is-bad small" role="alert">${error}</p>`}
        <div class="row">
          <button class="button primary" disabled=${busy || !ip.trim()}>${busy ? "Asking …" : "Look there"}</button>
          <button type="button" class="button" disabled=${busy || !ip.trim() || !mac.trim()} onClick=${registerByHand}>Register without asking it</button>
        </div>
      </form>
      ${found.length > 0 && html`
        <ul class="lines" aria-label="Found at this address">
          ${updateKinds(found, currentFleet(new Set())).map((each) => html`<${FoundLine} key=${each.ip} found=${each} onRegister=${() => registerMiners([/** @type {string} */ (each.mac)])} />`)}
        </ul>`}
    </section>
  `;
}
