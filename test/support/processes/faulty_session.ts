/** A process in the place of a session's: it does what the bytes of the artifact say, as no real artifact does reliably. */
import type { FromProcess, ToProcess } from "../../../actors/enrichment/onnx_process.ts";

let fault = "";

process.on("message", (message: ToProcess) => {
  if (message.type === "open") fault = new TextDecoder().decode(message.artifact);
  process.send?.(answer(message));
});

function answer(message: ToProcess): FromProcess {
  if (message.type === "open") {
    return fault === "missing" ? { type: "not_opened", isMissing: true, reason: "no binary" } : { type: "opened" };
  }
  if (fault === "hangs") for (;;);
  if (fault === "crashes") process.kill(process.pid, "SIGSEGV");
  return { type: "failed", reason: fault === "tells" ? `secret: ${process.env.HEADRACE_SECRET ?? "none"}` : fault };
}
