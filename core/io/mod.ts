/** Sockets and clocks: what the programs use to run the pure parts of core/. Importing it does no I/O. */
export * from "./address_table.ts";
export * from "./clock_io.ts";
export * from "./datagram.ts";
export * from "./datagram_io.ts";
export * from "./dbclient_link_io.ts";
export * from "./dbclient_link_types.ts";
export * from "./dns_io.ts";
export * from "./hmac_io.ts";
export * from "./shared_clock_io.ts";
export * from "./shared_socket_io.ts";
export * from "./stream_transport.ts";
export * from "./stream_transport_io.ts";
export * from "./stream_writer_io.ts";
export * from "./turn_io.ts";
export * from "./warmup_file_io.ts";
export * from "./runtime_flags.ts";
