/** A file that grows and can be read again from any place: the replayable source of a simulated node (E3, E6). */
import { SOURCES } from "../../../actors/sources/registry.ts";
import type { SourceDefinition } from "../../../actors/sources/source.ts";
import type { Event } from "../../../protocols/event.ts";
import { type EventInput, isEvent } from "../../../protocols/values/unreadable.ts";

export class ReplayableFile {
  readonly events: Event[] = [];
  readonly rejected = new Set<string>();
  /** Resolves the readers that wait for more. */
  #more: (() => void)[] = [];
  #hasEnded = false;

  append(event: Event): void {
    this.events.push(event);
    for (const wake of this.#more.splice(0)) wake();
  }

  /** Ends all waits, also those of dead nodes' sources, whose signals would otherwise never be collected. */
  end(): void {
    this.#hasEnded = true;
    for (const wake of this.#more.splice(0)) wake();
  }

  onRejected(event: EventInput): void {
    if (isEvent(event)) this.rejected.add(String(event.id));
  }

  readonly definition: SourceDefinition<unknown> = {
    type: "file",
    optionsSchema: {},
    open: async (_options, _context, resume) => {
      const file = this;
      let next = Number(resume?.next ?? 0);
      return {
        async *read(signal) {
          while (!signal.aborted && !file.#hasEnded) {
            const found = file.events.slice(next, next + 4);
            if (found.length === 0) {
              await file.#waitForMore(signal);
              continue;
            }
            const first = next;
            next += found.length;
            yield {
              items: found.map((event, at) => ({ item: { kind: "event", event }, term: 1, position: first + at })),
              resume: { next },
            };
          }
        },
        close: async () => {},
      };
    },
  };

  #waitForMore(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#more.push(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}

/** The source's definition, as a node's configuration names it. The file is in the options. */
export const REPLAYABLE = "replayable";

const replayable: SourceDefinition<ReplayableFile> = {
  type: REPLAYABLE,
  optionsSchema: {},
  open: (file, context, resume) => file.definition.open({}, context, resume),
};
(SOURCES as Map<string, SourceDefinition<never>>).set(REPLAYABLE, replayable as SourceDefinition<never>);
