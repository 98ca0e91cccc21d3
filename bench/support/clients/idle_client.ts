/**
 * Opens silent connections, and prints `ready` once it has tried each. With `again`, a connection that ended is opened
 * again a second later.
 */
import { connect } from "node:net";

const [port = "0", count = "0", mode = ""] = process.argv.slice(2);
const TRIED_AT_ONCE = 200;
const AGAIN_AFTER_MS = 1_000;

function open(onTried: () => void): void {
  const socket = connect(Number(port), "127.0.0.1");
  socket.once("connect", onTried).once("error", onTried);
  socket.resume();
  socket.once("close", () => {
    if (mode === "again") setTimeout(() => open(() => undefined), AGAIN_AFTER_MS);
  });
}

let left = Number(count);
while (left > 0) {
  const batch = Math.min(left, TRIED_AT_ONCE);
  await Promise.all(Array.from({ length: batch }, () => new Promise<void>((resolve) => open(resolve))));
  left -= batch;
}
console.log("ready");
