/**
 * The shape of every decision in Headrace: a pure step from a state and a message to a state and effects. A machine
 * reads no clock, draws no randomness, awaits nothing, logs nothing and throws only `InvariantError`, so that a whole
 * cluster of machines runs in one process from one seed. It owns its state and may update it in place.
 */
export type Step<State, Message, Effect> = (
  state: State,
  message: Message,
  nowMs: number,
) => readonly [State, readonly Effect[]];

/** A machine to run: its initial state and its step. */
export interface Machine<State, Message, Effect> {
  readonly initial: State;
  readonly step: Step<State, Message, Effect>;
}
