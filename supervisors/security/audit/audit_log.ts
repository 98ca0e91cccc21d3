/** Writes the audit stream without waiting. Entries not written in time are counted; the next one holds the count. */
import type { Timer } from "../../../actors/kernel/actor.ts";
import type { NodeLog } from "../../../actors/observers/node_log.ts";
import { Producer } from "../../../protocols/client/producer/producer.ts";
import type { Connect } from "../../../protocols/connection.ts";
import {
  type AuditEntry,
  type AuditEvent,
  type AuditStep,
  createAudit,
  lookAtAudit,
  recordAudit,
} from "./audit_machine.ts";

export interface Audit {
  record(event: AuditEvent): void;
  /** Writes the sums of the last window, and waits for all entries. */
  close(): Promise<void>;
}

export const NO_AUDIT: Audit = { record: () => undefined, close: async () => undefined };

/** Most entries on their way to the log. */
const UNWRITTEN_MAX = 1_000;
const CLOSE_WITHIN_MS = 1_000;

export interface AuditLogOptions {
  readonly node: string;
  readonly stream: string;
  readonly connect: Connect;
  readonly log: NodeLog;
  nowMs(): number;
  setTimer(delayMs: number, callback: () => void): Timer;
}

export function startAudit(options: AuditLogOptions): Audit {
  const { node, stream, connect, log, nowMs, setTimer } = options;
  const state = createAudit(node);
  const producer = new Producer({
    ...{ connect, addresses: ["here"], stream, producerId: `ingest/audit/${node}` },
    onRejected: ({ code, reason }) => log("error", "an audit entry was rejected", { code, reason }),
    onInDoubt: (events) => log("error", "audit entries may be lost", { entries: events.length }),
  });
  let unwritten = 0;
  let left = 0;
  let timer: Timer | undefined;
  const write = (entries: readonly AuditEntry[]) => {
    for (const entry of entries) {
      if (unwritten >= UNWRITTEN_MAX) {
        left += 1;
        continue;
      }
      const event = left === 0 ? { ...entry } : { ...entry, leftOutBefore: left };
      left = 0;
      unwritten += 1;
      void producer
        .sendAndConfirm(event)
        .catch((error: unknown) => log("error", "Cannot write an audit entry", { reason: String(error) }))
        .finally(() => (unwritten -= 1));
    }
  };
  const take = ({ entries, lookAtMs }: AuditStep) => {
    write(entries);
    if (lookAtMs !== undefined) timer ??= setTimer(Math.max(1, lookAtMs - nowMs()), look);
  };
  const look = () => {
    timer = undefined;
    take(lookAtAudit(state, nowMs()));
  };
  return {
    record: (event) => take(recordAudit(state, event, nowMs())),
    async close() {
      timer?.cancel();
      write(lookAtAudit(state, nowMs(), true).entries);
      await producer.close({ timeoutMs: CLOSE_WITHIN_MS });
    },
  };
}
