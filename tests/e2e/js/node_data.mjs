// The data directory as the Node backend keeps it: `write DIR` puts the JSON object of stdin into a LevelDB, key by
// key; `read DIR` prints what is there.
import { ClassicLevel } from "classic-level";
import { readFileSync } from "node:fs";

const [what, directory] = process.argv.slice(2);
const db = new ClassicLevel(directory, { valueEncoding: "json" });
await db.open();
if (what === "write") {
  for (const [key, value] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) await db.put(key, value);
} else {
  console.log(JSON.stringify(Object.fromEntries(await db.iterator().all())));
}
await db.close();
