/**
 * Measures a backlog through an http sink whose endpoint answers at once, answers 503 to one request in a hundred,
 * takes 250 ms an answer, or gives ten answers a second: the time until every record has arrived, and the requests for
 * each record.
 *
 *   node --import tsx bench/http_sink.bench.ts [runs] [records of the backlog]
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { startHeadrace } from "./support/processes.ts";
import { median, medians, record } from "./support/results.ts";
import { workloadEvent } from "./workload.ts";

const [runCount = "3", recordCount = "3000"] = process.argv.slice(2);
const RECORDS = Number(recordCount);
const LOOK_EVERY_MS = 5;
const WITHIN_MS = 120_000;
const BUSY_EVERY = 100;
const SLOW_MS = 250;
const SERIAL_MS = 100;

interface Endpoint {
  /** Delay of each answer, in ms. */
  readonly delayMs: number;
  /** Whether the endpoint gives one answer at a time. */
  readonly isSerial: boolean;
  readonly isBusySometimes: boolean;
  readonly records: number;
}

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  atOnce: { delayMs: 0, isSerial: false, isBusySometimes: false, records: RECORDS },
  busyOneInAHundred: { delayMs: 0, isSerial: false, isBusySometimes: true, records: RECORDS },
  slow: { delayMs: SLOW_MS, isSerial: false, isBusySometimes: false, records: Math.ceil(RECORDS / 25) },
  tenASecond: { delayMs: SERIAL_MS, isSerial: true, isBusySometimes: false, records: Math.ceil(RECORDS / 30) },
};

async function startEndpoint({ delayMs, isSerial, isBusySometimes }: Endpoint) {
  const seen = new Set<string>();
  let requests = 0;
  let free = Promise.resolve();
  const pause = () => new Promise<void>((resolve) => setTimeout(resolve, delayMs));
  const server = createServer((request, response) => {
    request.resume().on("end", async () => {
      requests += 1;
      const isBusy = isBusySometimes && requests % BUSY_EVERY === 0;
      if (!isBusy) seen.add(String(request.headers["idempotency-key"]));
      if (isSerial) free = free.then(pause);
      if (isSerial) await free;
      else if (delayMs > 0) await pause();
      response.writeHead(isBusy ? 503 : 200).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    requests: () => requests,
    arrived: () => seen.size,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function measure(kind: Endpoint): Promise<{ readonly tookMs: number; readonly requestsARecord: number }> {
  const endpoint = await startEndpoint(kind);
  const node = await startHeadrace({
    log: "{ type: lmdb }",
    durability: "everysec",
    more: `sinks: { hook: { type: http, url: "${endpoint.url}" } }\npipelines: { all: { from: bench, to: [hook] } }\n`,
  });
  try {
    const lines = Array.from({ length: kind.records }, (_, n) => `${JSON.stringify(workloadEvent(0, n))}\n`).join("");
    const beginMs = performance.now();
    const headers = { "content-type": "application/x-ndjson" };
    const answer = await fetch(`${node.address}/v1/streams/bench/events`, { method: "POST", headers, body: lines });
    if (!answer.ok) throw new Error(`the node answered ${answer.status} ${await answer.text()}`);
    while (endpoint.arrived() < kind.records) {
      if (performance.now() - beginMs > WITHIN_MS) throw new Error(`${endpoint.arrived()} of ${kind.records} arrived`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    return { tookMs: performance.now() - beginMs, requestsARecord: endpoint.requests() / kind.records };
  } finally {
    await node.stop();
    endpoint.stop();
  }
}

const tookMs: Record<string, number[]> = {};
const requestsARecord: Record<string, number[]> = {};
for (let run = 0; run < Number(runCount); run += 1) {
  for (const [name, endpoint] of Object.entries(ENDPOINTS)) {
    const measured = await measure(endpoint);
    tookMs[name] = [...(tookMs[name] ?? []), Math.round(measured.tookMs)];
    requestsARecord[name] = [...(requestsARecord[name] ?? []), measured.requestsARecord];
  }
}
const ratios = {
  busyToAtOnce: median(tookMs.busyOneInAHundred ?? []) / median(tookMs.atOnce ?? []),
  slowRequestsARecord: median(requestsARecord.slow ?? []),
  tenASecondRequestsARecord: median(requestsARecord.tenASecond ?? []),
};
console.log(tookMs, requestsARecord, ratios);
record({
  name: "http_sink",
  command: `node --import tsx bench/http_sink.bench.ts ${runCount} ${recordCount}`,
  workload: `a backlog of ${RECORDS} records in 16 partitions, one record a request; ms until every record has arrived`,
  runs: tookMs,
  median: medians(tookMs),
  ratios,
  requestsARecord,
});
