/** The state of a client's connection, as `onState` of a producer or a consumer tells it. */
export interface ConnectionState {
  /**
   * `connecting` until a node has welcomed the client; `online`; `silent` where a node owes an answer, or was asked for
   * a sign of life, and said nothing for about 3 s; `waiting` for the next try; `closed` for good.
   */
  readonly state: "connecting" | "online" | "silent" | "waiting" | "closed";
  /** The address of the connection; while `waiting`, the address tried last. */
  readonly address: string;
  /** Number of tries to connect since the client was last online, the current one included. */
  readonly attempt: number;
  /** Milliseconds from this call until the next try; undefined unless the state is `waiting`. */
  readonly nextTryMs: number | undefined;
  /** The reason why the last connection failed or ended; while `closed`, why the client ended. */
  readonly lastError: Error | undefined;
}
