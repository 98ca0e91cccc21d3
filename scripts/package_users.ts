/** The programs of a user of the package: `check_package.ts` type-checks and runs them against the installed tarball. */

/** A user's first client in TypeScript. It is type-checked strictly, the libraries included. */
export const CLIENT_TS = `
import { type ConsumedRecord, Consumer, connectWebSocket, HeadraceError, Producer, SUBPROTOCOL_JSON } from "headrace";

export async function copy(address: string): Promise<readonly ConsumedRecord[]> {
  const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_JSON });
  const producer = new Producer({ connect, addresses: [address], producerId: "typed", stream: "events" });
  const confirmation = await producer.sendAndConfirm({ hello: "world" });
  if (confirmation.kind === "rejected") throw new Error(confirmation.reason);
  const { inDoubt } = await producer.close({ timeoutMs: 5_000 });
  if (inDoubt.length > 0) throw new Error("in doubt");
  const consumer = new Consumer({ connect, addresses: [address] });
  const seen: ConsumedRecord[] = [];
  try {
    for await (const item of consumer.subscribe({ stream: "events", from: "earliest" })) {
      if (item.kind === "records") seen.push(...item.records);
      if (seen.length > 0) break;
    }
  } catch (error) {
    if (error instanceof HeadraceError) console.error(error.code);
    throw error;
  }
  consumer.close();
  return seen;
}

// @ts-expect-error a producer has a name
new Producer({ connect: connectWebSocket({ subprotocol: SUBPROTOCOL_JSON }), addresses: [] });
`;

/** A user's own kinds, by the contracts of the package. */
export const KINDS_TS = `
import type { SinkDefinition } from "headrace/sink";
import type { SourceDefinition } from "headrace/source";

export const counter: SinkDefinition<{ readonly every: number }> = {
  type: "counter",
  delivery: "at_least_once",
  optionsSchema: { type: "object", properties: { every: { type: "integer" } }, additionalProperties: false },
  async open({ every }, { name, log }) {
    let count = 0;
    return {
      position: async () => undefined,
      async write({ records }) {
        count += records.length;
        if (count % every === 0) log("info", name + " has counted " + count);
        return { kind: "written" };
      },
      close: async () => undefined,
    };
  },
};

export const ticks: SourceDefinition<object> = {
  type: "ticks",
  optionsSchema: { type: "object", additionalProperties: false },
  async open(_options, _context, resume) {
    const first = typeof resume?.at === "number" ? resume.at + 1 : 0;
    return {
      async *read() {
        const item = { kind: "event", event: { tick: first } } as const;
        yield { items: [{ item, term: 0, position: first }], resume: { at: first } };
      },
      close: async () => undefined,
    };
  },
};
`;

/** A user's own kinds run the suites, by node's own runner of tests. The sink forgets its texts: the second suite must fail. */
export const CONFORMANCE_TS = `
import test from "node:test";
import {
  type OpenTarget, plainEvent, type SinkHarness, sinkCases, type SourceHarness, sourceCases,
} from "headrace/conformance";
import type { SinkDefinition } from "headrace/sink";
import type { SourceDefinition } from "headrace/source";

export const isBroken = process.argv[2] === "broken";

/** The kind's own form: JSON, for what JSON.stringify takes. */
function textOf(event: object): string | undefined {
  try {
    return JSON.stringify(event);
  } catch {
    return undefined;
  }
}

function open(): OpenTarget {
  const texts: string[] = [];
  const sink: SinkDefinition<object> = {
    type: "texts",
    delivery: "at_least_once",
    optionsSchema: { type: "object", additionalProperties: false },
    open: async () => ({
      position: async () => undefined,
      async write({ records }) {
        for (const [at, { event }] of records.entries()) {
          const text = textOf(event);
          if (text === undefined) {
            const rejection = { at, code: "SINK_REJECTED", reason: "it has no form in JSON", isFinal: true };
            return { kind: "taken", count: at, problem: { kind: "rejected", records: [rejection] } };
          }
          if (!isBroken || at > 0) texts.push(text);
        }
        return { kind: "written" };
      },
      close: async () => undefined,
    }),
  };
  return { sink, options: {}, held: async () => texts, close: async () => undefined };
}

const texts: SinkHarness = {
  name: "texts",
  delivery: "at_least_once",
  open: async () => open(),
  expected: ({ event }) => textOf(event),
  refused: { ...plainEvent("a bigint"), event: { odd: [2n ** 60n] } },
};

const numbers: SourceDefinition<{ readonly stored: readonly number[] }> = {
  type: "numbers",
  optionsSchema: { type: "object" },
  async open({ stored }, _context, resume) {
    let next = typeof resume?.at === "number" ? resume.at + 1 : 0;
    return {
      async *read(signal) {
        while (!signal.aborted) {
          const n = stored[next];
          if (n === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
          else {
            const item = { kind: "event", event: { n } } as const;
            yield { items: [{ item, term: 0, position: next }], resume: { at: next } };
            next += 1;
          }
        }
      },
      close: async () => undefined,
    };
  },
};

const source: SourceHarness = {
  name: "numbers",
  definition: numbers,
  async open() {
    const stored: number[] = [];
    return {
      options: { stored },
      put: async (added) => void stored.push(...added),
      numberOf: ({ n }) => Number(n),
      close: async () => undefined,
    };
  },
};

for (const { name, run } of [...sinkCases(texts), ...sourceCases(source)]) test(name, run);
`;

/** As for clients, with the types of Node: its runner of tests is used. Compiled, as Node 20 runs no TypeScript. */
export const CONFORMANCE_TSCONFIG = {
  compilerOptions: {
    target: "es2022",
    lib: ["es2022", "dom"],
    module: "nodenext",
    strict: true,
    types: ["node"],
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
  },
  files: ["suites.ts"],
};

export const CLIENT_TSCONFIG = {
  compilerOptions: {
    target: "es2022",
    lib: ["es2022", "dom"],
    module: "nodenext",
    strict: true,
    noEmit: true,
    types: [],
    // The package must also pass settings that are stricter than the compiler's defaults.
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
  },
  files: ["client.ts", "kinds.ts"],
};

/** Sends one event and reads it back, in plain Node; prints the event. */
export const CLIENT_MJS = `
import { Consumer, connectWebSocket, Producer, SUBPROTOCOL_MSGPACK } from "headrace";
import WebSocket from "ws";

export const addresses = [process.argv[2]];
export const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket });
export const producer = new Producer({ connect, addresses, producerId: "packed", stream: "events" });
const { kind } = await producer.sendAndConfirm({ from: "the package" });
await producer.close();
export const consumer = new Consumer({ connect, addresses });
for await (const item of consumer.subscribe({ stream: "events", from: "earliest" })) {
  if (item.kind !== "records" || item.records.length === 0) continue;
  console.log(kind, JSON.stringify(item.records[0].event));
  break;
}
consumer.close();
`;
