/** Hands the messages that come over one link to their local actors, and gives the credit of each back once (N2). */
import { RejectedError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { ActorReference } from "../../kernel/actor.ts";
import { chargeOf } from "./peer_credit.ts";
import type { CreditGrant, CreditReturn, PeerFrame, PeerTarget } from "./peer_frames.ts";
import { CreditReturns } from "./peer_returns.ts";
import type { SetTimer } from "./peer_socket.ts";
import type { OnDeadLetter } from "./remote_reference.ts";

export interface InboundOptions {
  readonly node: NodeId;
  readonly limits: CreditGrant;
  readonly setTimer: SetTimer;
  readonly onDeadLetter: OnDeadLetter;
  /** Called with an error that a local reference threw at a message, or that kept a waiting message from being sent. */
  readonly onProblem: (error: unknown) => void;
}

type MessageFrame = Extract<PeerFrame, { type: "message" }>;

export class PeerInbound {
  readonly #options: InboundOptions;
  readonly #actorOf: (to: PeerTarget) => ActorReference<unknown> | undefined;
  readonly #returns: CreditReturns;
  #bytes = 0;
  #isEnded = false;

  constructor(
    options: InboundOptions,
    actorOf: (to: PeerTarget) => ActorReference<unknown> | undefined,
    sendReturns: (returned: readonly CreditReturn[]) => void,
  ) {
    this.#options = options;
    this.#actorOf = actorOf;
    this.#returns = new CreditReturns(options.limits, options.setTimer, sendReturns);
  }

  /** Bytes of data that no mailbox has taken yet. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Throws `RejectedError` for more data than the peer has credit for. */
  take(frame: MessageFrame): void {
    if (frame.lane === "control") this.#takeControl(frame);
    else this.#takeData(frame);
  }

  /** Sends all credit that waits, as another frame leaves. */
  flush(): void {
    this.#returns.flush();
  }

  end(): void {
    this.#isEnded = true;
    this.#returns.clear();
  }

  #takeControl({ to, message }: MessageFrame) {
    const actor = this.#actorOf(to);
    if (actor === undefined) return this.#drop(to, message);
    try {
      actor.tell(message);
    } catch (error) {
      this.#options.onProblem(error); // a reference that leads to a third node may throw
    }
  }

  #takeData({ to, message, weightBytes }: MessageFrame): void {
    const { limits, onProblem } = this.#options;
    const chargeBytes = chargeOf(weightBytes, limits);
    this.#bytes += chargeBytes;
    if (this.#bytes > Math.max(limits.linkBytesMax, chargeBytes)) {
      throw new RejectedError(
        "MALFORMED_FRAME",
        `Cannot accept data as at most ${limits.linkBytesMax} bytes may be under way: current value is ${this.#bytes}`,
      );
    }
    const giveBack = () => this.#giveBack(to, chargeBytes);
    const onFailed = (error: unknown) => {
      onProblem(error);
      giveBack();
    };
    const actor = this.#actorOf(to);
    if (actor === undefined) {
      this.#drop(to, message);
      giveBack();
      return;
    }
    try {
      actor.send(message, weightBytes).then(giveBack, onFailed);
    } catch (error) {
      onFailed(error);
    }
  }

  #giveBack(to: PeerTarget, bytes: number): void {
    if (this.#isEnded) return;
    this.#bytes -= bytes;
    this.#returns.add(to, bytes);
  }

  #drop(to: PeerTarget, message: unknown): void {
    const path = typeof to === "number" ? `exported to ${this.#options.node}` : to;
    this.#options.onDeadLetter(path, "unknown_actor", message);
  }
}
