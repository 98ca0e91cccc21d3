import { readFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inferenceActor } from "../../../actors/enrichment/inference_actor.ts";
import { INFERENCE_LIMITS } from "../../../actors/enrichment/inference_machine.ts";
import type {
  InferenceAnswer,
  InferenceMessage,
  InferenceReport,
} from "../../../actors/enrichment/inference_messages.ts";
import { onnxDriver } from "../../../actors/enrichment/onnx_driver.ts";
import { type OpenModel, openModel } from "../../../actors/enrichment/open_model.ts";
import type { ActorReference, ActorSystem } from "../../../actors/kernel/actor.ts";
import { createActorSystem } from "../../../actors/kernel/actor_system.ts";
import { bankRequest } from "../../../models/bank_request/bank_request_model.ts";
import { refused } from "../../../models/model.ts";
import { ConfigurationError, UnavailableError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { fakeWorld } from "../../support/fakes/fake_world.ts";

const ARTIFACT = new URL("../../../models/bank_request/model.onnx", import.meta.url);
/** Longer than an opening may take (of either clock). */
const ANSWER_WITHIN_MS = 2 * INFERENCE_LIMITS.openWithinMs;

const openBankRequest = async () => openModel(bankRequest, await readFile(ARTIFACT), onnxDriver());

type Actor = ActorReference<InferenceMessage>;

function spawn(system: ActorSystem, open: () => Promise<OpenModel>) {
  const reports: InferenceReport[] = [];
  const actor = system.spawn(
    inferenceActor({
      ...{ card: { ...bankRequest.card, rowsMax: 8 }, open },
      observe: (report) => reports.push(report),
    }),
  );
  return { actor, reports };
}

const ask = (system: ActorSystem, actor: Actor, inputs: readonly Event[]): Promise<InferenceAnswer> =>
  system.ask<InferenceMessage, InferenceAnswer>(actor, (replyTo) => ({ type: "asked", ask: { inputs, replyTo } }), {
    timeoutMs: ANSWER_WITHIN_MS,
    weightBytes: 1_000,
  });

/** A model in this process, whose runs do what the test says. */
class FakeModel implements OpenModel {
  isClosed = false;
  readonly #run: OpenModel["run"];

  constructor(run: OpenModel["run"] = async (inputs) => inputs.map((result) => ({ kind: "result", result }))) {
    this.#run = run;
  }

  run(inputs: readonly Event[]) {
    return this.#run(inputs);
  }

  async close() {
    this.isClosed = true;
  }
}

/** Lets promises settle and the clock go on until the work is done. */
async function settled<Value>(world: ReturnType<typeof fakeWorld>, work: Promise<Value>): Promise<Value> {
  let isDone = false;
  const end = () => {
    isDone = true;
  };
  work.then(end, end);
  for (let turns = 0; !isDone && turns < 10_000; turns += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    world.advance(100);
  }
  return work;
}

test("askers at the same time each get the results of their own inputs, from ONNX Runtime", async () => {
  const system = await createActorSystem();
  const { actor, reports } = spawn(system, openBankRequest);
  const askers = Array.from({ length: 12 }, (_, at) =>
    ask(system, actor, [{ text: `card ${at}` }, { n: at }, { text: "weather" }]),
  );
  const answers = await Promise.all(askers);
  const alone = await ask(system, actor, [{ text: "card 7" }]);
  const given = answers.map((answer) => (answer.kind === "inferred" ? answer.inferences : []));
  assert.ok(given.every((inferences) => inferences.length === 3));
  assert.equal([given[7]?.[0]], alone.kind === "inferred" ? alone.inferences : []);
  assert.is(given[3]?.[1]?.kind, "refused");
  const runs = reports.flatMap((report) => (report.kind === "ran" ? [report] : []));
  assert.ok(
    runs.some(({ asks }) => asks > 1),
    "some run together",
  );
  assert.ok(runs.every(({ rows }) => rows <= 8));
  await system.shutdown();
});

test("inference I5: a session of ONNX Runtime that is killed is replaced, and its inputs run again", async () => {
  const system = await createActorSystem();
  const opened: OpenModel[] = [];
  const open = async () => {
    const model = await openBankRequest();
    opened.push(model);
    return model;
  };
  const { actor, reports } = spawn(system, open);
  const before = await ask(system, actor, [{ text: "my card" }]);
  await opened[0]?.close();
  assert.equal(await ask(system, actor, [{ text: "my card" }]), before);
  assert.is(opened.length, 2);
  assert.ok(reports.some((report) => report.kind === "run_failed" && report.next === "again"));
  await system.shutdown();
});

test("inference I5: a run that never ends is given up at its deadline, its session is closed, and its late answer is not heard", async () => {
  const world = fakeWorld();
  const system = await createActorSystem({ world });
  const late: (() => void)[] = [];
  const hanging = new FakeModel(
    (inputs) => new Promise((resolve) => late.push(() => resolve(inputs.map(() => refused("late"))))),
  );
  const models = [hanging, new FakeModel()];
  const { actor, reports } = spawn(system, async () => models.shift() as OpenModel);
  const first = await settled(world, ask(system, actor, [{ n: 1 }]));
  for (const answer of late) answer();
  const second = await settled(world, ask(system, actor, [{ n: 2 }]));
  assert.equal(first, { kind: "inferred", inferences: [{ kind: "result", result: { n: 1 } }] });
  assert.equal(second, { kind: "inferred", inferences: [{ kind: "result", result: { n: 2 } }] });
  assert.ok(hanging.isClosed);
  assert.is(reports.filter(({ kind }) => kind === "run_failed").length, 1);
  await settled(world, system.shutdown());
});

test("inference I4: the one input that spoils its run is refused, with the reason", async () => {
  const world = fakeWorld();
  const system = await createActorSystem({ world });
  const run: OpenModel["run"] = async (inputs) => {
    if (inputs.some(({ n }) => n === 3)) throw new Error("no 3");
    return inputs.map((result) => ({ kind: "result", result }));
  };
  const { actor } = spawn(system, async () => new FakeModel(run));
  const answer = await settled(
    world,
    ask(
      system,
      actor,
      [1, 2, 3, 4].map((n) => ({ n })),
    ),
  );
  assert.equal(
    answer.kind === "inferred" && answer.inferences.map((one) => (one.kind === "result" ? one.result.n : one.reason)),
    [1, 2, "Cannot infer as the run must end well: no 3", 4],
  );
  await settled(world, system.shutdown());
});

test("inference I6: an opening that fails or takes too long is told, and a session that comes too late is closed", async () => {
  const world = fakeWorld();
  const system = await createActorSystem({ world });
  const late: (() => void)[] = [];
  const tooLate = new FakeModel();
  const openings = [
    () => Promise.reject(new UnavailableError("CONNECTION_LOST", "no memory")),
    () => new Promise<OpenModel>((resolve) => late.push(() => resolve(tooLate))),
    async () => new FakeModel(),
  ];
  const { actor, reports } = spawn(system, () => (openings.shift() ?? (async () => new FakeModel()))());
  const answers: InferenceAnswer[] = [];
  while (answers.at(-1)?.kind !== "inferred") answers.push(await settled(world, ask(system, actor, [{ n: 1 }])));
  const reasons = reports.flatMap((report) => (report.kind === "not_opened" ? [report.reason] : []));
  assert.equal(reasons.length, 2);
  assert.match(reasons[0] as string, "no memory");
  assert.match(reasons[1] as string, `must be done in time: current value is ${INFERENCE_LIMITS.openWithinMs} ms`);
  for (const come of late) come();
  await settled(
    world,
    Promise.resolve().then(() => undefined),
  );
  await settled(world, ask(system, actor, [{ n: 2 }]));
  assert.ok(tooLate.isClosed);
  await settled(world, system.shutdown());
});

test("a fault of the configuration ends the actor, and those that wait are told", async () => {
  const world = fakeWorld();
  const system = await createActorSystem({ world });
  let refuse = () => {};
  const opening = new Promise<OpenModel>((_resolve, reject) => {
    refuse = () => reject(new ConfigurationError("MISSING_PROGRAM", "no binary"));
  });
  const { actor } = spawn(system, () => opening);
  const waiting = ask(system, actor, [{ n: 1 }]);
  await new Promise((resolve) => setImmediate(resolve));
  refuse();
  assert.is((await settled(world, waiting)).kind, "unavailable");
  const end = await settled(world, system.whenTerminated(actor));
  assert.is(end.kind, "failed");
  await settled(world, system.shutdown());
});

test.run();
