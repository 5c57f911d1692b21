/** A whole system in memory: devices, proxies, the called side, DBclient and a network, on virtual time from a seed. */
import { type Address, type AgentPolicy, loadHashBackend, type Random, seededRandom } from "../../mod.ts";
import { AcceptedTokens } from "./accepted_tokens.ts";
import { CalledSide } from "./called_side.ts";
import { type Call, Device } from "./device.ts";
import { EventQueue } from "./event_queue.ts";
import { Network } from "./network.ts";
import { SimDbclient } from "./sim_dbclient.ts";
import { SimProxy } from "./sim_proxy.ts";

const { backend } = await loadHashBackend();

/** The realm of all simulations. */
export const REALM = "example.com";

/** What can be chosen of a world. */
export interface WorldOptions {
  /** Chain length, default 10. */
  readonly n?: number;
  /** Life of a credential in s, default 3600. */
  readonly ttl?: number;
  readonly proxies?: number;
  /** Flags of all proxies. */
  readonly flags?: readonly string[];
}

/** The system. */
export class World {
  readonly queue = new EventQueue();
  readonly random: Random;
  readonly network: Network;
  readonly dbclient: SimDbclient;
  readonly accepted = new AcceptedTokens();
  readonly hashes = backend;
  readonly proxies: SimProxy[];
  readonly called: CalledSide;
  #devices = 0;

  constructor(seed: number, { n = 10, ttl = 3600, proxies = 1, flags = [] }: WorldOptions = {}) {
    this.random = seededRandom(seed);
    this.network = new Network(this.queue, this.random);
    this.dbclient = new SimDbclient(this.queue, backend, this.random, n, ttl);
    const bob = { username: "bob", realm: REALM, password: "bob's" };
    this.dbclient.set(bob, bob.password);
    this.called = new CalledSide(this, { host: "198.51.100.1", port: 5060 }, bob);
    this.proxies = Array.from(
      { length: proxies },
      (_, i) =>
        new SimProxy(this, `proxy${i}`, { host: `192.0.2.${i + 1}`, port: 5060 }, [
          `--realm=${REALM}`,
          "--next_hop=sip:198.51.100.1:5060",
          ...flags,
        ]),
    );
  }

  get proxy(): SimProxy {
    return this.proxies[0];
  }

  get hop(): Address {
    return this.proxy.address;
  }

  /** Adds a subscriber. */
  addUser(username: string, password = `${username}'s`): void {
    this.dbclient.set({ username, realm: REALM }, password);
  }

  /** A device that knows this name and password, right or wrong. */
  device(username: string, password = `${username}'s`, policy: Partial<AgentPolicy> = {}): Device {
    const number = ++this.#devices;
    const address = { host: `10.0.${number >> 8}.${number & 255}`, port: 5060 };
    return new Device(this, address, { username, realm: REALM, password }, policy);
  }

  run(ms: number): void {
    this.queue.run(ms);
  }

  /** Makes one call and lets time pass until its INVITE (and its BYE) is over. */
  call(device: Device, options: Partial<Parameters<Device["call"]>[0]> = {}): Call {
    const call = device.call({ hop: this.hop, ...options });
    this.queue.runUntil(() => isOver(call), 300_000);
    return call;
  }

  /** Questions that DBclient was asked about a user. */
  questionsAbout(username: string): number {
    return this.dbclient.questions.filter((question) => question.username === username).length;
  }

  percent(chance: number): boolean {
    return this.random.below(100) < chance;
  }
}

/** Whether nothing more is to come of a call. */
export function isOver(call: Call): boolean {
  if (call.invite === undefined) return false;
  if (!call.hangsUp) return true;
  return call.invite.status < 200 || call.invite.status > 299 || call.bye !== undefined || call.ended;
}
