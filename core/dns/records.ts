/** What is asked of the Domain Name System: RFC 1035, 2782 (SRV), 3403 (NAPTR), 3596 (AAAA). */

/** RFC 2782. */
export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** A host name; "." or "": the service is not offered. */
  readonly target: string;
}

/** RFC 3403 §4.1. */
export interface NaptrRecord {
  readonly order: number;
  readonly preference: number;
  readonly flags: string;
  readonly services: string;
  readonly regexp: string;
  readonly replacement: string;
}

/** The records of each type. */
export interface DnsRecords {
  /** An IPv4 address. */
  readonly A: string;
  /** An IPv6 address. */
  readonly AAAA: string;
  readonly SRV: SrvRecord;
  readonly NAPTR: NaptrRecord;
}

/** The types in use. */
export type DnsType = keyof DnsRecords;

/** What there is of a name. */
export interface DnsAnswer<T> {
  /** None: the name does not exist, or has none of this type. */
  readonly records: readonly T[];
  /** How long this is good, s; with no records that of the zone's SOA (RFC 2308 §5). */
  readonly ttl: number;
}

/** A way to the Domain Name System. */
export interface DnsSource {
  /** @throws {Error} (rejects) with one line when nobody answers, which says nothing about the name */
  query<T extends DnsType>(name: string, type: T): Promise<DnsAnswer<DnsRecords[T]>>;
}
