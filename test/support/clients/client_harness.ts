/**
 * A client's machine among several nodes: its connections, on which frames travel only when the test says so, and its
 * timers. A subclass decides the machine and the answers of the nodes.
 */

import type { LinkEffect, LinkMessage } from "../../../protocols/client/link.ts";
import type { NodeFrame } from "../../../protocols/wire/frames.ts";

/** One connection. `Sent` is a frame of the client; `Session` is the node's side, once the connection is open. */
export interface Wire<Sent, Session> {
  readonly address: string;
  session: Session | undefined;
  readonly toNode: Sent[];
  readonly toClient: NodeFrame[];
}

export abstract class ClientHarness<Sent, Session> {
  readonly wires = new Map<string, Wire<Sent, Session>>();
  /** Addresses that refuse connections. */
  readonly down = new Set<string>();
  readonly timers = new Map<string, number>();
  readonly attempts: { readonly address: string; readonly atMs: number }[] = [];
  nowMs = 1_000_000;

  abstract step(message: LinkMessage): void;
  protected abstract open(address: string): Session;
  protected abstract answers(session: Session, sent: Sent): readonly NodeFrame[];

  protected wireBytes(_frame: NodeFrame): number {
    return 0;
  }

  /** Does something else once no frame is under way; answers false where there is nothing to do. */
  protected otherwise(): boolean {
    return false;
  }

  protected performLink(effect: LinkEffect): void {
    switch (effect.type) {
      case "connect":
        this.attempts.push({ address: effect.address, atMs: this.nowMs });
        this.wires.set(effect.link, { address: effect.address, session: undefined, toNode: [], toClient: [] });
        break;
      case "disconnect":
        this.wires.delete(effect.link);
        break;
      case "set_timer":
        this.timers.set(effect.timer, this.nowMs + effect.delayMs);
        break;
    }
  }

  /** The link with this index, modulo the number of links. */
  linkAt(index: number): string | undefined {
    const names = [...this.wires.keys()];
    return names[index % Math.max(1, names.length)];
  }

  connect(link: string | undefined): void {
    const wire = this.wires.get(link ?? "");
    if (link === undefined || wire === undefined || wire.session !== undefined) return;
    if (this.down.has(wire.address)) {
      this.wires.delete(link);
      this.step({ type: "disconnected", link, error: new Error("refused") });
    } else {
      wire.session = this.open(wire.address);
      this.step({ type: "connected", link });
    }
  }

  cut(link: string | undefined): void {
    if (link === undefined || !this.wires.delete(link)) return;
    this.step({ type: "disconnected", link, error: undefined });
  }

  nodeTakesOne(link: string | undefined): void {
    const { session, toNode, toClient } = this.wires.get(link ?? "") ?? {};
    const sent = toNode?.shift();
    if (session !== undefined && sent !== undefined) toClient?.push(...this.answers(session, sent));
  }

  clientTakesOne(link: string | undefined): void {
    const frame = this.wires.get(link ?? "")?.toClient.shift();
    if (link !== undefined && frame !== undefined) this.say(link, frame);
  }

  say(link: string, frame: NodeFrame): void {
    this.step({ type: "frame", link, frame, wireBytes: this.wireBytes(frame) });
  }

  /** Fires the next timer, except those that look for silence. Answers false where none is set. */
  fireTimer(): boolean {
    const due = [...this.timers].filter(([name]) => !name.startsWith("silence"));
    const next = due.sort((left, right) => left[1] - right[1])[0];
    if (next === undefined) return false;
    this.timers.delete(next[0]);
    this.nowMs = Math.max(this.nowMs, next[1]);
    this.step({ type: "timer", timer: next[0] });
    return true;
  }

  /** Delivers frames and fires timers until none is left, or until `timersMax` timers have fired. */
  settle(timersMax = 2_000): void {
    for (let timers = 0; timers <= timersMax; timers++) {
      for (let turns = 0; this.turn(); turns++) if (turns > 50_000) throw new Error("never settled");
      if (timers === timersMax || !this.fireTimer()) return;
    }
  }

  private turn(): boolean {
    for (const [link, wire] of this.wires) {
      if (wire.session === undefined) this.connect(link);
      else if (wire.toNode.length > 0) this.nodeTakesOne(link);
      else if (wire.toClient.length > 0) this.clientTakesOne(link);
      else continue;
      return true;
    }
    return this.otherwise();
  }
}
