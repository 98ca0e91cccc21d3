/** The words for the page's connection, from the state of the WebSocket and the last look over HTTP. Pure. */
import type { ConnectionState } from "../protocols/mod.ts";
import { formatTime } from "./format.ts";

/** The state as the client told it, and when. */
export interface ToldState extends ConnectionState {
  readonly atMs: number;
}

export interface ConnectionWords {
  /** The name of a colour for states. */
  readonly tone: "connecting" | "online" | "silent" | "offline";
  readonly word: string;
  /** The attempt, the time of the next one, and the reason; undefined for a connection in order. */
  readonly detail: string | undefined;
}

/** @param problem the reason why the last look over HTTP failed; undefined where it did not */
export function connectionWords(told: ToldState | undefined, problem: string | undefined): ConnectionWords {
  const reason = told?.lastError?.message ?? problem;
  switch (told?.state) {
    case undefined:
      return { tone: "connecting", word: "Connecting", detail: problem };
    case "connecting":
      return {
        tone: "connecting",
        word: told.lastError === undefined ? "Connecting" : "Reconnecting",
        detail: told.attempt > 1 ? sentence([`attempt ${told.attempt}`], reason) : problem,
      };
    case "online":
      return problem === undefined
        ? { tone: "online", word: "Live", detail: undefined }
        : { tone: "silent", word: "No answer", detail: problem };
    case "silent":
      return { tone: "silent", word: "No answer", detail: sentence([`since ${formatTime(told.atMs)}`], reason) };
    case "waiting": {
      const next = formatTime(told.atMs + (told.nextTryMs ?? 0));
      return {
        tone: "offline",
        word: "Reconnecting",
        detail: sentence([`attempt ${told.attempt + 1}`, `at ${next}`], reason),
      };
    }
    case "closed":
      return { tone: "offline", word: "Disconnected", detail: reason };
  }
}

const sentence = (parts: readonly string[], reason: string | undefined): string =>
  `${parts.join(" ")}${reason === undefined ? "" : `: ${reason}`}`;
