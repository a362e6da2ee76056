// Bundle the web interface into app/static: two pages, hashed assets, and a gzip copy of each.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const HERE = dirname(fileURLToPath(import.meta.url));
const TARGET = process.argv[2] ?? join(HERE, "..", "app", "static");
const STAGING = `${TARGET}.new`;
const PAGES = {
  index: { entry: "src/main.js", title: "Pluto", fallback: 'The data is also at <a href="devices">/devices</a>.' },
  docs: { entry: "src/docs/main.js", title: "Pluto API", fallback: 'The document is also at <a href="openapi.json">openapi.json</a>.' },
};
// Gzipped bytes, as the issue that introduced the interface demands.
export const MAX_LIBRARY_BYTES = 60 * 1024;
export const MAX_OWN_BYTES = 60 * 1024;

/** Return the bundle's files and esbuild's metafile. */
async function bundle() {
  return build({
    absWorkingDir: HERE,
    entryPoints: { ...Object.fromEntries(Object.entries(PAGES).map(([name, { entry }]) => [name, entry])), style: "src/styles/index.css" },
    entryNames: "[name]-[hash]",
    chunkNames: "chunk-[hash]",
    assetNames: "[name]-[hash]",
    outdir: join(STAGING, "assets"),
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    target: ["es2022", "chrome110", "firefox115", "safari16"],
    legalComments: "none",
    loader: { ".svg": "file" },
    metafile: true,
    logLevel: "warning",
  });
}

/** Return the gzipped size of the libraries and of our own code, in proportion to their parts of each output. */
export function measureSizes(metafile, compressedSize) {
  const sizes = { libraries: 0, own: 0 };
  for (const [output, { bytes, inputs }] of Object.entries(metafile.outputs)) {
    const ratio = compressedSize(output) / bytes;
    for (const [input, { bytesInOutput }] of Object.entries(inputs)) {
      sizes[input.includes("node_modules") ? "libraries" : "own"] += bytesInOutput * ratio;
    }
  }
  return { libraries: Math.round(sizes.libraries), own: Math.round(sizes.own) };
}

function writePage(name, script, style) {
  const { title, fallback } = PAGES[name];
  const page = readFileSync(join(HERE, "src", "page.html"), "utf8")
    .replace("%TITLE%", title)
    .replace("%FALLBACK%", fallback)
    .replace("%SCRIPT%", `assets/${script}`)
    .replace("%STYLE%", `assets/${style}`);
  writeFileSync(join(STAGING, `${name}.html`), page);
}

function compressFiles(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) compressFiles(path);
    else writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
  }
}

async function main() {
  rmSync(STAGING, { recursive: true, force: true });
  mkdirSync(STAGING, { recursive: true });
  const { metafile } = await bundle();
  const outputs = Object.entries(metafile.outputs);
  const find = (entry) => basename(outputs.find(([, output]) => output.entryPoint === entry)[0]);
  for (const [name, { entry }] of Object.entries(PAGES)) writePage(name, find(entry), find("src/styles/index.css"));
  compressFiles(STAGING);
  const sizes = measureSizes(metafile, (output) => readFileSync(`${join(HERE, output)}.gz`).length);
  const version = createHash("sha256").update(outputs.map(([name]) => name).sort().join()).digest("hex").slice(0, 12);
  writeFileSync(join(STAGING, "build.json"), JSON.stringify({ version, ...sizes }));
  process.stdout.write(`web: libraries ${sizes.libraries} bytes gzipped, own code ${sizes.own}\n`);
  if (sizes.libraries > MAX_LIBRARY_BYTES || sizes.own > MAX_OWN_BYTES) {
    throw new Error(`the bundle is too large: at most ${MAX_LIBRARY_BYTES} and ${MAX_OWN_BYTES} bytes`);
  }
  rmSync(TARGET, { recursive: true, force: true });
  renameSync(STAGING, TARGET);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
