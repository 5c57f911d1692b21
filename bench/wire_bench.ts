/** Frames of the DBclient protocol: encode and decode. Run: deno bench -A bench/wire_bench.ts */
import { decodeFrame, encodeFrame, type Frame, FrameReader, seededRandom } from "../mod.ts";

const random = seededRandom(1);
const users = Array.from({ length: 100 }, (_, i) => ({ username: `user${i}`, realm: "example.com" }));
const frames: Record<string, Frame> = {
  "ISSUE, 1 user": { type: "ISSUE", id: 1, algorithm: "SHA-1", users: users.slice(0, 1) },
  "ISSUE, 100 users": { type: "ISSUE", id: 1, algorithm: "SHA-1", users },
  "ISSUED, 100 users": {
    type: "ISSUED",
    id: 1,
    algorithm: "SHA-1",
    results: users.map(() => ({
      status: "ok",
      credential: {
        nonce: random.bytes(16),
        n: 10,
        anchor: random.bytes(20),
        key: random.bytes(20),
        ttl: 3600,
        serial: 0,
      },
    })),
  },
};
const reader = new FrameReader();
for (const [name, frame] of Object.entries(frames)) {
  const bytes = encodeFrame(frame);
  Deno.bench(`encode ${name} (${bytes.length} bytes)`, { group: name }, () => {
    encodeFrame(frame);
  });
  Deno.bench(`decode ${name}`, { group: name }, () => {
    decodeFrame(bytes, 4, bytes.length);
  });
  Deno.bench(`FrameReader ${name}`, { group: name }, () => {
    reader.push(bytes);
  });
}
