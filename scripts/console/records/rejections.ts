/** Counts the events that a node does not take, and lists the first of them with their place in the input. */
import { errorFromCode, type HeadraceError } from "../../../protocols/errors.ts";
import type { EventInput, RejectedEvent } from "../../../protocols/mod.ts";
import { printAside, printJson } from "../output.ts";

/** Codes of refusals that would meet every event, so that the command ends. */
const FINAL_CODES: ReadonlySet<string> = new Set([
  "UNKNOWN_STREAM",
  "UNKNOWN_PARTITION",
  "UNKNOWN_SCHEMA_VERSION",
  "UNAUTHENTICATED",
  "FORBIDDEN",
]);

export interface Origin {
  /** The place for a person: `orders.ndjson:17`. */
  readonly text: string;
  /** The place for a machine. */
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Rejections {
  /** How many events were set aside as dead letters, each with its own reason. */
  readonly count: number;
  /** How many events were refused for no fault of their own: they are neither in the log nor set aside. */
  readonly refused: number;
  remember(event: EventInput, origin: Origin): void;
  readonly onRejected: (rejected: RejectedEvent) => void;
  /** Prints the list, once the progress bar is gone. */
  tell(): Promise<void>;
}

/** @param most events to list */
export function listRejections(most: number, isJson: boolean, fail: (error: HeadraceError) => void): Rejections {
  const origins = new WeakMap<object, Origin>();
  const listed: (Pick<RejectedEvent, "code" | "path" | "reason"> & { readonly origin: Origin })[] = [];
  let count = 0;
  let refused = 0;
  return {
    get count() {
      return count;
    },
    get refused() {
      return refused;
    },
    remember: (event, origin) => origins.set(event, origin),
    onRejected: ({ event, code, path, reason }) => {
      if (FINAL_CODES.has(code)) {
        refused += 1;
        return fail(errorFromCode(code, reason));
      }
      count += 1;
      const origin = origins.get(event) ?? { text: "an event", fields: {} };
      if (listed.length < most) listed.push({ origin, code, path, reason });
    },
    tell: async () => {
      for (const { origin, code, path, reason } of listed) {
        if (isJson) await printJson({ kind: "rejected", ...origin.fields, code, path, reason });
        else printAside(`${origin.text}: ${code} at ${path || "/"}: ${withoutPlace(reason, origin)}`);
      }
      if (count > listed.length && !isJson) printAside(`and ${count - listed.length} more rejected`);
    },
  };
}

/** The reason without the place, which the reason of an unreadable record repeats. */
const withoutPlace = (reason: string, { text }: Origin): string =>
  reason.startsWith(`${text}: `) ? reason.slice(text.length + 2) : reason;
