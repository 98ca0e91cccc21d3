/** Events and records that would hold up a node: each is set aside alone, and the events beside it are stored. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Event } from "../../../protocols/event.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

const NODE = `
log: { type: memory }
streams:
  trees:
    partitions: 1
    bodyFormats: [form]
    schema:
      $defs:
        node:
          oneOf:
            - { type: object, required: [kind], properties: { child: { $ref: "#/$defs/node" }, kind: { const: and } } }
            - { type: object, required: [kind], properties: { child: { $ref: "#/$defs/node" }, kind: { const: or } } }
      type: object
      properties: { root: { $ref: "#/$defs/node" }, list: { type: array } }
  pairs: { partitions: 1 }
sinks:
  derived: { type: stream, stream: pairs }
pipelines:
  paired:
    from: trees
    steps: [{ filter: "!has(event.list) || event.list.all(x, event.list.exists(y, y == x))" }]
    to: [derived]
`;

const tree = (depth: number): Event => (depth === 0 ? { kind: "neither" } : { kind: "and", child: tree(depth - 1) });
const list = Array.from({ length: 5_000 }, (_, index) => index);

test("an event beyond the validation's budget, and a record beyond the expression's, are set aside alone", async () => {
  const node = await runningNode(NODE);
  const base = node.endpoint.replace(/^ws/, "http").replace("/v1/connect", "");
  const post = (body: unknown, type = "application/json") =>
    fetch(`${base}/v1/streams/trees/events`, {
      method: "POST",
      headers: { "content-type": type },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  const recordsOf = async (stream: string, channel: string) => {
    const answer = await fetch(`${base}/v1/streams/${stream}/partitions/0/records?from=earliest&channel=${channel}`);
    return ((await answer.json()) as { records: { event: Event }[] }).records.map(({ event }) => event);
  };
  try {
    const answer = await post([{ root: { kind: "and" } }, { root: tree(40) }, { list }, { root: { kind: "or" } }]);
    assert.is(answer.status, 200);
    const { accepted, rejected } = (await answer.json()) as {
      accepted: number;
      rejected: { index: number; code: string }[];
    };
    assert.is(accepted, 3);
    assert.equal(
      rejected.map(({ index, code }) => [index, code]),
      [[1, "VALIDATION_BUDGET"]],
    );
    const [letter] = await recordsOf("trees", "rejected");
    assert.is(letter?.code, "VALIDATION_BUDGET");
    assert.match(String(letter?.path), /^\/root\/child/);

    const kept = await eventually(async () => {
      const records = await recordsOf("pairs", "records");
      return records.length === 2 ? records : undefined;
    });
    assert.equal(kept, [{ root: { kind: "and" } }, { root: { kind: "or" } }]);
    const [failed] = await recordsOf("trees", "dead_letters/derived");
    assert.is(failed?.code, "STEP_FAILED");
    assert.match(String(failed?.reason), /budget of \d+ steps/);

    assert.is((await post("a=1", "application/x-www-form-urlencoded")).status, 200);
    assert.is((await post("a", "text/plain")).status, 415);
    assert.is((await post("{}", "application/json; charset=latin1")).status, 415);
  } finally {
    await node.end();
  }
});

test.run();
