/**
 * The cluster's HTTP interface under churn. autocannon calls `/v1/cluster` and `/v1/cluster/owners/...` of one node of three, in
 * turn, while other nodes are drained, join and are killed, and thousands of connected producers send now and then. A checker
 * asks for owners throughout, and compares each answer with the table in the lease store: how stale was it?
 *
 *   node --import tsx bench/cluster/coordinator.bench.ts [rounds=3] [seconds of each measurement=8] [sessions=2000] [partitions=300]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { connectRedisLeaseStore } from "../../supervisors/cluster/leases/redis_lease_store.ts";
import { BenchCluster, ownedProcess, STREAM } from "../support/bench_cluster.ts";
import { delay, monotonicMs } from "../support/monotonic.ts";
import { medians, quantile, record } from "../support/results.ts";

const [rounds = "3", seconds = "8", sessions = "2000", partitionsText = "300"] = process.argv.slice(2);
const PARTITIONS = Number(partitionsText);
const SESSION_PROCESSES = 2;
const SESSION_EVERY_MS = 10_000;
const CONNECTIONS = 20;
/** Between two looks at the store: a change is seen at most this much too late. */
const LOOK_EVERY_MS = 50;
const ASK_EVERY_MS = 10;
/** The longest time of a look at the store: a change may be known this late, beyond `LOOK_EVERY_MS`. */
const TOLD_LATE_MAX_MS = 500;
/** The node that is asked, and that stays untouched. */
const ASKED = "node-1";
const WANTED = { requestsPerSecond: 5_000, p99Ms: 25, staleMs: 1_000 };

/** An ownership of a partition by the store's table, with its beginning and end; the last one still holds. */
interface Term {
  readonly owner: string | undefined;
  readonly fromMs: number;
  untilMs: number;
}

interface Answer {
  readonly atMs: number;
  readonly partition: number;
  readonly owner: string | undefined;
}

interface Cannonade {
  readonly requests: { readonly average: number };
  readonly latency: { readonly p50: number; readonly p99: number };
  readonly non2xx: number;
  readonly "5xx": number;
  readonly errors: number;
  readonly timeouts: number;
}

const cluster = await BenchCluster.start({ partitions: PARTITIONS, nodes: 3 });
const generators = await Promise.all(Array.from({ length: SESSION_PROCESSES }, (_, at) => startSessions(at)));
console.log(`${sessions} producers are connected`);
let isEnding = false;
const truth = watchTruth();
const answers = askForOwners();
const churning = churn();

const runs: Record<string, number[]> = {};
const failures = { "not 2xx": 0, "5xx": 0, errors: 0 };
for (let round = 0; round < Number(rounds); round += 1) {
  for (const path of ["/v1/cluster", `/v1/cluster/owners/${STREAM}/${round % PARTITIONS}`]) {
    const found = await cannonade(path);
    const kind = path === "/v1/cluster" ? "overview" : "owner";
    const about = { "requests/s": found.requests.average, "p50 ms": found.latency.p50, "p99 ms": found.latency.p99 };
    for (const [what, value] of Object.entries(about)) {
      const key = `${kind}, ${what}`;
      runs[key] = [...(runs[key] ?? []), value];
    }
    failures["not 2xx"] += found.non2xx;
    failures["5xx"] += found["5xx"];
    failures.errors += found.errors + found.timeouts;
    console.log(`round ${round + 1}: ${path}`, about);
  }
}
isEnding = true;
const churned = await churning;
const stale = judge(await answers, await truth);
const told = await Promise.all(generators.map(endSessions));
await cluster.end();

async function startSessions(at: number): Promise<ChildProcess> {
  const each = Math.ceil(Number(sessions) / SESSION_PROCESSES);
  const args = [at * each, each, PARTITIONS, SESSION_EVERY_MS, ...cluster.endpoints].map(String);
  const program = ["--import", "tsx", "bench/support/session_process.ts", ...args];
  const child = ownedProcess(spawn(process.execPath, program, { stdio: ["pipe", "pipe", "inherit"] }));
  if (child.stdout !== null) await once(child.stdout, "data");
  return child;
}

async function endSessions(child: ChildProcess): Promise<Readonly<Record<string, number>>> {
  child.stdin?.end();
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (line.startsWith("{")) return JSON.parse(line) as Record<string, number>;
  }
  throw new Error("Cannot count the sessions as their process ended without its result");
}

/** Runs autocannon once, in a process of its own. */
async function cannonade(path: string): Promise<Cannonade> {
  const given = ["--json", "--connections", String(CONNECTIONS), "--duration", seconds];
  const program = ["node_modules/autocannon/autocannon.js", ...given, `${cluster.node(ASKED).address}${path}`];
  const child = ownedProcess(spawn(process.execPath, program, { stdio: ["ignore", "pipe", "ignore"] }));
  let text = "";
  child.stdout?.on("data", (chunk) => {
    text += chunk;
  });
  await once(child, "close");
  return JSON.parse(text) as Cannonade;
}

