import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  ConnectionPlaces,
  type PlaceLimits,
  WAIT_MS_MIN,
} from "../../../../supervisors/security/admission/connection_places.ts";

const places = (limits: Partial<PlaceLimits> = {}) =>
  new ConnectionPlaces({ placesMax: 4, upgradesMax: 3, perAddressMax: 2, waitingPerAddressMax: 2, ...limits });

test("a newcomer takes the place of the connection that has been silent longest (C1)", () => {
  const all = places();
  for (const id of [1, 2, 3, 4]) assert.equal(all.arrive(id, `address-${id}`, 0), []);
  all.ask(1);
  assert.equal(all.arrive(5, "a", 0), [2]);
  assert.is(all.count, 4);
});

test("idle connections give way after silent ones, then greeting ones, then requests under way; welcomed ones never (C1)", () => {
  const all = places({ perAddressMax: 10 });
  for (const id of [1, 2, 3, 4]) all.arrive(id, "a", 0);
  all.upgrade(1);
  all.welcome(1);
  all.upgrade(2);
  all.ask(3);
  all.ask(4);
  all.rest(4, 0);
  assert.equal(all.arrive(5, "a", 0), [4]);
  all.upgrade(5);
  all.welcome(5);
  assert.equal(all.arrive(6, "a", 0), [2]);
  all.upgrade(6);
  all.welcome(6);
  assert.equal(all.arrive(7, "a", 0), [3]);
  assert.equal(all.arrive(8, "a", 0), [7]);
});

test("if welcomed connections have all places, a newcomer finds none", () => {
  const all = places({ placesMax: 2, upgradesMax: 2 });
  for (const id of [1, 2]) {
    all.arrive(id, "a", 0);
    all.upgrade(id);
    all.welcome(id);
  }
  assert.is(all.arrive(3, "b", 0), undefined);
  all.leave(1);
  assert.equal(all.arrive(3, "b", 0), []);
});

test("silent and idle connections of one address have a share, and those of other addresses are not touched (C2)", () => {
  const all = places({ placesMax: 10 });
  for (const id of [1, 2, 3, 4]) all.arrive(id, "crowd", 0);
  all.arrive(5, "other", 0);
  all.ask(1);
  all.rest(1, 0);
  assert.equal(all.overShare("crowd", WAIT_MS_MIN, 1), [2]);
  assert.equal(all.overShare("crowd", WAIT_MS_MIN), [3]);
  assert.equal(all.overShare("crowd", WAIT_MS_MIN), []);
  assert.equal(all.overShare("other", WAIT_MS_MIN), []);
});

test("many clients that begin, or ask again, at one moment have time to send (C2)", () => {
  const all = places({ placesMax: 10, perAddressMax: 10 });
  for (const id of [1, 2, 3, 4]) all.arrive(id, "crowd", 0);
  assert.equal(all.overShare("crowd", WAIT_MS_MIN - 1), []);
  for (const id of [1, 2, 3, 4]) all.ask(id);
  assert.not(all.isOverShare("crowd"));
  for (const id of [1, 2, 3, 4]) all.rest(id, 5_000);
  assert.equal(all.overShare("crowd", 5_000 + WAIT_MS_MIN - 1), []);
  assert.equal(all.overShare("crowd", 5_000 + WAIT_MS_MIN), [1, 2]);
});

test("a WebSocket beyond the address's share takes the place of one that never greeted, and of no welcomed one (C3)", () => {
  const all = places({ placesMax: 10, upgradesMax: 10 });
  for (const id of [1, 2, 3, 4]) all.arrive(id, "a", 0);
  assert.equal(all.upgrade(1), []);
  assert.equal(all.upgrade(2), []);
  all.welcome(1);
  assert.equal(all.upgrade(3), [2]);
  all.welcome(3);
  assert.is(all.upgrade(4), undefined);
  all.arrive(5, "b", 0);
  assert.equal(all.upgrade(5), []);
});

test("requests under way of one address have a share, which answers give back (C3)", () => {
  const all = places({ placesMax: 10 });
  for (const id of [1, 2, 3]) all.arrive(id, "a", 0);
  assert.equal([all.ask(1), all.ask(2), all.ask(3)], [[], [], undefined]);
  all.rest(1, 0);
  assert.equal(all.ask(3), []);
});

test("WebSockets leave places to HTTP, however many addresses they come from (C4)", () => {
  const all = places({ placesMax: 4, upgradesMax: 2 });
  for (const id of [1, 2, 3]) all.arrive(id, `address-${id}`, 0);
  for (const id of [1, 2]) {
    assert.equal(all.upgrade(id), []);
    all.welcome(id);
  }
  assert.is(all.upgrade(3), undefined);
  assert.equal(all.ask(3), []);
});

test.run();
