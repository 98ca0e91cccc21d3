/**
 * Sends commands and function calls over the connections of a link, and loads the store's library where a server lacks it
 * (redis link C4). Leaves the decision whether the server may be used to the link, which also limits the time of calls.
 */
import { reasonOf } from "../../../../protocols/errors.ts";
import type { RedisClient } from "../redis_client.ts";
import type { RedisArgument, RedisArguments, RedisLibrary, RedisReply } from "../redis_connection.ts";
import { ReplicatedWrites } from "./replicated_writes.ts";

export interface FunctionCall {
  readonly name: string;
  readonly keys: readonly string[];
  readonly args: RedisArguments;
  /** Sends ASKING first, so that the server answers for a slot that is still moving to it. */
  readonly isAsked: boolean;
}

export class LinkCalls {
  readonly writer: RedisClient;
  readonly reader: RedisClient;
  readonly clients: readonly RedisClient[];
  /** `run_id:master_replid` of the server by the last look, with which functions are called. */
  identity = "";
  readonly #library: RedisLibrary;
  readonly #replicated: ReplicatedWrites<FunctionCall, RedisReply>;

  constructor(make: () => RedisClient, library: RedisLibrary, replicasTimeoutMs: number) {
    this.#library = library;
    this.writer = make();
    this.reader = make();
    const waiting = library.waitsForReplicas === true ? make() : this.writer;
    this.clients = [...new Set([this.writer, this.reader, waiting])];
    this.#replicated = new ReplicatedWrites(
      (call) => this.#callOnce(waiting, call),
      async (replicas) => Number(await waiting.sendCommand(["WAIT", String(replicas), String(replicasTimeoutMs)])),
      replicasTimeoutMs,
    );
  }

  write(call: FunctionCall, replicas?: number): Promise<RedisReply> {
    if (replicas !== undefined) return this.#replicated.write(call, replicas);
    return this.#call(this.writer, "FCALL", call);
  }

  readFunction(call: FunctionCall): Promise<RedisReply> {
    return this.#call(this.reader, "FCALL_RO", call);
  }

  send(client: RedisClient, command: RedisArgument[], isAsked: boolean): Promise<RedisReply> {
    // ASKING holds for the next command of the connection, so the two are sent together.
    if (isAsked) client.sendCommand(["ASKING"]).catch(() => undefined);
    return client.sendCommand(command);
  }

  async load(): Promise<void> {
    await this.writer.sendCommand(["FUNCTION", "LOAD", "REPLACE", this.#library.text]);
  }

  async #call(client: RedisClient, how: "FCALL" | "FCALL_RO", call: FunctionCall): Promise<RedisReply> {
    const command = this.#commandOf(how, call);
    try {
      return await this.send(client, command, call.isAsked);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await this.load();
      return this.send(client, command, call.isAsked);
    }
  }

  /** Without the second call, because no WAIT would follow it. */
  async #callOnce(client: RedisClient, call: FunctionCall): Promise<RedisReply> {
    try {
      return await this.send(client, this.#commandOf("FCALL", call), call.isAsked);
    } catch (error) {
      if (isMissing(error)) await this.load();
      throw error;
    }
  }

  #commandOf(how: string, { name, keys, args }: FunctionCall): RedisArgument[] {
    const given = typeof args === "function" ? args(this.identity) : args;
    return [how, `${this.#library.name}_${name}`, String(keys.length), ...keys, ...given];
  }
}

const isMissing = (error: unknown): boolean => /Function not found/i.test(reasonOf(error));
