// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
/** Many HMACs (RFC 2104) side by side, and what issuing a credential makes of them (docs/PROTOCOL.md §3). */
import { digestSize, initialState, pad, toBytes } from "./digest.ts";
import {
  MAC_INNER,
  MAC_KEY,
  MAC_LENGTH,
  MAC_MESSAGE,
  MAC_OUTER,
  MAC_RESULT,
  MAC_SHORT,
  MAC_SIZE,
  RUN_BLOCK,
  RUN_BLOCKS,
  RUN_SIZE,
  RUN_STATE,
  WALK_INDEX,
  WALK_LINKS,
  WALK_NONCE,
  WALK_SIZE,
  WALK_VALUE,
} from "./layout.ts";
import { runs, walk } from "./schedule.ts";

const BLOCK_SIZE: u32 = 64;
const STATE_SIZE = 32;
const NONCE_SIZE = 16;
/** ipad, and ipad xor opad, RFC 2104 §2, on all eight bytes of a word. */
const INNER_PAD: u64 = 0x3636363636363636;
const INNER_TO_OUTER: u64 = 0x6a6a6a6a6a6a6a6a;

function setRun(run: usize, state: usize, block: usize, blocks: u32): void {
  store<usize>(run, state, RUN_STATE);
  store<usize>(run, block, RUN_BLOCK);
  store<u32>(run, blocks, RUN_BLOCKS);
}

/** The states behind one of the pads; `change` makes the key block that pad. */
function padStates(
  algorithm: i32,
  macs: usize,
  count: i32,
  list: usize,
  stateOffset: usize,
  change: u64,
): void {
  for (let i = 0; i < count; i++) {
    const mac = macs + i * MAC_SIZE;
    for (let at = MAC_KEY; at < MAC_KEY + <i32> BLOCK_SIZE; at += 8) {
      store<u64>(mac + at, load<u64>(mac + at) ^ change);
    }
    initialState(algorithm, mac + stateOffset);
    setRun(list + i * RUN_SIZE, mac + stateOffset, mac + MAC_KEY, 1);
  }
  runs(algorithm, list, count);
}

/** Inner and outer states from the keys: good for any number of {@linkcode hmac} calls. Uses up the key blocks. */
export function hmacPads(algorithm: i32, macs: usize, count: i32, list: usize): void {
  padStates(algorithm, macs, count, list, MAC_INNER, INNER_PAD);
  padStates(algorithm, macs, count, list, MAC_OUTER, INNER_TO_OUTER);
}

/** Results from inner and outer states and messages. */
export function hmac(algorithm: i32, macs: usize, count: i32, list: usize): void {
  const size = digestSize(algorithm);
  for (let i = 0; i < count; i++) {
    const mac = macs + i * MAC_SIZE;
    const message = load<usize>(mac, MAC_MESSAGE);
    const length = load<u32>(mac, MAC_LENGTH);
    memory.copy(mac + MAC_RESULT, mac + MAC_INNER, STATE_SIZE);
    setRun(
      list + i * RUN_SIZE,
      mac + MAC_RESULT,
      message,
      pad(algorithm, message, length, BLOCK_SIZE + length),
    );
  }
  runs(algorithm, list, count);
  for (let i = 0; i < count; i++) {
    const mac = macs + i * MAC_SIZE;
    toBytes(algorithm, mac + MAC_RESULT);
    memory.copy(mac + MAC_KEY, mac + MAC_RESULT, size);
    memory.copy(mac + MAC_RESULT, mac + MAC_OUTER, STATE_SIZE);
    setRun(
      list + i * RUN_SIZE,
      mac + MAC_RESULT,
      mac + MAC_KEY,
      pad(algorithm, mac + MAC_KEY, size, BLOCK_SIZE + size),
    );
  }
  runs(algorithm, list, count);
  for (let i = 0; i < count; i++) toBytes(algorithm, macs + i * MAC_SIZE + MAC_RESULT);
}

/** The messages label || N || u32(n): N and n are those of the walks. */
function setMessages(macs: usize, walks: usize, count: i32, label: usize, labelLength: u32): void {
  for (let i = 0; i < count; i++) {
    const mac = macs + i * MAC_SIZE;
    const walk = walks + i * WALK_SIZE;
    const message = mac + MAC_SHORT;
    memory.copy(message, label, labelLength);
    memory.copy(message + labelLength, walk + WALK_NONCE, NONCE_SIZE);
    store<u32>(message + labelLength + NONCE_SIZE, bswap<u32>(load<u32>(walk, WALK_LINKS)));
    store<usize>(mac, message, MAC_MESSAGE);
    store<u32>(mac, labelLength + NONCE_SIZE + 4, MAC_LENGTH);
  }
}

/**
 * Issues credentials: from S in the key block of a MAC, and N and n in the nonce and links of a walk, to K in the
 * result of the MAC and h_n in the value of the walk.
 *
 * @param labels what the messages of h_0 and of K begin with, one behind the other
 */
export function derive(
  algorithm: i32,
  macs: usize,
  walks: usize,
  count: i32,
  list: usize,
  labels: usize,
  seedLength: u32,
  keyLength: u32,
): void {
  const size = digestSize(algorithm);
  hmacPads(algorithm, macs, count, list);
  setMessages(macs, walks, count, labels, seedLength);
  hmac(algorithm, macs, count, list);
  for (let i = 0; i < count; i++) {
    memory.copy(walks + i * WALK_SIZE + WALK_VALUE, macs + i * MAC_SIZE + MAC_RESULT, size);
    store<u32>(walks + i * WALK_SIZE, 0, WALK_INDEX);
  }
  setMessages(macs, walks, count, labels + seedLength, keyLength);
  hmac(algorithm, macs, count, list);
  walk(algorithm, walks, count);
}
