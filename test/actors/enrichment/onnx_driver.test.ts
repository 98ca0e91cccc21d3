import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SESSION_LIMITS } from "../../../actors/enrichment/driver.ts";
import { onnxDriver } from "../../../actors/enrichment/onnx_driver.ts";
import { ConfigurationError, UnavailableError } from "../../../protocols/errors.ts";

const ARTIFACT = new URL("../../../models/bank_request/model.onnx", import.meta.url);
const FAULTY = fileURLToPath(new URL("../../support/processes/faulty_session.ts", import.meta.url));

const slots = (rows: number, slot: number) => ({
  slots: { type: "int32", dims: [rows, 128], data: new Int32Array(rows * 128).fill(slot) } as const,
});

const faulty = (fault: string) => onnxDriver(FAULTY).open(new TextEncoder().encode(fault), SESSION_LIMITS);

const thrownBy = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

test("driver R1, R2: a session answers runs of any number of rows, and goes on after one that fails", async () => {
  const session = await onnxDriver().open(await readFile(ARTIFACT), SESSION_LIMITS);
  const { units } = await session.run(slots(3, 8_192));
  assert.equal([units?.type, units?.dims, units?.data.length], ["int32", [3], 3]);
  const error = await thrownBy(session.run(slots(1, 9_000)));
  assert.match((error as Error).message, /out of data bounds/);
  assert.not.instance(error, UnavailableError);
  assert.equal((await session.run(slots(1, 8_192))).units?.data[0], units?.data[0]);
  await session.close();
  assert.instance(await thrownBy(session.run(slots(1, 0))), UnavailableError, "it is closed");
});

test("driver R3: a run leaves the event loop free, and closing ends a run that never ends", async () => {
  const session = await faulty("hangs");
  const run = thrownBy(session.run({}));
  await new Promise((resolve) => setImmediate(resolve));
  await session.close();
  assert.instance(await run, UnavailableError);
});

test("driver R2: a fault of native code ends the session and not the node", async () => {
  const session = await faulty("crashes");
  const error = await thrownBy(session.run({}));
  assert.instance(error, UnavailableError);
  assert.match((error as Error).message, /SIGSEGV/);
  assert.instance(await thrownBy(session.run({})), UnavailableError);
});

test("the process of a session does not see the node's environment", async () => {
  process.env.HEADRACE_SECRET = "abc";
  const session = await faulty("tells");
  delete process.env.HEADRACE_SECRET;
  assert.is(((await thrownBy(session.run({}))) as Error).message, "secret: none");
  await session.close();
});

test("a machine without a binary of the runtime is a fault of the configuration", async () => {
  const error = await thrownBy(faulty("missing"));
  assert.instance(error, ConfigurationError);
  assert.match((error as Error).message, `binary for ${process.platform} ${process.arch}: no binary`);
});

test("bytes that are no ONNX model, and too many bytes, are refused", async () => {
  const error = await thrownBy(onnxDriver().open(Uint8Array.of(1, 2, 3), SESSION_LIMITS));
  assert.instance(error, ConfigurationError);
  const large = await thrownBy(onnxDriver().open(Uint8Array.of(1, 2, 3), { artifactBytesMax: 2 }));
  assert.match((large as Error).message, "at most 2 bytes: current value is 3");
});

test("a program that cannot be started is unavailable", async () => {
  assert.instance(
    await thrownBy(onnxDriver("/nowhere/session.ts").open(Uint8Array.of(1), SESSION_LIMITS)),
    UnavailableError,
  );
});

test.run();
