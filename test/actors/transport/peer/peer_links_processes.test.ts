import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorReference, Termination } from "../../../../actors/kernel/actor.ts";
import { terminationSourceOf } from "../../../../actors/kernel/termination_source.ts";
import { nodeId } from "../../../../protocols/position.ts";
import { type PeerNode, startPeerNode, untilSo } from "../../../support/fakes/peer_node.ts";

const B = nodeId("b");
const TIMES = { heartbeatEveryMs: 200, silentAfterMs: 2_000 };

async function startProcess(incarnation = 1, port = 0) {
  const program = ["--import", "tsx", "test/support/processes/peer_process.ts", String(incarnation), String(port)];
  const child = spawn(process.execPath, program, { stdio: ["pipe", "pipe", "inherit"] });
  const [address] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return {
    peer: { node: B, incarnation, address },
    port: Number(new URL(address).port),
    signal: (signal: NodeJS.Signals) => child.kill(signal),
    end: async () => {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await ended;
    },
  };
}

const echo = (a: PeerNode, n: number): Promise<number> =>
  a.system.ask(
    a.links.reference<{ n: number; replyTo: ActorReference<number> }>(B, "echo"),
    (replyTo) => ({ n, replyTo }),
    { timeoutMs: 20_000 },
  );

test("a killed process is told closed, then refused; the next process at its address is another life", async () => {
  const a = await startPeerNode("a");
  const first = await startProcess();
  a.links.keep([first.peer]);
  await untilSo(() => a.links.isUp(B), "the link is up");
  assert.is(await echo(a, 1), 1);
  const told: Termination[] = [];
  terminationSourceOf(a.links.reference<never>(B, "echo")).onTerminated((termination) => told.push(termination));
  await first.end();
  await untilSo(() => a.events.includes("refused b#1"), "nobody listens there");
  assert.equal(a.events.slice(0, 3), ["up b#1", "closed b#1", "refused b#1"]);
  assert.is(told[0]?.kind, "failed");
  const second = await startProcess(2, first.port);
  a.links.keep([second.peer]);
  await untilSo(() => a.links.isUp(B), "the next life is linked");
  assert.is(a.events.at(-1), "up b#2");
  assert.is(await echo(a, 2), 2);
  await a.close();
  await second.end();
});

test("a frozen process is told silent once, and is linked again when it thaws", async () => {
  const a = await startPeerNode("a", { times: TIMES });
  const b = await startProcess();
  a.links.keep([b.peer]);
  await untilSo(() => a.links.isUp(B), "the link is up");
  b.signal("SIGSTOP");
  await untilSo(() => a.events.includes("silent b#1"), "it is silent");
  assert.equal(a.events, ["up b#1", "closed b#1", "silent b#1"]);
  b.signal("SIGCONT");
  await untilSo(() => a.links.isUp(B), "it is linked again");
  assert.is(a.events.filter((event) => event.startsWith("silent")).length, 1);
  await untilSo(() => a.links.isUp(B), "and stays");
  assert.is(await echo(a, 3), 3);
  await a.close();
  await b.end();
});

test.run();
