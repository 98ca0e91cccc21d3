/**
 * Two Redis servers behind one address, one the replica of the other. They change places with all writes, or without
 * the newest. Every write is flushed, so that a server that is killed and started again has lost none.
 */
import { type MovableAddress, startMovableAddress } from "../clients/movable_address.ts";
import { ask, type RedisServer, startRedis } from "./redis_server.ts";

const LOOK_EVERY_MS = 20;
const SYNCED_WITHIN_MS = 20_000;

const pause = (forMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, forMs));

export class RedisPair {
  #master: RedisServer;
  #replica: RedisServer;
  /** The address of the master, whichever server it is. */
  readonly #address: MovableAddress;
  /** The replica's way to the master. */
  readonly #link: MovableAddress;
  #isOver = false;

  static async start(): Promise<RedisPair> {
    const master = await startRedis({ appendfsync: "always" });
    const link = await startMovableAddress(master.port);
    const replica = await startRedis({ appendfsync: "always" });
    const pair = new RedisPair(master, replica, await startMovableAddress(master.port), link);
    await pair.#follow(replica);
    return pair;
  }

  private constructor(master: RedisServer, replica: RedisServer, address: MovableAddress, link: MovableAddress) {
    this.#master = master;
    this.#replica = replica;
    this.#address = address;
    this.#link = link;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#address.port}`;
  }

  /** Kills the master with SIGKILL, and starts it again on the same folder. */
  async crash(downForMs: number): Promise<void> {
    await this.#master.kill();
    await pause(downForMs);
    await this.#restart(this.#master);
    await this.synced();
  }

  async freeze(forMs: number): Promise<void> {
    const resume = this.#master.pause();
    await pause(forMs);
    resume();
  }

  /** Fails over as an operator does: the master waits for its replica, then they change places. */
  async switchOver(): Promise<void> {
    await this.synced();
    const [before, after] = [this.#master, this.#replica];
    this.#address.leadTo(after.port, { isCutting: false });
    const asked = await ask(before.port, `FAILOVER TO 127.0.0.1 ${after.port} TIMEOUT 5000\r\n`);
    if (!asked.startsWith("+OK")) throw new Error(`Cannot fail over as Redis must agree: ${asked}`);
    await this.#until("the replica leads", async () =>
      /role:master/.test(await ask(after.port, "INFO replication\r\n")),
    );
    await this.#changePlaces();
  }

  /**
   * The master dies for good and its replica is promoted.
   *
   * @param withoutLastMs the replica lacks the writes of this time, in ms, before the master's death; 0 for none
   */
  async loseMaster(withoutLastMs: number): Promise<void> {
    await this.synced();
    const [before, after] = [this.#master, this.#replica];
    if (withoutLastMs > 0) {
      this.#link.cut();
      await pause(withoutLastMs);
      this.#address.cut();
    } else {
      this.#address.cut();
      await this.#until("the replica has everything", () => this.#isLevel());
    }
    await before.kill();
    await ask(after.port, "REPLICAOF NO ONE\r\n");
    this.#address.leadTo(after.port);
    await this.#restart(before);
    await this.#changePlaces();
  }

  async #restart(redis: RedisServer): Promise<void> {
    if (this.#isOver) throw new Error("Cannot start Redis again as it is ended for good");
    await redis.restart();
  }

  async #changePlaces(): Promise<void> {
    [this.#master, this.#replica] = [this.#replica, this.#master];
    this.#link.leadTo(this.#master.port);
    await this.#follow(this.#replica);
  }

  async #follow(replica: RedisServer): Promise<void> {
    await ask(replica.port, `REPLICAOF 127.0.0.1 ${this.#link.port}\r\n`);
    await this.synced();
  }

  /** Resolves once the replica follows its master. */
  synced(): Promise<void> {
    return this.#until("the replica follows", async () => {
      const told = await ask(this.#master.port, "INFO replication\r\n");
      return /slave0:[^\r]*state=online/.test(told) && /role:master/.test(told);
    });
  }

  async #isLevel(): Promise<boolean> {
    const [master, replica] = await Promise.all(
      [this.#master, this.#replica].map(({ port }) => ask(port, "INFO replication\r\n")),
    );
    const written = /master_repl_offset:(\d+)/.exec(master ?? "")?.[1];
    return written !== undefined && written === /slave_repl_offset:(\d+)/.exec(replica ?? "")?.[1];
  }

  async #until(what: string, probe: () => Promise<boolean>): Promise<void> {
    for (const deadline = Date.now() + SYNCED_WITHIN_MS; Date.now() < deadline; await pause(LOOK_EVERY_MS)) {
      if (await probe()) return;
    }
    throw new Error(`Cannot go on as within ${SYNCED_WITHIN_MS} ms it must come about that ${what}`);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all([this.#address.close(), this.#link.close(), this.#master.stop(), this.#replica.stop()]);
  }
}
