// The shell: navigation, the screen of the present route, and what lies above every screen.
import { useEffect } from "preact/hooks";
import { html } from "./html.js";
import { Confirmation } from "./components/confirmation.js";
import { ConnectionBanner, isUnreachable } from "./components/connection_banner.js";
import { ThemeButton } from "./components/theme_button.js";
import { Toasts } from "./components/toasts.js";
import { followFleet } from "./data/fleet.js";
import { formatRoute, route } from "./data/router.js";
import { isSignInNeeded } from "./data/session.js";
import { AboutScreen } from "./screens/about/screen.js";
import { AddScreen } from "./screens/add/screen.js";
import { DeviceScreen } from "./screens/device/screen.js";
import { EventsScreen } from "./screens/events/screen.js";
import { FleetScreen } from "./screens/fleet/screen.js";
import { JobScreen } from "./screens/jobs/job_screen.js";
import { JobsScreen } from "./screens/jobs/screen.js";
import { Palette } from "./screens/palette/palette.js";
import { PresetsScreen } from "./screens/presets/screen.js";
import { SignInScreen } from "./screens/signin/screen.js";

/** First segment of the route → title in the navigation (absent: not in it) and screen. @type {Record<string, { title?: string, screen: any, one?: any }>} */
const SCREENS = {
  "": { title: "Fleet", screen: FleetScreen },
  devices: { screen: FleetScreen, one: DeviceScreen },
  add: { title: "Add", screen: AddScreen },
  presets: { title: "Presets", screen: PresetsScreen },
  jobs: { title: "Jobs", screen: JobsScreen, one: JobScreen },
  events: { title: "Events", screen: EventsScreen },
  about: { title: "About", screen: AboutScreen },
};

export function App() {
  const needsToken = isSignInNeeded.value;
  useEffect(() => (needsToken ? undefined : followFleet()), [needsToken]);
  if (needsToken) return html`<${SignInScreen} />`;
  const [name = "", id] = route.value.segments;
  const entry = SCREENS[name] ?? SCREENS[""];
  return html`
    <div class="shell">
      <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to content</a>
      <${TopBar} present=${name === "devices" ? "" : name} />
      <${ConnectionBanner} />
      <main class=${isUnreachable.value ? "screen old" : "screen"} id="main" tabindex="-1">
        ${id && entry.one ? html`<${entry.one} id=${id} key=${id} />` : html`<${entry.screen} />`}
      </main>
      <${Palette} />
      <${Confirmation} />
      <${Toasts} />
    </div>
  `;
}

/** @param {{ present: string }} props */
function TopBar({ present }) {
  return html`
    <header class="topbar">
      <a class="brand" href=${formatRoute("")} aria-label="Pluto, fleet">
        <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true"><circle cx="9" cy="11" r="7" fill="currentColor" /><circle cx="17" cy="3.5" r="2" fill="currentColor" /></svg>
        Pluto
      </a>
      <nav class="nav" aria-label="Screens">
        ${Object.entries(SCREENS).map(
          ([name, { title }]) => title && html`<a key=${name} href=${formatRoute(name)} aria-current=${name === present ? "page" : undefined}>${title}</a>`,
        )}
      </nav>
      <div class="topbar-tools"><${ThemeButton} /></div>
    </header>
  `;
}
