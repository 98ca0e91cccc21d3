import { test } from "uvu";
import * as assert from "uvu/assert";
import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK } from "../../../protocols/mod.ts";
import { EVENT_LEVELS_MAX } from "../../../protocols/values/event_complexity.ts";
import { runningNode } from "../../support/processes/running_node.ts";

function nested(levels: number): Record<string, unknown> {
  let event: Record<string, unknown> = { leaf: 1 };
  for (let level = 1; level < levels; level += 1) event = { inner: event };
  return event;
}

const cycle: Record<string, unknown> = {};
cycle.self = cycle;

for (const subprotocol of [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const) {
  test(`an event with too many levels or values is rejected alone, and the events beside it are stored (${subprotocol})`, async () => {
    const node = await runningNode("log: { type: memory }\nstreams: { events: { durability: memory } }\n");
    const producer = node.producer({ producerId: "complex", stream: "events" }, subprotocol);
    await producer.send({ n: 0 });
    await producer.flush();
    const wide = { list: Array.from({ length: 600_000 }, () => 1) };
    const events = [{ n: 1 }, nested(EVENT_LEVELS_MAX + 1), nested(EVENT_LEVELS_MAX), wide, cycle, { n: 2 }];
    for (const event of events) await producer.send(event);
    const error = await producer.flush().catch((reason: unknown) => reason);
    assert.match(String(error), /3 rejected, .* with FRAME_TOO_COMPLEX/);
    const { stored, rejected, inDoubt } = await producer.close({ timeoutMs: 5_000 });
    assert.equal([stored, rejected.length, inDoubt.length], [4, 3, 0]);
    await node.end();
  });
}

test.run();
