import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../random.ts";
import { ByteWriter, utf8Length, WireError } from "./bytes.ts";
import {
  ERROR_CODE,
  FRAME_TYPE,
  ISSUE_ERROR,
  MAX_FRAME_LENGTH,
  TEXT_LIMIT,
  VERIFY_STATUS,
} from "./constants.ts";
import { decodeFrame, encodeFrame, type Frame } from "./frame.ts";
import { FrameReader } from "./frame_reader.ts";
import { sampleFrames } from "./sample_frames.ts";

const FRAMES = sampleFrames(1);

function concat(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The error that one frame with this payload gives. */
function errorOf(bytes: Uint8Array): WireError {
  const { error } = new FrameReader().push(bytes);
  assert(error !== undefined, "the frame was accepted");
  return error;
}

function rest(type: number, ...payload: number[]): Uint8Array {
  return Uint8Array.from([0, 0, 0, 5 + payload.length, type, 0, 0, 0, 1, ...payload]);
}

Deno.test("every frame type has a sample", () => {
  assertEquals(
    new Set(FRAMES.map((frame) => frame.type)),
    new Set(Object.keys(FRAME_TYPE)) as Set<Frame["type"]>,
  );
});

Deno.test("every frame survives encoding and decoding, and has one spelling", () => {
  for (const frame of FRAMES) {
    const bytes = encodeFrame(frame);
    const decoded = decodeFrame(bytes, 4, bytes.length);
    assertEquals(decoded, frame);
    assertEquals(encodeFrame(decoded), bytes);
  }
});

Deno.test("the bytes of an ISSUE frame are those of docs/PROTOCOL.md §9", () => {
  const bytes = encodeFrame({
    type: "ISSUE",
    id: 0x01020304,
    algorithm: "SHA-1",
    users: [{ username: "al", realm: "é" }],
  });
  assertEquals([...bytes], [0, 0, 0, 16, 0x10, 1, 2, 3, 4, 2, 0, 1, 0, 2, 0x61, 0x6c, 0, 2, 0xc3, 0xa9]);
});

Deno.test("frames in pieces: byte by byte, all at once and in random cuts", () => {
  const bytes = concat(FRAMES.map(encodeFrame));
  const reader = new FrameReader();
  const found: Frame[] = [];
  for (const byte of bytes) {
    const batch = reader.push(Uint8Array.of(byte));
    assertEquals(batch.error, undefined);
    found.push(...batch.frames);
  }
  assertEquals(found, FRAMES);
  assertEquals(reader.buffered, 0);
  assertEquals(new FrameReader().push(bytes).frames, FRAMES);
  for (let seed = 1; seed <= 50; seed++) {
    const random = seededRandom(seed);
    const cut = new FrameReader();
    const pieces: Frame[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + 1 + random.below(100));
      pieces.push(...cut.push(bytes.slice(at, end)).frames);
      at = end;
    }
    assertEquals(pieces, FRAMES, `seed ${seed}`);
  }
});

Deno.test("a frame keeps no reference to the chunk", () => {
  for (const frame of FRAMES) {
    const bytes = encodeFrame(frame);
    const { frames } = new FrameReader().push(bytes);
    bytes.fill(0xff);
    assertEquals(frames, [frame]);
  }
});

Deno.test("a payload cut at any byte is a truncated field; one byte more is trailing", () => {
  for (const frame of FRAMES) {
    const bytes = encodeFrame(frame);
    for (let length = 5; length < bytes.length - 4; length++) {
      const cut = bytes.slice(0, 4 + length);
      new DataView(cut.buffer).setUint32(0, length);
      const error = errorOf(cut);
      assertEquals(error.code, "truncated_field", `${frame.type} cut to ${length}: ${error.message}`);
    }
    const more = concat([bytes, Uint8Array.of(0)]);
    new DataView(more.buffer).setUint32(0, more.length - 4);
    const error = errorOf(more);
    assertEquals([error.code, error.field], ["trailing_bytes", frame.type]);
  }
});

