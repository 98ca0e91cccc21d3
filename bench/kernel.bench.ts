/**
 * Messages per second through one actor: the kernel's `tell` and `send` against bare nact, in alternating rounds.
 *
 *   node --import tsx bench/kernel.bench.ts
 */
import { createActorSystem } from "../actors/kernel/actor_system.ts";
import { loadDriver } from "../deps.ts";

const MESSAGES = 200_000;
const ROUNDS = 5;

interface Sink {
  /** Resolves when every message has been handled. */
  run(): Promise<void>;
  end(): Promise<void>;
}

async function kernelSink(lane: "tell" | "send"): Promise<Sink> {
  const system = await createActorSystem();
  let left = 0;
  let done = (): void => undefined;
  const actor = system.spawn<number>({
    name: "sink",
    start: () => ({
      receive: () => {
        left -= 1;
        if (left === 0) done();
      },
    }),
  });
  return {
    run: async () => {
      const handled = new Promise<void>((resolve) => {
        done = resolve;
      });
      left = MESSAGES;
      for (let index = 0; index < MESSAGES; index += 1) {
        if (lane === "tell") actor.tell(index);
        else if (!actor.trySend(index, 1)) await actor.send(index, 1);
      }
      await handled;
    },
    end: () => system.shutdown(),
  };
}

async function nactSink(): Promise<Sink> {
  const nact = await loadDriver("nact");
  const system = nact.start();
  let left = 0;
  let done = (): void => undefined;
  const receive = () => {
    left -= 1;
    if (left === 0) done();
  };
  const actor = nact.spawn(system, receive, "sink") as Parameters<typeof nact.dispatch<number>>[0];
  return {
    run: () =>
      new Promise<void>((resolve) => {
        done = resolve;
        left = MESSAGES;
        for (let index = 0; index < MESSAGES; index += 1) nact.dispatch(actor, index);
      }),
    end: async () => nact.stop(system),
  };
}

const sinks = {
  "kernel tell": await kernelSink("tell"),
  "kernel send": await kernelSink("send"),
  "bare nact": await nactSink(),
};
const rates = new Map<string, number[]>();
for (let round = 0; round <= ROUNDS; round += 1) {
  for (const [name, sink] of Object.entries(sinks)) {
    const startedMs = performance.now();
    await sink.run();
    const perSecond = (MESSAGES / (performance.now() - startedMs)) * 1_000;
    if (round > 0) rates.set(name, [...(rates.get(name) ?? []), perSecond]); // the first round warms up
  }
}
for (const [name, all] of rates) {
  const sorted = [...all].sort((one, other) => one - other);
  const thousands = (rate: number | undefined) => `${Math.round((rate ?? 0) / 1_000)} k/s`;
  console.log(
    `${name}: median ${thousands(sorted[sorted.length >> 1])}, ${thousands(sorted[0])} to ${thousands(sorted.at(-1))}`,
  );
}
for (const sink of Object.values(sinks)) await sink.end();
