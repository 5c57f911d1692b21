import { assertEquals } from "@std/assert";
import { CountsOfWorkers } from "./counts.ts";

Deno.test("counts: of all workers together; what is gone counts on, but for what is present only; the cache once", () => {
  const counts = new CountsOfWorkers(2);
  const worker = (received: number, transactions: number) => ({
    received,
    transactions,
    users: 7,
    usersVerified: 5,
  });
  const own = { users: 8, usersVerified: 6, preloaded: 3 };
  assertEquals(counts.sum(own), { ...own, workers_replaced: 0, worker1_received: 0, worker2_received: 0 });
  counts.report(0, worker(10, 1));
  counts.report(1, worker(20, 2));
  counts.report(1, worker(30, 4));
  const sum = { ...own, received: 40, transactions: 5, workers_replaced: 0 };
  assertEquals(counts.sum(own), { ...sum, worker1_received: 10, worker2_received: 30 });
  counts.replace(1);
  assertEquals(counts.sum(own), {
    ...sum,
    transactions: 1,
    workers_replaced: 1,
    worker1_received: 10,
    worker2_received: 0,
  });
  counts.report(1, worker(1, 0));
  assertEquals(counts.sum(own).received, 41);
});

Deno.test("counts: connections, transactions of a kind and destinations end with their worker", () => {
  const counts = new CountsOfWorkers(2);
  const present = {
    tcp_connections: 5,
    connections_tls: 2,
    transactions_invite_server: 3,
    dispatcher_probing: 1,
  };
  counts.report(0, { received: 1, tcp_accepted: 9, ...present });
  counts.report(1, { received: 2, tcp_accepted: 1, ...present });
  counts.replace(0);
  const { received, tcp_accepted, tcp_connections, connections_tls, transactions_invite_server } = counts.sum(
    {},
  );
  assertEquals([received, tcp_accepted, tcp_connections, connections_tls, transactions_invite_server], [
    3,
    10,
    5,
    2,
    3,
  ]);
});