Deno.test("what is wrong is named", () => {
  const cases: [Uint8Array, string, string][] = [
    [Uint8Array.of(0, 0x10, 0, 1), "frame_too_long", "length"],
    [Uint8Array.of(0xff, 0xff, 0xff, 0xff), "frame_too_long", "length"],
    [Uint8Array.of(0, 0, 0, 4), "truncated_field", "length"],
    [rest(0x99), "unknown_type", "type"],
    [rest(0x00), "unknown_type", "type"],
    [rest(FRAME_TYPE.HELLO, 2), "unsupported_version", "protocol version"],
    [rest(FRAME_TYPE.HELLO, 1, 0, 65), "overlong_field", "proxy name"],
    [rest(FRAME_TYPE.ISSUE, 9, 0, 1), "bad_value", "algorithm"],
    [rest(FRAME_TYPE.ISSUE, 2, 0, 0), "bad_value", "count"],
    [rest(FRAME_TYPE.ISSUE, 2, 0x03, 0xe9), "overlong_field", "count"],
    [rest(FRAME_TYPE.ISSUE, 2, 0, 1, 0, 1, 0xff, 0, 0), "bad_value", "username"],
    [rest(FRAME_TYPE.ISSUE, 2, 0, 1, 0, 3, 0xed, 0xa0, 0x80, 0, 0), "bad_value", "username"],
    [rest(FRAME_TYPE.ISSUE, 2, 0, 1, 1, 1), "overlong_field", "username"],
    [rest(FRAME_TYPE.ISSUED, 2, 0, 1, 2), "bad_value", "status"],
    [rest(FRAME_TYPE.ISSUED, 2, 0, 1, 1, 0, 99), "bad_value", "error code"],
    [rest(FRAME_TYPE.ISSUED, 2, 0, 1, 0, ...new Array(16).fill(1), 0, 0), "bad_value", "n"],
    [rest(FRAME_TYPE.VERIFIED, 0, 1, 77), "bad_value", "status"],
    [rest(FRAME_TYPE.READY, 0, 0, 0, 0, 0, 0, 0, 0, 2), "bad_value", "flush"],
    [rest(FRAME_TYPE.READY, 0xff, 0, 0, 0, 0, 0, 0, 0, 1), "bad_value", "serial"],
    [rest(FRAME_TYPE.AUTH, 2), "overlong_field", "proof count"],
    [rest(FRAME_TYPE.ERROR, 0xff, 0xff, 0, 0), "bad_value", "error code"],
  ];
  for (const [bytes, code, field] of cases) {
    const error = errorOf(bytes);
    assertEquals([error.code, error.field], [code, field], error.message);
  }
});

Deno.test("frames before a broken one are given out, none after it", () => {
  const reader = new FrameReader();
  const ping = encodeFrame({ type: "PING", id: 0 });
  const batch = reader.push(concat([ping, ping, rest(0x99), ping]));
  assertEquals(batch.frames.length, 2);
  assertEquals(batch.error?.code, "unknown_type");
  const later = reader.push(ping);
  assertEquals([later.frames.length, later.error?.code], [0, "unknown_type"]);
});

Deno.test("an announced length costs no memory before the bytes arrive", () => {
  const reader = new FrameReader();
  reader.push(Uint8Array.of(0, 0x10, 0, 0, FRAME_TYPE.PING));
  assertEquals(reader.buffered, 5);
});

