import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Fifo } from "../../../../actors/kernel/runtime/fifo.ts";

test("items come out in the order in which they went in, over any sequence of pushes and shifts", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3_000, max: 3_000 }), { maxLength: 12 }), (steps) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      let next = 0;
      for (const step of steps) {
        for (let left = step; left > 0; left--) {
          fifo.push(next);
          model.push(next++);
        }
        for (let left = step; left < 0; left++) {
          assert.is(fifo.peek(), model[0]);
          assert.is(fifo.shift(), model.shift());
        }
        assert.is(fifo.size, model.length);
      }
    }),
  );
});

test.run();
