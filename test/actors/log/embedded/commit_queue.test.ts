import { test } from "uvu";
import * as assert from "uvu/assert";
import { CommitQueue } from "../../../../actors/log/embedded/commit_queue.ts";
import type { OrderedStore } from "../../../../actors/log/embedded/ordered_store.ts";

interface HeldCommit {
  readonly keys: readonly string[];
  commit(error?: Error): void;
  flush(): void;
}

function held() {
  let resolve = (): void => undefined;
  let reject = (_error: Error): void => undefined;
  const promise = new Promise<void>((settle, fail) => {
    resolve = settle;
    reject = fail;
  });
  return { promise, resolve, reject };
}

/** A queue on a store whose commits and flushes end when the test says so; `told` lists the answers in their order. */
function queueUnderTest() {
  const commits: HeldCommit[] = [];
  const told: string[] = [];
  const store: Pick<OrderedStore, "commit" | "failure"> = {
    commit(writes) {
      const [committed, flushed] = [held(), held()];
      commits.push({
        keys: [...writes.keys()],
        commit: (error) => (error === undefined ? committed.resolve() : committed.reject(error)),
        flush: () => flushed.resolve(),
      });
      return { committed: committed.promise, flushed: () => flushed.promise };
    },
    failure: (error) => error as Error,
  };
  const queue = new CommitQueue(store as OrderedStore, () => told.push("state forgotten"));
  const write = (name: string, isFlushed = false, keys: readonly string[] = [name]) => {
    const writes = keys.map((key) => [key, new Uint8Array()] as const);
    queue.write(writes, isFlushed).then(
      () => told.push(name),
      (error: Error) => told.push(`${name} failed: ${error.message}`),
    );
  };
  return { commits, told, write, queue };
}

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

test("Q1: calls that arrive during a commit share the next one, whole and in their order", async () => {
  const { commits, told, write } = queueUnderTest();
  write("a");
  await settled();
  write("b", false, ["b1", "b2"]);
  write("c");
  await settled();
  assert.equal(
    commits.map(({ keys }) => keys),
    [["a"]],
  );
  commits[0]?.commit();
  await settled();
  assert.equal(
    commits.map(({ keys }) => keys),
    [["a"], ["b1", "b2", "c"]],
  );
  commits[1]?.commit();
  await settled();
  assert.equal(told, ["a", "b", "c"]);
});

test("Q2: a commit that fails also fails the calls behind it, after the state is forgotten", async () => {
  const { commits, told, write } = queueUnderTest();
  write("a");
  await settled();
  write("b");
  commits[0]?.commit(new Error("no disk"));
  await settled();
  assert.equal(told, ["state forgotten", "a failed: no disk", "b failed: no disk"]);
  assert.is(commits.length, 1, "the writes of b are not committed");
  write("c");
  await settled();
  commits[1]?.commit();
  await settled();
  assert.is(told.at(-1), "c");
});

test("Q3: a call that asks for a flush is answered after it, and the next commit runs meanwhile", async () => {
  const { commits, told, write } = queueUnderTest();
  write("flushed", true);
  write("committed");
  await settled();
  commits[0]?.commit();
  write("next");
  await settled();
  assert.equal(told, ["committed"]);
  assert.is(commits.length, 2);
  commits[0]?.flush();
  await settled();
  assert.equal(told, ["committed", "flushed"]);
});

test("calls that are queued when the store's life ends are rejected, and not committed", async () => {
  const { commits, told, write, queue } = queueUnderTest();
  write("a");
  await settled();
  write("b");
  queue.abandon(new Error("restarted"));
  commits[0]?.commit();
  await settled();
  assert.equal(told, ["b failed: restarted", "a"]);
  assert.is(commits.length, 1);
});

test.run();