Deno.test("encoding what does not fit is misuse", () => {
  const long = "x".repeat(TEXT_LIMIT.username + 1);
  const user = { username: "a", realm: "b" };
  const wrong: Frame[] = [
    { type: "ISSUE", id: 1, algorithm: "MD5", users: [{ username: long, realm: "" }] },
    { type: "ISSUE", id: 1, algorithm: "MD5", users: [] },
    { type: "ISSUE", id: 1, algorithm: "MD5", users: new Array(1001).fill(user) },
    { type: "ISSUE", id: 2 ** 32, algorithm: "MD5", users: [user] },
    { type: "HELLO", id: 0, proxy: "p", random: new Uint8Array(15), serial: 0 },
    { type: "HELLO", id: 0, proxy: "p", random: new Uint8Array(16), serial: -1 },
  ];
  for (const frame of wrong) assertThrows(() => encodeFrame(frame), RangeError);
  const largest = { username: "é".repeat(128), realm: "x".repeat(256) };
  const bytes = encodeFrame({ type: "ISSUE", id: 1, algorithm: "MD5", users: new Array(1000).fill(largest) });
  assert(bytes.length < MAX_FRAME_LENGTH);
});

Deno.test("frames of every size keep every byte while the writer's buffer grows", () => {
  // Regression: a field that made the buffer grow was written to the old one. Each writer starts small.
  for (let size = 1; size < 700; size++) {
    for (
      const write of [
        (w: ByteWriter) => w.u8(0xa1, "x"),
        (w: ByteWriter) => w.u16(0xa1a2, "x"),
        (w: ByteWriter) => w.u32(0xa1a2a3a4, "x"),
        (w: ByteWriter) => w.fixed(new Uint8Array(size).fill(0xa1), size, "x"),
      ]
    ) {
      const writer = new ByteWriter();
      writer.fixed(new Uint8Array(size).fill(7), size, "head");
      write(writer);
      const bytes = writer.take();
      assertEquals(bytes[size - 1], 7);
      assertEquals(bytes[size], 0xa1, `size ${size}`);
    }
  }
});

Deno.test("utf8Length agrees with the encoder", () => {
  for (const text of ["", "abc", "é", "漢", "😀", "\ud800", "a\udc00b", "\ud83d", "x😀é"]) {
    assertEquals(utf8Length(text), new TextEncoder().encode(text).length, JSON.stringify(text));
  }
});

Deno.test("fuzz: no input throws, stalls or is read in two ways", () => {
  const valid = FRAMES.map(encodeFrame);
  for (let seed = 1; seed <= 3000; seed++) {
    const random = seededRandom(seed);
    const bytes = concat([valid[random.below(valid.length)], valid[random.below(valid.length)]]);
    for (let edits = 1 + random.below(4); edits > 0; edits--) {
      bytes[random.below(bytes.length)] = random.below(4) === 0 ? 0xff : random.below(256);
    }
    const whole = new FrameReader().push(bytes);
    const reader = new FrameReader();
    const frames: Frame[] = [];
    let error: WireError | undefined;
    for (let i = 0; i < bytes.length && error === undefined; i++) {
      const batch = reader.push(bytes.subarray(i, i + 1));
      frames.push(...batch.frames);
      error = batch.error;
    }
    assertEquals(frames, whole.frames, `seed ${seed}`);
    assertEquals(error?.message, whole.error?.message, `seed ${seed}`);
    for (const frame of frames) {
      const again = encodeFrame(frame);
      assertEquals(decodeFrame(again, 4, again.length), frame, `seed ${seed}`);
    }
  }
});

Deno.test("docs/PROTOCOL.md has every byte value, status, code and limit", async () => {
  const table = (await Deno.readTextFile(new URL("../../docs/PROTOCOL.md", import.meta.url)))
    .replace(/[ \n]+/g, " ");
  const hex = (value: number) => `0x${value.toString(16).padStart(2, "0")}`;
  for (const [name, value] of Object.entries(FRAME_TYPE)) {
    assert(table.includes(`| ${hex(value)} | ${name} |`), name);
  }
  for (const list of [ERROR_CODE, ISSUE_ERROR, VERIFY_STATUS]) {
    for (const [name, value] of Object.entries(list)) {
      assert(table.includes(`| ${value} | \`${name}\` |`), name);
    }
  }
  for (const [name, value] of Object.entries(TEXT_LIMIT)) assert(table.includes(`${name} ${value}`), name);
});