/** Joins, drains and kills nodes one after the other until the end. Answers how many of each. */
async function churn(): Promise<Record<string, number>> {
  const counts = { joined: 0, drained: 0, killed: 0 };
  for (let turn = 0; !isEnding; turn += 1) {
    const { name } = await cluster.add();
    counts.joined += 1;
    await cluster.settled();
    const others = [...cluster.nodes.keys()].filter((one) => one !== ASKED && one !== name);
    const victim = others[turn % others.length] ?? name;
    if (turn % 2 === 0) {
      await cluster.command(ASKED, `nodes/${victim}/drain`);
      await cluster.seen(({ nodes }) => nodes.some((node) => node.name === victim && node.partitions === 0));
      await cluster.stop(victim);
      counts.drained += 1;
    } else {
      await cluster.kill(victim);
      counts.killed += 1;
    }
    await cluster.settled();
  }
  return counts;
}

/** Reads the table again and again. Answers at the end the ownerships of each partition. */
async function watchTruth(): Promise<readonly (readonly Term[])[]> {
  const terms: Term[][] = Array.from({ length: PARTITIONS }, () => []);
  const store = await connectRedisLeaseStore({ url: cluster.redisUrl, prefix: "headrace:" });
  for (; !isEnding; await delay(LOOK_EVERY_MS)) {
    const { entries } = await store.readTable();
    const atMs = monotonicMs();
    for (const [partition, mine] of terms.entries()) {
      const owner = entries.get(`${STREAM}/${partition}`)?.holder?.node;
      const last = mine.at(-1);
      if (last !== undefined && last.owner === owner) continue;
      if (last !== undefined) last.untilMs = atMs;
      mine.push({ owner, fromMs: last === undefined ? 0 : atMs, untilMs: Number.POSITIVE_INFINITY });
    }
  }
  await store.close();
  return terms;
}

/** Asks for the owner of one partition after the other. */
async function askForOwners(): Promise<readonly Answer[]> {
  const found: Answer[] = [];
  for (let n = 0; !isEnding; n += 1) {
    const partition = n % PARTITIONS;
    const atMs = monotonicMs();
    const response = await fetch(`${cluster.node(ASKED).address}/v1/cluster/owners/${STREAM}/${partition}`);
    if (response.ok) found.push({ atMs, partition, owner: ((await response.json()) as { owner?: string }).owner });
    else failures["not 2xx"] += 1;
    await delay(ASK_EVERY_MS);
  }
  return found;
}

/** How stale each answer was when it was asked for, in ms; `never` counts answers that were true at no time. */
function judge(given: readonly Answer[], terms: readonly (readonly Term[])[]) {
  const staleMs: number[] = [];
  let never = 0;
  for (const { atMs, partition, owner } of given) {
    // An answer may be newer than the last look at the store.
    const mine = (terms[partition] ?? []).filter(
      (term) => term.owner === owner && term.fromMs <= atMs + TOLD_LATE_MAX_MS,
    );
    if (mine.length === 0) never += 1;
    else staleMs.push(Math.max(0, atMs - Math.max(...mine.map(({ untilMs }) => untilMs))));
  }
  return { answers: given.length, never, maxMs: Math.max(0, ...staleMs), p99Ms: quantile(staleMs, 0.99) };
}

const median = medians(runs);
console.table(median);
const sum = (what: string) => told.reduce((total, one) => total + (one[what] ?? 0), 0);
const faults = {
  ...failures,
  "in doubt": sum("inDoubt"),
  rejected: sum("rejected"),
  failed: sum("failed"),
  "answers never true": stale.never,
};
console.log("the cluster meanwhile:", churned, `${sum("acked")} events acknowledged`);
console.log(
  `stale: ${stale.answers} answers, p99 ${Math.round(stale.p99Ms)} ms, at most ${Math.round(stale.maxMs)} ms; faults:`,
  faults,
);
console.log("wanted:", WANTED);
record({
  name: "coordinator",
  command: `node --import tsx bench/cluster/coordinator.bench.ts ${rounds} ${seconds} ${sessions} ${partitionsText}`,
  workload: `${CONNECTIONS} HTTP connections to one node of 3 or 4, ${PARTITIONS} partitions, ${sessions} producers that send a batch of 5 every ${SESSION_EVERY_MS / 1_000} s; meanwhile ${JSON.stringify(churned)}`,
  runs,
  median,
  ratios: {},
  stale: { ...stale, maxMs: Math.round(stale.maxMs), p99Ms: Math.round(stale.p99Ms) },
  faults,
});
process.exit(Object.values(faults).every((count) => count === 0) ? 0 : 1);
