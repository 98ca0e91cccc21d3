/** The load generator of the bare server: the same events, connections and batches in flight as `headrace_client.ts`. */
import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import { workloadEvent } from "../../workload.ts";
import { GatheredSocket } from "./gathered_socket.ts";
import type { LoadOptions } from "./headrace_client.ts";

export async function bareLoad(options: LoadOptions): Promise<number> {
  const perConnection = Math.max(1, Math.round(options.inFlightEvents / options.batchEvents / options.connections));
  const beginMs = performance.now() + options.warmUpMs;
  const endMs = beginMs + options.measureMs;
  let acked = 0;
  const connection = (client: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = new GatheredSocket(options.endpoint);
      let n = 0;
      let inFlight = 0;
      const send = () => {
        const events = Array.from({ length: options.batchEvents }, () => workloadEvent(client, n++));
        const bytes = encodeEvents(events, { asRecords: options.batchEvents > 1 });
        const frame = Buffer.allocUnsafe(bytes.length + 1);
        frame[0] = n % options.partitions;
        frame.set(bytes, 1);
        socket.sendGathered(frame);
        inFlight += 1;
      };
      socket.on("open", () => {
        for (let count = 0; count < perConnection; count += 1) send();
      });
      socket.on("message", () => {
        inFlight -= 1;
        const now = performance.now();
        if (now >= beginMs && now < endMs) acked += options.batchEvents;
        if (now < endMs) send();
        else if (inFlight === 0) socket.close();
      });
      socket.on("close", () => resolve());
      socket.on("error", reject);
    });
  await Promise.all(Array.from({ length: options.connections }, (_, client) => connection(client)));
  return acked / (options.measureMs / 1_000);
}
