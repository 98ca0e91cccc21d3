/**
 * Writes that replicas must have before they are answered (E10), over a connection of their own. WAIT blocks later commands
 * of its connection while replicas lag. So all writes that come while one WAIT is under way share the next WAIT, and no
 * other command uses the connection.
 */
import { UnavailableError } from "../../../../protocols/errors.ts";

interface Write<Command, Reply> {
  readonly command: Command;
  readonly replicas: number;
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

export class ReplicatedWrites<Command, Reply> {
  readonly #send: (command: Command) => Promise<Reply>;
  /** Sends WAIT for a number of replicas. Resolves with the number of replicas that have all earlier writes. */
  readonly #wait: (replicas: number) => Promise<number>;
  readonly #waitMs: number;
  #gathered: Write<Command, Reply>[] = [];
  #isUnderWay = false;

  constructor(send: (command: Command) => Promise<Reply>, wait: (replicas: number) => Promise<number>, waitMs: number) {
    this.#send = send;
    this.#wait = wait;
    this.#waitMs = waitMs;
  }

  /** Resolves with the reply. Rejects with `NOT_DURABLE` where fewer replicas than asked for have the write in time. */
  write(command: Command, replicas: number): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#gathered.push({ command, replicas, resolve, reject });
      if (!this.#isUnderWay) this.#next();
    });
  }

  #next(): void {
    const writes = this.#gathered;
    this.#gathered = [];
    this.#isUnderWay = writes.length > 0;
    if (!this.#isUnderWay) return;
    const sent = writes.map((write) => ({ write, reply: this.#send(write.command) }));
    // The fewest replicas first, so that a write which asks for fewer does not wait for one that asks for more.
    const counts = [...new Set(writes.map(({ replicas }) => replicas))].sort((left, right) => left - right);
    const reached = new Map(counts.map((replicas) => [replicas, this.#wait(replicas)]));
    for (const { write, reply } of sent) this.#answered(write, reply, reached).then(write.resolve, write.reject);
    void Promise.allSettled([...reached.values(), ...sent.map(({ reply }) => reply)]).then(() => this.#next());
  }

  async #answered(
    { replicas }: Write<Command, Reply>,
    reply: Promise<Reply>,
    waits: ReadonlyMap<number, Promise<number>>,
  ): Promise<Reply> {
    const [answer, reached = 0] = await Promise.all([reply, waits.get(replicas)]);
    if (reached >= replicas) return answer;
    const must = `Cannot acknowledge as ${replicas} replicas must have the write within ${this.#waitMs} ms: current value is ${reached}`;
    throw new UnavailableError("NOT_DURABLE", must);
  }
}
