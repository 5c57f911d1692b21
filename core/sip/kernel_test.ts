/** The scan kernel and the code without it give the same for every input. */
import { assert, assertEquals } from "@std/assert";
import { type Random, seededRandom } from "../random.ts";
import { HeaderId, headerName } from "./header.ts";
import { scanKernel } from "./kernel/kernel.ts";
import { SipMessage } from "./message.ts";
import { HeaderIndex, MAX_HEADERS } from "./scan.ts";
import { INVITE, lines, RESPONSE } from "./test_messages.ts";
import { mutate, SEEDS } from "./test_mutations.ts";
import { indexed, read, Scanners } from "./test_scanners.ts";

const MUTATIONS = 20_000;
/** Another run explores other messages: FUZZ_SEED=n deno test … */
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 20261125);
const ROOM = 1 << 18;

const inKernel = scanKernel?.allocate(ROOM);
const elsewhere = new Uint8Array(ROOM);
const scanners = new Scanners();

/** At one place in the kernel's memory and one elsewhere, in the middle of something. */
function compareBoth(bytes: Uint8Array, at: number, behind: Uint8Array): void {
  for (const buffer of [inKernel!, elsewhere]) {
    buffer.set(bytes, at);
    buffer.set(behind, at + bytes.length);
    scanners.compare(buffer, at, at + bytes.length);
  }
}

function tail(random: Random): Uint8Array {
  const { length } = SEEDS;
  return [() => random.bytes(40), () => SEEDS[random.below(length)], () => new Uint8Array(40).fill(0x20)]
    [random.below(3)]();
}

const test = (name: string, run: () => void) =>
  Deno.test({ name: `scan kernel: ${name}`, ignore: scanKernel === undefined, fn: run });

test("takes every usual message", () => {
  for (const bytes of [INVITE, RESPONSE]) assert(scanners.kernelIndex.readMessage(bytes, 0, bytes.length));
});

test("every name, in full and compact, in any case, and names that are nearly the same", () => {
  const names = Object.values(HeaderId).map(headerName).filter((name) => name !== "");
  const compact = [..."abcdefghijklmnopqrstuvwxyz"];
  const wrong = names.flatMap((
    name,
  ) => [`${name}x`, name.slice(1), name.slice(0, -1), name.replace("-", "\r")]);
  const all = [...names, ...compact, ...wrong].filter((name) => name !== "");
  for (const name of all.flatMap((name) => [name, name.toUpperCase(), name.toLowerCase(), `${name} \t`])) {
    compareBoth(
      lines(["ACK sip:a SIP/2.0", `${name}: a`, `X-${name}:b`, `${name}:`]),
      100,
      new Uint8Array(9),
    );
  }
});

test("every byte at every place of a short message", () => {
  const bytes = lines([
    "BYE sip:a@b SIP/2.0",
    "v:SIP/2.0/UDP [::1]:5;branch=z;rport;received=1.2.3.4;ttl=1;maddr=c",
    'f:"a\\"b" <sip:a>;tag=1',
    "To: b <sip:b>",
    "Call-ID: c",
    "CSeq: 1 BYE",
    "Max-Forwards: 70",
    "l: 2",
  ], "ab");
  for (let at = 0; at < bytes.length; at++) {
    const old = bytes[at];
    for (let c = 0; c < 256; c++) {
      bytes[at] = c;
      elsewhere.set(bytes, 64);
      scanners.compare(elsewhere, 64, 64 + bytes.length);
    }
    bytes[at] = old;
  }
});

test("messages cut at every byte, with the rest behind them, at every alignment", () => {
  SEEDS.forEach((bytes, n) => {
    for (const buffer of [inKernel!, elsewhere]) {
      const at = 200 + n % 16;
      buffer.set(bytes, at);
      for (let end = at; end <= at + bytes.length; end++) scanners.compare(buffer, at, end);
      const aligned = 4096 + (n * 16) % 1024;
      for (let k = 0; k < 16; k++) {
        buffer.set(bytes, aligned + k);
        scanners.compare(buffer, aligned + k, aligned + k + bytes.length);
      }
    }
  });
});

test("mutated messages, anywhere and with anything behind them", () => {
  scanners.taken = 0;
  for (let n = 0; n < MUTATIONS; n++) {
    const random = seededRandom(SEED + n);
    const bytes = mutate(random);
    try {
      compareBoth(bytes, random.below(4096), tail(random));
    } catch (error) {
      throw new Error(`FUZZ_SEED=${SEED + n}: ${JSON.stringify(new TextDecoder().decode(bytes))}`, {
        cause: error,
      });
    }
  }
  assert(scanners.taken > MUTATIONS / 5, `the kernel took only ${scanners.taken} messages`);
});

test("random bytes and many header lines, to the edge of what there is room for", () => {
  const random = seededRandom(SEED);
  const special = new TextEncoder().encode('\r\n\r\n: \tvftaA;,<>"\\=');
  for (let n = 0; n < 2000; n++) {
    const bytes = random.bytes(random.below(300));
    if (n & 1) bytes.forEach((c, i) => bytes[i] = special[c % special.length]);
    compareBoth(bytes, random.below(64), tail(random));
  }
  for (const count of [MAX_HEADERS - 9, MAX_HEADERS - 8, MAX_HEADERS + 20]) {
    const head = new TextDecoder().decode(INVITE).split("\r\n\r\n")[0].split("\r\n");
    const bytes = lines([...head, ...new Array<string>(count - 11).fill("X: y")]);
    const index = new HeaderIndex();
    elsewhere.set(bytes);
    assertEquals(
      index.scan(elsewhere, head[0].length + 2, bytes.length),
      scanners.plainIndex.scanBytes(bytes, head[0].length + 2, bytes.length),
    );
    assertEquals(indexed(index), indexed(scanners.plainIndex));
  }
});

test("messages too large for it, at the end of the memory and beyond a buffer's end", () => {
  for (const size of [65_500, 65_536, 65_537, 200_000]) {
    const bytes = lines(["INFO sip:a SIP/2.0", `X: ${"y".repeat(size - 100)}`, "v: SIP/2.0/UDP h;branch=b"]);
    compareBoth(bytes, 77, new Uint8Array(64).fill(0x20));
  }
  const last = new Uint8Array(scanKernel!.memory, scanKernel!.memory.byteLength - INVITE.length);
  last.set(INVITE);
  scanners.compare(last, 0, last.length);
  scanners.compare(INVITE, 0, INVITE.length + 50);
  last.fill(0);
});

test("a result survives the next scan of another index, and more than there is room for in the kernel", () => {
  const kept = Array.from({ length: 40 }, () => new SipMessage());
  kept.forEach((message, i) => {
    const bytes = i & 1 ? INVITE : RESPONSE;
    assertEquals(message.parse(bytes, 0, bytes.length), undefined);
  });
  kept.forEach((message, i) => {
    const bytes = i & 1 ? INVITE : RESPONSE;
    scanners.plainMessage.parse(bytes, 0, bytes.length);
    assertEquals(read(message), read(scanners.plainMessage));
  });
});
