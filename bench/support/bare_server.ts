/**
 * The floor for comparisons: a server of a few lines over ws, msgpackr, ajv and one Redis Function that appends a
 * batch. No chains, no fence, no credit, no limits. Prints its port; ends with its standard input.
 */
import { once } from "node:events";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { Unpackr } from "msgpackr";
import { createClient } from "redis";
import { WebSocketServer } from "ws";
import { WORKLOAD_SCHEMA } from "../workload.ts";

const [url = ""] = process.argv.slice(2);
const redis = createClient({ url });
await redis.connect();
await redis.sendCommand([
  "FUNCTION",
  "LOAD",
  "REPLACE",
  "#!lua name=bare\nredis.register_function('bare_append', function(keys, args) return redis.call('XADD', keys[1], '*', 'b', args[1]) end)",
]);
const ajv = new Ajv2020();
(addFormats as unknown as (ajv: Ajv2020, options: object) => void)(ajv, { mode: "fast" });
const validate = ajv.compile(WORKLOAD_SCHEMA);
const unpacker = new Unpackr({ useRecords: true, mapsAsObjects: true });
const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("message", (data: Buffer) => {
    // A frame: partition, then the events.
    const partition = data[0] ?? 0;
    const events = unpacker.unpack(data.subarray(1)) as unknown[];
    if (!events.every((event) => validate(event))) throw new Error("an event of the workload must be valid");
    redis
      .sendCommand(["FCALL", "bare_append", "1", `bare:${partition}`, data.subarray(1)])
      .then(() => socket.send(data.subarray(0, 1)));
  });
});
await once(server, "listening");
console.log((server.address() as { port: number }).port);
process.stdin.on("end", () => process.exit(0)).resume();
