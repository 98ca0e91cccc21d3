/** The part of the session machine that greets a client: hello, its token, its producer, and the welcome or its refusal. */
import { FencedError, type HeadraceError, OverloadedError, RejectedError } from "../../../protocols/errors.ts";
import {
  type HelloFrame,
  type NodeFrame,
  PROTOCOL_MINOR,
  type StreamDescription,
} from "../../../protocols/wire/frames.ts";
import type { ProducerOwner, WelcomeOutcome } from "../../log/log.ts";
import type { Permissions } from "../session.ts";
import type { SessionEffect } from "./session_messages.ts";
import { refuseConnection, type SessionState } from "./session_state.ts";

/** A producer's name is forgotten days after its last welcome: to try again sooner than this is of no use. */
const CROWDED_RETRY_MS = 60_000;

export function hello(state: SessionState, frame: HelloFrame): readonly SessionEffect[] {
  if (state.phase !== "greeting") {
    const again = new RejectedError("MALFORMED_FRAME", "Cannot take hello as it must be sent once: it was sent again");
    return refuseConnection(state, again);
  }
  state.phase = "welcoming";
  state.hello = frame;
  return [{ type: "authenticate", token: frame.token }];
}

export function authenticated(state: SessionState, permissions: Permissions | undefined): readonly SessionEffect[] {
  if (permissions === undefined) {
    const refusal = new RejectedError(
      "UNAUTHENTICATED",
      "Cannot welcome the connection as it must show a valid token: none was accepted",
    );
    return refuseConnection(state, refusal);
  }
  state.permissions = permissions;
  const frame = state.hello;
  if (frame?.producerId === undefined) return welcome(state, undefined);
  const { quota } = permissions;
  // A principal that exceeded its quota on another connection waits on this one too.
  const metered: readonly SessionEffect[] = quota?.hasRates ? [{ type: "meter", quota, events: 0, sizeBytes: 0 }] : [];
  return [...metered, { type: "welcome_producer", hello: frame, owner: ownerOf(permissions) }];
}

export function welcomed(state: SessionState, outcome: WelcomeOutcome): readonly SessionEffect[] {
  const { producerId = "", producerEpoch } = state.hello ?? {};
  if (outcome.kind !== "welcomed") return refuseConnection(state, welcomeRefusal(outcome, producerId, producerEpoch));
  const owner = state.permissions?.placesOf ?? state.permissions?.owner;
  state.producer = { id: producerId, epoch: outcome.producerEpoch, ...(owner === undefined ? {} : { owner }) };
  return welcome(state, outcome.producerEpoch);
}

function ownerOf({ owner, quota }: Permissions): ProducerOwner | undefined {
  if (owner === undefined) return undefined;
  return quota?.producersMax === undefined ? { subject: owner } : { subject: owner, producersMax: quota.producersMax };
}

function welcomeRefusal(
  outcome: Exclude<WelcomeOutcome, { kind: "welcomed" }>,
  producerId: string,
  held: number | undefined,
): HeadraceError {
  switch (outcome.kind) {
    case "fenced":
      return new FencedError(
        "PRODUCER_FENCED",
        `Cannot welcome producer ${producerId} as its epoch must be the newest: another instance holds ${outcome.current}, current value is ${held}`,
      );
    case "unknown_epoch":
      return new RejectedError(
        "UNKNOWN_EPOCH",
        `Cannot welcome producer ${producerId} as its epoch must be one that a node gave, at most ${outcome.max}: current value is ${held}`,
      );
    case "owned":
      return new RejectedError(
        "FORBIDDEN",
        `Cannot welcome producer ${producerId} as its name must belong to the token's subject: it belongs to another`,
      );
    case "crowded":
      return new OverloadedError(
        "QUOTA_EXCEEDED",
        `Cannot welcome producer ${producerId} as its principal may have ${outcome.max} names of producers: each is forgotten days after its last welcome`,
        CROWDED_RETRY_MS,
      );
  }
}

function welcome(state: SessionState, producerEpoch: number | undefined): readonly SessionEffect[] {
  state.phase = "open";
  const { node, limits, directory, passesOn } = state.environment;
  const { minor = 0, forward } = state.hello ?? {};
  const isStaying = passesOn === true || forward === true;
  const frame: NodeFrame = {
    type: "welcome",
    node,
    minor: Math.min(minor, PROTOCOL_MINOR),
    streams: visible(isStaying ? directory.describe() : directory.describeWithOwners(), state.permissions),
    limits,
    creditBytes: state.credit.creditBytes,
    ...(producerEpoch === undefined ? {} : { producerEpoch }),
  };
  return [{ type: "send", frame }];
}

/** Shows a client the streams that it may know of. */
function visible(streams: Readonly<Record<string, StreamDescription>>, permissions?: Permissions) {
  const shown = Object.entries(streams).filter(([name]) => permissions?.mayObserve(name) === true);
  return shown.length === Object.keys(streams).length ? streams : Object.fromEntries(shown);
}
