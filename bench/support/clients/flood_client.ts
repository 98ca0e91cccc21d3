/**
 * Floods a node with small frames until it is ended, and drops the frames that it receives.
 *
 *   node --import tsx bench/support/clients/flood_client.ts <endpoint> <flood>
 */
import { setTimeout as delay } from "node:timers/promises";
import { RawClient } from "../../../test/support/clients/raw_client.ts";
import { type Flood, frameOf } from "./flood.ts";

const [endpoint = "", flood = ""] = process.argv.slice(2);
const PARTITIONS = 16;
const BURST = 500;
const UNSENT_BYTES_MAX = 262_144;

const client = await RawClient.open(endpoint);
await client.ask({ type: "hello", client: "flood", minor: 2, producerId: `flood-${Date.now()}`, instance: "i" });
client.socket.removeAllListeners("message");
process.send?.("flooding");
for (let n = 0; ; ) {
  for (let burst = 0; burst < BURST; burst += 1, n += 1) client.send(frameOf(flood as Flood, n, PARTITIONS));
  while (client.socket.bufferedAmount > UNSENT_BYTES_MAX) await delay(1);
  await delay(0);
}
