import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorReference, Termination } from "../../../actors/kernel/actor.ts";
import type { ChannelBounds, ReadRequest } from "../../../actors/log/log.ts";
import { Followers } from "../../../actors/partition/followers.ts";
import type { CommittedReport, PartitionRequest } from "../../../actors/partition/partition.ts";
import { RemoteView } from "../../../actors/partition/remote_view.ts";
import { epoch, offset, partitionId } from "../../../protocols/position.ts";

const partition = { stream: "s", partition: partitionId(0) };
const bounds = (end: number): ChannelBounds => ({
  epochs: [{ epoch: epoch(5), firstOffset: offset(0) }],
  firstOffset: offset(0),
  endOffset: offset(end),
  sizeBytes: end,
});

/** A view, with the owner that it follows and the log that it reads. */
function viewUnderTest() {
  let end = 0;
  const later: (() => void)[] = [];
  const followers = new Followers(
    () => bounds(end),
    () => 1_000 + end,
    () => later.push(() => followers.report()),
  );
  const ends = new Set<(termination: Termination) => void>();
  const link = { isUp: true };
  const take = (request: PartitionRequest) => {
    if (request.type === "follow") followers.add(request.replyTo, [["records", bounds(end)]]);
    if (request.type === "unfollow") followers.remove(request.replyTo);
  };
  const owner = {
    path: "other/partition",
    tell: take,
    onTerminated: (listener: (termination: Termination) => void) => {
      if (!link.isUp) listener({ kind: "stopped" });
      else ends.add(listener);
      return () => ends.delete(listener);
    },
  } as unknown as ActorReference<PartitionRequest>;
  const reads: ReadRequest[] = [];
  const log = {
    read: async (_partition: unknown, request: ReadRequest) => {
      reads.push(request);
      return { kind: "records", batches: [] } as const;
    },
    seek: async () => undefined,
  };
  const timers: (() => void)[] = [];
  const setTimer = (_delayMs: number, callback: () => void) => {
    timers.push(callback);
    return { cancel() {} };
  };
  const view = new RemoteView({ partition, owner, log, setTimer });
  return {
    ...{ view, followers, reads, timers, link },
    commit(to: number) {
      end = to;
      followers.note("records");
      for (const report of later.splice(0)) report();
    },
    endLink() {
      link.isUp = false;
      for (const listener of ends) listener({ kind: "stopped" });
    },
  };
}

test("X1: nothing is read past the committed offset that the owner reported", async () => {
  const { view, reads, commit } = viewUnderTest();
  await view.ready();
  await view.read("records", undefined, 100);
  commit(7);
  await view.read("records", undefined, 100);
  assert.equal(
    reads.map(({ committedOffset }) => committedOffset),
    [0, 7],
  );
});

test("the time before which all records are committed is the one that the owner told with them", async () => {
  const { view, commit } = viewUnderTest();
  assert.is(view.settledMs(), Number.NEGATIVE_INFINITY);
  await view.ready();
  commit(7);
  assert.is(view.settledMs(), 1_007);
});

test("X2: a subscriber is told of every advance, and the owner is unfollowed when the last subscriber leaves", async () => {
  const { view, followers, commit } = viewUnderTest();
  let heard = 0;
  const listener = view.onAdvance("records", () => (heard += 1));
  assert.is(followers.size, 1);
  heard = 0;
  commit(1);
  commit(2);
  assert.is(heard, 2);
  listener.stop();
  assert.is(followers.size, 0);
  commit(3);
  await view.ready(); // it asks again before it is read again
  assert.is(view.committedOffset("records"), 3);
});

test("X2: a subscriber is told of advances after a break of its link, and after its owner has forgotten it", () => {
  const { view, followers, link, endLink, timers, commit } = viewUnderTest();
  let heard = 0;
  view.onAdvance("records", () => (heard += 1));
  endLink();
  followers.end();
  link.isUp = false;
  timers.shift()?.(); // still broken
  link.isUp = true;
  commit(3);
  heard = 0;
  timers.shift()?.();
  assert.equal([heard, view.committedOffset("records")], [1, 3]);
  followers.end(); // the owner's actor was started again
  commit(5);
  timers.shift()?.();
  assert.equal([heard, view.committedOffset("records")], [2, 5]);
});

test("a reader whose owner cannot be reached is refused at once", async () => {
  const { view, link, endLink, timers, followers } = viewUnderTest();
  link.isUp = false;
  const code = () =>
    view.ready().then(
      () => "ready",
      (error: { code: string }) => error.code,
    );
  assert.is(await code(), "NOT_READY");
  link.isUp = true;
  await view.ready();
  endLink();
  assert.is(await code(), "NOT_READY");
  link.isUp = true;
  followers.end();
  followers.add = () => {}; // an owner that does not answer
  const late = code();
  timers.at(-1)?.();
  assert.is(await late, "NOT_READY");
});

test("a follower gets all channels first, then gathered changes, and is forgotten with its link", () => {
  const told: CommittedReport[] = [];
  const ends: (() => void)[] = [];
  const follower = {
    path: "f",
    tell: (report: CommittedReport) => told.push(report),
    onTerminated: (listener: () => void) => {
      ends.push(listener);
      return () => {};
    },
  } as unknown as ActorReference<CommittedReport>;
  let isDue = 0;
  const followers = new Followers(
    bounds.bind(undefined, 4),
    () => 0,
    () => (isDue += 1),
  );
  followers.note("records");
  assert.is(isDue, 0); // nobody follows
  followers.add(follower, [
    ["records", bounds(1)],
    ["rejected", bounds(1)],
  ]);
  for (const channel of ["records", "records", "rejected"] as const) followers.note(channel);
  assert.is(isDue, 1);
  followers.report();
  assert.equal(
    told.map((report) => report.bounds.map(([channel]) => channel)),
    [
      ["records", "rejected"],
      ["records", "rejected"],
    ],
  );
  for (const end of ends) end();
  assert.is(followers.size, 0);
});

test.run();
