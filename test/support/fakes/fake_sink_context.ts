/** A sink's context in memory: one fenced checkpoint that owners of rising epochs share, as they do in the log. */
import type { SinkBatch, SinkContext } from "../../../actors/sinks/sink.ts";
import { FencedError } from "../../../protocols/errors.ts";
import { epoch, partitionId, position } from "../../../protocols/position.ts";

export interface FakeCheckpoint {
  value: Uint8Array | undefined;
  fence: number;
  /** Called before each write, and after it with `isAfter`: throws to fail the write. */
  fault: ((isAfter: boolean) => void) | undefined;
}

export const fakeCheckpoint = (): FakeCheckpoint => ({ value: undefined, fence: 0, fault: undefined });

interface FakeClock {
  nowMs: number;
  /** Where absent, no timer fires. */
  readonly setTimer?: SinkContext["setTimer"];
}

const NO_TIMERS: SinkContext["setTimer"] = () => ({ cancel: () => {} });

export function fakeSinkContext(store: FakeCheckpoint, owner: number, clock: FakeClock = { nowMs: 0 }): SinkContext {
  store.fence = Math.max(store.fence, owner);
  const write = async (value: Uint8Array) => {
    if (store.fence !== owner) throw new FencedError("STALE_EPOCH", `Cannot write: the fence is ${store.fence}`);
    store.fault?.(false);
    store.value = value;
    store.fault?.(true);
  };
  return {
    name: "files",
    folder: "/",
    client: undefined,
    clusterId: "log-1",
    partition: { stream: "readings", partition: partitionId(0) },
    fence: epoch(owner),
    checkpoint: { read: async () => store.value, write },
    connect: () => Promise.reject(new Error("this sink has no node to connect to")),
    nowMs: () => clock.nowMs,
    setTimer: (delayMs, onTime) => (clock.setTimer ?? NO_TIMERS)(delayMs, onTime),
    log: () => {},
  };
}

/** Records `from` to `to` of an epoch, one output each, following record `from - 1` of `before`. */
export function sinkBatch(ofEpoch: number, from: number, to: number, before = ofEpoch): SinkBatch {
  const offsets = Array.from({ length: to - from + 1 }, (_, index) => from + index);
  return {
    predecessor: from === 0 ? undefined : position(before, from - 1),
    end: position(ofEpoch, to),
    records: offsets.map((at) => ({ position: position(ofEpoch, at), index: 0, event: { at, ofEpoch }, timeMs: at })),
  };
}
