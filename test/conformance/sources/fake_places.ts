/** Places in memory: one that is read by position, and one that hands messages out until they are acknowledged. */
import type {
  NamedItem,
  PlacedItem,
  SourceBatch,
  SourceDefinition,
  SourceItem,
} from "../../../actors/sources/source.ts";
import type { SourceHarness } from "../../../supervisors/conformance/conformance.ts";

/** Items of one batch. */
const BATCH_ITEMS = 5;

class Waiters {
  #waiting: (() => void)[] = [];

  wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}

/** A list of items that can be read again from any place. */
export class PositionPlace {
  readonly items: SourceItem[] = [];
  /** Open readers. */
  readers = 0;
  readonly waiters = new Waiters();

  put(items: readonly SourceItem[]): void {
    this.items.push(...items);
    this.waiters.wake();
  }
}

export const positionSource: SourceDefinition<PositionPlace> = {
  type: "position",
  optionsSchema: {},
  open: async (place, _context, resume) => {
    let next = Number(resume?.next ?? 0);
    place.readers += 1;
    return {
      async *read(signal): AsyncIterable<SourceBatch> {
        while (!signal.aborted) {
          const found = place.items.slice(next, next + BATCH_ITEMS);
          if (found.length === 0) {
            await place.waiters.wait(signal);
            continue;
          }
          const first = next;
          next += found.length;
          const items = found.map((item, at): PlacedItem => ({ item, term: 1, position: first + at }));
          yield { items, resume: { next } };
        }
      },
      acknowledge: async () => {},
      close: async () => {
        place.readers -= 1;
      },
    };
  },
};

/** A queue: each opening gets what is not acknowledged, the newest first, and some of it twice. */
export class QueuePlace {
  readonly messages = new Map<string, SourceItem>();
  readonly acknowledged: string[] = [];
  /** Open readers. */
  readers = 0;
  readonly waiters = new Waiters();
  #count = 0;

  put(items: readonly SourceItem[]): void {
    for (const item of items) this.messages.set(`m${this.#count++}`, item);
    this.waiters.wake();
  }
}

export const queueSource: SourceDefinition<QueuePlace, NamedItem> = {
  type: "queue",
  optionsSchema: {},
  identity: "message_id",
  open: async (place) => {
    const handedOut = new Set<string>();
    place.readers += 1;
    return {
      async *read(signal): AsyncIterable<SourceBatch<NamedItem>> {
        while (!signal.aborted) {
          const found = [...place.messages]
            .filter(([id]) => !handedOut.has(id))
            .slice(-BATCH_ITEMS)
            .reverse();
          if (found.length === 0) {
            await place.waiters.wait(signal);
            continue;
          }
          const items = found.map(([messageId, item]): NamedItem => ({ item, messageId }));
          for (const { messageId } of items) handedOut.add(messageId);
          yield { items: [...items, ...items.slice(0, 1)], resume: undefined };
        }
      },
      acknowledge: async ({ items }) => {
        for (const { messageId } of items) {
          if (place.messages.delete(messageId)) place.acknowledged.push(messageId);
        }
      },
      close: async () => {
        place.readers -= 1;
      },
    };
  },
};

const eventItem = (n: number): SourceItem => ({ kind: "event", event: { n } });
const MALFORMED: SourceItem = { kind: "malformed", original: Uint8Array.of(1, 2, 3), reason: "it is no event" };

export const FAKE_HARNESSES: readonly SourceHarness[] = [
  {
    name: "a fake by position",
    definition: positionSource as SourceDefinition<never>,
    async open() {
      const place = new PositionPlace();
      return {
        options: place,
        put: async (numbers) => place.put(numbers.map(eventItem)),
        putMalformed: async () => place.put([MALFORMED]),
        numberOf: (event) => Number(event.n),
        close: async () => place.waiters.wake(),
      };
    },
  },
  {
    name: "a fake by message id",
    definition: queueSource as SourceDefinition<never, NamedItem>,
    async open() {
      const place = new QueuePlace();
      return {
        options: place,
        shard: "queue/a",
        put: async (numbers) => place.put(numbers.map(eventItem)),
        putMalformed: async () => place.put([MALFORMED]),
        numberOf: (event) => Number(event.n),
        unacknowledged: async () => place.messages.size,
        close: async () => place.waiters.wake(),
      };
    },
  },
];
