/** Requests at the same time share producers within the node, and each record keeps the trace context of its own request. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { eventually, nodeOfEachTest } from "../../support/processes/running_node.ts";

const node = nodeOfEachTest(
  test,
  `
log: { type: memory }
streams: { s: { partitions: 1, durability: memory }, derived: { partitions: 1, durability: memory } }
sinks: { copy: { type: stream, stream: derived } }
pipelines: { p: { from: s, to: [copy] } }
`,
);
const REQUESTS = 120;
const traceOf = (n: number): string | undefined =>
  n % 3 === 0 ? undefined : `00-${String(n).padStart(32, "0")}-b7ad6b7169203331-01`;

async function post(n: number): Promise<number> {
  const traceparent = traceOf(n);
  const response = await fetch(`${node.address}/v1/streams/s/events`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(traceparent === undefined ? {} : { traceparent }) },
    body: JSON.stringify([{ n }, { n }]),
  });
  await response.arrayBuffer();
  return response.status;
}

interface Shown {
  readonly records: readonly { readonly event: { readonly n: number }; readonly traceparent?: string }[];
}

test("each record, and each record derived from it, has the trace context of its own request, or none", async () => {
  const statuses = await Promise.all(Array.from({ length: REQUESTS }, (_, n) => post(n)));
  assert.ok(statuses.every((status) => status === 200));
  for (const stream of ["s", "derived"]) {
    const path = `${node.address}/v1/streams/${stream}/partitions/0/records?limit=1000`;
    const records = await eventually(async () => {
      const shown = ((await (await fetch(path)).json()) as Shown).records;
      return shown.length === 2 * REQUESTS ? shown : undefined;
    });
    const wrong = records.filter(({ event, traceparent }) => traceparent !== traceOf(event.n));
    assert.equal(wrong, [], stream);
  }
});

test.run();
