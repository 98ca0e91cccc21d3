/** The state of a client's connection, as an application is told it. */
export interface ConnectionState {
  /**
   * `connecting` until a node has welcomed the client; `online`; `silent` where a node owes an answer, or was asked for
   * a sign of life, and said nothing for about 3 s; `waiting` for the next try; `closed` for good.
   */
  readonly state: "connecting" | "online" | "silent" | "waiting" | "closed";
  /** The address concerned: while `waiting`, the one tried last. */
  readonly address: string;
  /** Tries to connect since the client was last online, the one under way included. */
  readonly attempt: number;
  /** Milliseconds until the next try, counted from this call; only while `waiting`. */
  readonly nextTryMs: number | undefined;
  /** Why the last connection failed or ended; while `closed`, why the client ended. */
  readonly lastError: Error | undefined;
}
