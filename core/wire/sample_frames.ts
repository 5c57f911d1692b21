/** One frame of each kind and more, for tests and benchmarks; made from a seed. */
import { seededRandom } from "../random.ts";
import { ALGORITHM_SIZE } from "./constants.ts";
import type { DigestAnswer, Frame } from "./frame.ts";

/** Frames of every type, with empty, UTF-8 and extreme values among them. */
export function sampleFrames(seed: number): Frame[] {
  const random = seededRandom(seed);
  const answer: DigestAnswer = {
    username: "alice",
    realm: "example.com",
    nonce: "c2VydmVyIG5vbmNl",
    uri: "sip:bob@example.com",
    method: "INVITE",
    qop: "auth",
    nc: "00000001",
    cnonce: "0a4f113b",
    algorithm: "SHA-256",
    bodyHash: "",
    response: "6629fae49393a05397450978507c4ef1",
  };
  const credential = (size: number) => ({
    nonce: random.bytes(16),
    n: 1 + random.below(65535),
    anchor: random.bytes(size),
    key: random.bytes(size),
    ttl: random.below(2 ** 32),
    serial: Number.MAX_SAFE_INTEGER,
  });
  const users = [
    { username: "alice", realm: "example.com" },
    { username: "", realm: "" },
    { username: "\ufeffjosé 漢字 😀", realm: "exämple.com" },
  ];
  return [
    { type: "HELLO", id: 0, proxy: "edge-1", random: random.bytes(16), serial: 2 ** 40 + 3 },
    { type: "WELCOME", id: 0, random: random.bytes(16), n: 10, ttl: 3600, serial: 0, proofs: [] },
    {
      type: "WELCOME",
      id: 0,
      random: random.bytes(16),
      n: 65535,
      ttl: 2 ** 32 - 1,
      serial: 7,
      proofs: [random.bytes(32), random.bytes(32)],
    },
    { type: "AUTH", id: 0, proofs: [] },
    { type: "AUTH", id: 0, proofs: [random.bytes(32)] },
    { type: "READY", id: 0, serial: 9, revoked: "all" },
    { type: "READY", id: 0, serial: 9, revoked: [] },
    { type: "READY", id: 0, serial: 9, revoked: users },
    { type: "ISSUE", id: 1, algorithm: "SHA-1", users },
    ...(["MD5", "SHA-1", "SHA-256"] as const).map((algorithm): Frame => ({
      type: "ISSUED",
      id: 2 ** 32 - 1,
      algorithm,
      results: [
        { status: "ok", credential: credential(ALGORITHM_SIZE[algorithm]) },
        { status: "error", code: "unavailable" },
        { status: "ok", credential: credential(ALGORITHM_SIZE[algorithm]) },
      ],
    })),
    { type: "VERIFY", id: 2, answers: [answer, { ...answer, qop: "auth-int", bodyHash: "00".repeat(32) }] },
    {
      type: "VERIFIED",
      id: 2,
      statuses: ["ok", "wrong", "malformed", "unavailable", "forbidden_realm"],
    },
    { type: "REVOKED", id: 0, serial: 12, users },
    { type: "REVOKED", id: 0, serial: 13, users: [] },
    { type: "PING", id: 0 },
    { type: "PONG", id: 5 },
    { type: "ERROR", id: 0, code: "bad_value", text: "nonce: is not UTF-8" },
    { type: "ERROR", id: 4, code: "busy", text: "" },
  ];
}
