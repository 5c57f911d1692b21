/** For tests: a thread of a race. It says "ready", is sent a Race, and answers with what it found wrong. */
import { prepareRace, type Race, Signal } from "./race_testing.ts";

const thread = self as unknown as Worker;
thread.onmessage = ({ data }: MessageEvent<Race>) => {
  const words = new Int32Array(data.shared);
  const run = prepareRace(data);
  Atomics.add(words, Signal.READY, 1);
  Atomics.wait(words, Signal.START, 0);
  thread.postMessage(run());
};
thread.postMessage("ready");
