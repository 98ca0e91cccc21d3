/**
 * Runs a client's machine: one message at a time, its timers, and one connection for each link. The client performs the
 * machine's other effects.
 */
import { type Clock, lengthenedMs } from "../clock.ts";
import type { Connect, Connection } from "../connection.ts";
import { UnavailableError } from "../errors.ts";
import type { Step } from "../machine.ts";
import type { ClientFrame } from "../wire/frames.ts";
import { callListener } from "./call_listener.ts";
import type { ConnectionState } from "./connection_state.ts";
import type { LinkEffect, LinkMessage } from "./link.ts";

interface Attempt {
  readonly calledOff: AbortController;
  connection: Connection | undefined;
}

interface Kind {
  readonly type: string;
}

/** `Message` and `Effect` are the client's own, besides those of links. */
export class ClientShell<State, Message extends Kind, Effect extends Kind> {
  private readonly state: State;
  private readonly step: Step<State, Message | LinkMessage, Effect | LinkEffect>;
  private readonly perform: (effect: Effect) => void;
  private readonly connect: Connect;
  private readonly clock: Clock;
  private readonly onState: ((state: ConnectionState) => void) | undefined;
  private readonly inbox: (Message | LinkMessage)[] = [];
  private readonly timers = new Map<string, { cancel(): void }>();
  /** The newest attempt of each link. Frames and errors of an earlier attempt are ignored. */
  private readonly attempts = new Map<string, Attempt>();
  private isStepping = false;
  private reconnectDelayMs = 0;

  constructor(
    state: State,
    step: Step<State, Message | LinkMessage, Effect | LinkEffect>,
    perform: (effect: Effect) => void,
    connect: Connect,
    clock: Clock,
    onState: ((state: ConnectionState) => void) | undefined,
  ) {
    this.state = state;
    this.step = step;
    this.perform = perform;
    this.connect = connect;
    this.clock = clock;
    this.onState = onState;
  }

  /** One message at a time: a connection in the same process may answer before `send` returns. */
  tell(message: Message | LinkMessage): void {
    this.inbox.push(message);
    if (this.isStepping) return;
    this.isStepping = true;
    try {
      for (let next = this.inbox.shift(); next !== undefined; next = this.inbox.shift()) {
        const [, effects] = this.step(this.state, next, this.clock.nowMs());
        for (const effect of effects) this.performOne(effect);
      }
    } finally {
      this.isStepping = false;
    }
  }

  /** Answers the frame's size on the wire in bytes. Where sending fails, tells the machine and answers undefined. */
  send(link: string, frame: ClientFrame): number | undefined {
    try {
      return this.attempts.get(link)?.connection?.send(frame);
    } catch (cause) {
      this.disconnect(link);
      const error = new UnavailableError("CONNECTION_LOST", "Cannot send a frame as the connection failed", { cause });
      this.tell({ type: "disconnected", link, error });
      return undefined;
    }
  }

  cancelTimers(): void {
    for (const timer of this.timers.values()) timer.cancel();
    this.timers.clear();
  }

  private performOne(effect: Effect | LinkEffect): void {
    if (!isOfLinks(effect)) {
      this.perform(effect);
      return;
    }
    switch (effect.type) {
      case "connect":
        void this.open(effect.link, effect.address);
        break;
      case "disconnect":
        this.disconnect(effect.link);
        break;
      case "set_timer":
        this.setTimer(effect.timer, effect.delayMs);
        break;
      case "state":
        this.tellState(effect.state);
        break;
    }
  }

  private tellState(state: ConnectionState): void {
    const nextTryMs = state.nextTryMs === undefined ? undefined : Math.ceil(this.reconnectDelayMs);
    callListener(() => this.onState?.({ ...state, nextTryMs }));
  }

  private async open(link: string, address: string): Promise<void> {
    const attempt: Attempt = { calledOff: new AbortController(), connection: undefined };
    this.attempts.set(link, attempt);
    const tell = (message: LinkMessage) => {
      if (this.attempts.get(link) !== attempt) return;
      if (message.type === "disconnected") this.attempts.delete(link);
      this.tell(message);
    };
    try {
      const connection = await this.connect(
        address,
        {
          onFrame: (frame, wireBytes) => tell({ type: "frame", link, frame, wireBytes }),
          onClose: (error) => tell({ type: "disconnected", link, error }),
        },
        attempt.calledOff.signal,
      );
      if (this.attempts.get(link) !== attempt) return connection.close();
      attempt.connection = connection;
      tell({ type: "connected", link });
    } catch (error) {
      tell({ type: "disconnected", link, error: error instanceof Error ? error : new Error(String(error)) });
    }
  }

  private disconnect(link: string): void {
    const attempt = this.attempts.get(link);
    this.attempts.delete(link);
    attempt?.calledOff.abort();
    attempt?.connection?.close();
  }

  private setTimer(timer: string, delayMs: number): void {
    this.timers.get(timer)?.cancel();
    const jittered = lengthenedMs(delayMs, this.clock.random());
    if (timer === "reconnect") this.reconnectDelayMs = jittered;
    this.timers.set(
      timer,
      this.clock.setTimer(jittered, () => {
        this.timers.delete(timer);
        this.tell({ type: "timer", timer });
      }),
    );
  }
}

const LINK_EFFECTS: ReadonlySet<string> = new Set<LinkEffect["type"]>(["connect", "disconnect", "set_timer", "state"]);

const isOfLinks = (effect: Kind): effect is LinkEffect => LINK_EFFECTS.has(effect.type);
