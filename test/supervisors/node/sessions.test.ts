import { test } from "uvu";
import * as assert from "uvu/assert";
import type { SessionPeer } from "../../../actors/ingest/session.ts";
import { createActorSystem } from "../../../actors/kernel/actor_system.ts";
import { createMemoryLog } from "../../../actors/log/embedded/memory_log.ts";
import type { Connect } from "../../../protocols/connection.ts";
import type { ClientFrame, NodeFrame } from "../../../protocols/wire/frames.ts";
import { type Sessions, startSessions, tellingErrors } from "../../../supervisors/node/sessions.ts";
import { NodeDirectory } from "../../../supervisors/node/stream_directory.ts";
import { INSIDE } from "../../../supervisors/security/access/grants.ts";

const DAY_MS = 86_400_000;

async function withSessions(use: (sessions: Sessions) => Promise<void>, dedupeWindowsMs = [DAY_MS]): Promise<void> {
  const system = await createActorSystem();
  const streams = Object.fromEntries(dedupeWindowsMs.map((dedupeWindowMs, at) => [`s${at}`, { dedupeWindowMs }]));
  const configuration = { streams, limits: { appendMemoryBytes: 1_000_000, connectionsMax: 10 } };
  await use(
    startSessions(system, {
      log: createMemoryLog({ clock: () => 1_000 }),
      access: { authenticate: async () => undefined } as never,
      configuration: configuration as never,
      directory: new NodeDirectory({ s0: { partitions: 1, schemaVersions: [] } }),
      schemas: new Map(),
      name: "n",
      metrics: { counter: () => ({ add() {} }) } as never,
    }),
  );
  await system.shutdown();
}

/** The answer to one frame over a connection of its own. */
async function answerTo(connect: Connect, frame: ClientFrame): Promise<NodeFrame> {
  const { signal } = new AbortController();
  return new Promise((resolve, reject) => {
    connect("this node", { onFrame: resolve, onClose: reject }, signal).then(
      (connection) => connection.send(frame),
      reject,
    );
  });
}

const HELLO = { type: "hello", client: "c", producerId: "sink/copies/0", instance: "1" } as const;

test("a producer within the node needs no token, and the log makes its epoch", async () => {
  await withSessions(async (sessions) => {
    const [first, second] = [
      await answerTo(sessions.connect(INSIDE), HELLO),
      await answerTo(sessions.connect(INSIDE), { ...HELLO, instance: "2" }),
    ];
    assert.ok(first.type === "welcome" && second.type === "welcome");
    assert.ok((second.producerEpoch ?? 0) > (first.producerEpoch ?? 0));
  });
});

test("a derived stream's producer is given the epoch that it names: its input's owner epoch (E3)", async () => {
  await withSessions(async (sessions) => {
    const connect = sessions.connectWithEpoch(INSIDE);
    for (const producerEpoch of [41, 7]) {
      const welcome = await answerTo(connect, { ...HELLO, producerEpoch });
      assert.is(welcome.type === "welcome" && welcome.producerEpoch, producerEpoch);
    }
  });
});

test("clients are told the shortest dedupe window of all streams, and at most a day", async () => {
  for (const [windowsMs, told] of [
    [[2 * DAY_MS], DAY_MS],
    [[DAY_MS, 3_600_000], 3_600_000],
  ] as const) {
    await withSessions(
      async (sessions) => {
        const welcome = await answerTo(sessions.connect(INSIDE), HELLO);
        assert.is(welcome.type === "welcome" && welcome.limits.dedupeWindowMs, told);
      },
      [...windowsMs],
    );
  }
});

test("a peer whose errors are told can do all that it could: also send JSON, and end its connection at once", () => {
  const calls: unknown[][] = [];
  const noting =
    (name: string) =>
    (...of: readonly unknown[]) => {
      calls.push([name, ...of]);
      return 7;
    };
  const methods = Object.fromEntries(
    ["send", "close", "abandon", "charge", "hold"].map((name) => [name, noting(name)]),
  ) as unknown as Required<SessionPeer>;
  const told: string[] = [];
  const peer = tellingErrors({ ...methods, sendsJson: true }, ({ code }) => told.push(code));
  const onLeft = () => undefined;
  const texts = [new Uint8Array(1)];
  const records = { type: "records", subscription: 1, stream: "s", partition: 0, batches: [], endOffset: 0 } as const;
  const error = { type: "error", code: "FORBIDDEN", message: "no" } as const;
  assert.is(peer.send(records, onLeft, texts), 7);
  peer.send(error);
  peer.close(1, "why");
  peer.abandon?.();
  peer.charge?.(2);
  peer.hold?.(3);
  assert.equal(calls, [
    ["send", records, onLeft, texts],
    ["send", error],
    ["close", 1, "why"],
    ["abandon"],
    ["charge", 2],
    ["hold", 3],
  ]);
  assert.is(peer.sendsJson, true);
  assert.equal(told, ["FORBIDDEN"]);
});

test.run();
