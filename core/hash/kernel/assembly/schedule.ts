// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
/** Many walks and many runs side by side. Without the SIMD feature they go one after the other. */
import { MD5, RUN_BLOCK, RUN_BLOCKS, RUN_SIZE, RUN_STATE, SHA1, WALK_LINKS, WALK_SIZE } from "./layout.ts";
import {
  MD5_LINKS_LANES,
  MD5_RUN_LANES,
  md5LinksLanes,
  md5RunLanes,
  SHA1_LINKS_LANES,
  SHA1_RUN_LANES,
  sha1LinksLanes,
  sha1RunLanes,
  SHA256_LINKS_LANES,
  SHA256_RUN_LANES,
  sha256LinksLanes,
  sha256RunLanes,
} from "./rounds_lanes.ts";
import { md5Links, md5Run, sha1Links, sha1Run, sha256Links, sha256Run } from "./rounds_scalar.ts";

const BLOCK_SIZE: u32 = 64;
const MAX_LANES: i32 = 8;
/** Fewer records than this are quicker one after the other. */
const FEWEST_FOR_LANES: i32 = 3;
/** Addresses of the records that are in the lanes just now. */
const lanes: usize = memory.data(MAX_LANES * 4);
/** Works instead of a record in a lane that has none. */
const idle: usize = memory.data(WALK_SIZE);
const idleState: usize = memory.data(32);

export function links(algorithm: i32, record: usize, count: u32): void {
  if (algorithm == MD5) md5Links(record, count);
  else if (algorithm == SHA1) sha1Links(record, count);
  else sha256Links(record, count);
}

function linksLanes(algorithm: i32, count: u32): void {
  if (algorithm == MD5) md5LinksLanes(lanes, count);
  else if (algorithm == SHA1) sha1LinksLanes(lanes, count);
  else sha256LinksLanes(lanes, count);
}

export function run(algorithm: i32, record: usize, count: u32): void {
  if (algorithm == MD5) md5Run(record, count);
  else if (algorithm == SHA1) sha1Run(record, count);
  else sha256Run(record, count);
}

function runLanes(algorithm: i32, count: u32): void {
  if (algorithm == MD5) md5RunLanes(lanes, count);
  else if (algorithm == SHA1) sha1RunLanes(lanes, count);
  else sha256RunLanes(lanes, count);
}

/** The record in a lane. */
function inLane(lane: i32): usize {
  return load<usize>(lanes + 4 * lane);
}

/** Fills free lanes from the first on with records that have turns to go; `count` says where that stands in one. */
function refill(active: i32, width: i32, next: usize, end: usize, size: i32, count: i32): i32 {
  for (; active < width && next < end; next += size) {
    if (load<u32>(next + count) != 0) store<usize>(lanes + 4 * active++, next);
  }
  following = next;
  return active;
}
/** Where {@linkcode refill} stopped: the first record that it has not looked at. */
let following: usize = 0;

/** How many turns all lanes have to go at least. */
function leastTurns(active: i32, count: i32): u32 {
  let least: u32 = u32.MAX_VALUE;
  for (let lane = 0; lane < active; lane++) least = min(least, load<u32>(inLane(lane) + count));
  return least;
}

/** Takes `turns` off every lane's record and frees the lanes whose records are done. */
function settle(active: i32, turns: u32, count: i32): i32 {
  for (let lane = active - 1; lane >= 0; lane--) {
    const record = inLane(lane);
    const left = load<u32>(record + count) - turns;
    store<u32>(record + count, left);
    if (left == 0) store<usize>(lanes + 4 * lane, inLane(--active));
  }
  return active;
}

function fillIdle(active: i32, width: i32): void {
  for (let lane = active; lane < width; lane++) store<usize>(lanes + 4 * lane, idle);
}

function walkToEnd(algorithm: i32, record: usize): void {
  links(algorithm, record, load<u32>(record, WALK_LINKS));
  store<u32>(record, 0, WALK_LINKS);
}

/** Every walk to its end, in place. A lane takes the next record as soon as its own has come to its end. */
export function walk(algorithm: i32, records: usize, count: i32): void {
  const end = records + count * WALK_SIZE;
  if (!ASC_FEATURE_SIMD) {
    for (let record = records; record < end; record += WALK_SIZE) walkToEnd(algorithm, record);
    return;
  }
  const width = algorithm == MD5
    ? MD5_LINKS_LANES
    : algorithm == SHA1
    ? SHA1_LINKS_LANES
    : SHA256_LINKS_LANES;
  let active = refill(0, width, records, end, WALK_SIZE, WALK_LINKS);
  while (active >= FEWEST_FOR_LANES) {
    fillIdle(active, width);
    const turns = leastTurns(active, WALK_LINKS);
    linksLanes(algorithm, turns);
    active = settle(active, turns, WALK_LINKS);
    active = refill(active, width, following, end, WALK_SIZE, WALK_LINKS);
  }
  for (let lane = 0; lane < active; lane++) walkToEnd(algorithm, inLane(lane));
}

/** Every run to its end; states are changed in place, records used up. Lanes are refilled as in {@linkcode walk}. */
export function runs(algorithm: i32, records: usize, count: i32): void {
  const end = records + count * RUN_SIZE;
  if (!ASC_FEATURE_SIMD) {
    for (let record = records; record < end; record += RUN_SIZE) {
      run(algorithm, record, load<u32>(record, RUN_BLOCKS));
    }
    return;
  }
  const width = algorithm == MD5 ? MD5_RUN_LANES : algorithm == SHA1 ? SHA1_RUN_LANES : SHA256_RUN_LANES;
  let active = refill(0, width, records, end, RUN_SIZE, RUN_BLOCKS);
  store<usize>(idle, idleState, RUN_STATE);
  while (active >= FEWEST_FOR_LANES) {
    fillIdle(active, width);
    const turns = leastTurns(active, RUN_BLOCKS);
    // A lane without a run has a state of its own, but reads along with the first.
    store<usize>(idle, load<usize>(inLane(0), RUN_BLOCK), RUN_BLOCK);
    runLanes(algorithm, turns);
    for (let lane = 0; lane < active; lane++) {
      const record = inLane(lane);
      store<usize>(record, load<usize>(record, RUN_BLOCK) + turns * BLOCK_SIZE, RUN_BLOCK);
    }
    active = settle(active, turns, RUN_BLOCKS);
    active = refill(active, width, following, end, RUN_SIZE, RUN_BLOCKS);
  }
  for (let lane = 0; lane < active; lane++) {
    const record = inLane(lane);
    run(algorithm, record, load<u32>(record, RUN_BLOCKS));
  }
}
