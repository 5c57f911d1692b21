/** Published test vectors of the three hash functions and of HMAC over them. */
import type { ChainAlgorithm } from "./chain_hash.ts";

/** H(`text` repeated `repeat` times). */
export interface DigestVector {
  readonly text: string;
  readonly repeat: number;
  readonly digest: string;
}

/** HMAC(`key`, `data`) = `mac`. */
export interface HmacVector {
  readonly source: string;
  readonly key: Uint8Array;
  readonly data: Uint8Array;
  readonly mac: string;
}

const ALPHABET = "abcdefghijklmnopqrstuvwxyz";
const TWO_BLOCKS = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

const of = (text: string, digest: string, repeat = 1): DigestVector => ({ text, repeat, digest });

/** RFC 1321 §A.5; RFC 3174 §7.3 (TEST1 … TEST4); FIPS 180-2 §B.1 … §B.3 and the empty message. */
export const DIGEST_VECTORS: Readonly<Record<ChainAlgorithm, readonly DigestVector[]>> = {
  "MD5": [
    of("", "d41d8cd98f00b204e9800998ecf8427e"),
    of("a", "0cc175b9c0f1b6a831c399e269772661"),
    of("abc", "900150983cd24fb0d6963f7d28e17f72"),
    of("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    of(ALPHABET, "c3fcd3d76192e4007dfb496cca67e13b"),
    of(ALPHABET.toUpperCase() + ALPHABET + "0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
    of("1234567890", "57edf4a22be3c955ac49da2e2107b67a", 8),
  ],
  "SHA-1": [
    of("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    of("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    of(TWO_BLOCKS, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
    of("a", "34aa973cd4c4daa4f61eeb2bdbad27316534016f", 1_000_000),
    of("01234567", "dea356a2cddd90c7a7ecedc5ebb563934f460452", 80),
  ],
  "SHA-256": [
    of("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    of("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    of(TWO_BLOCKS, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
    of("a", "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", 1_000_000),
  ],
};

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const repeated = (byte: number, count: number): Uint8Array => new Uint8Array(count).fill(byte);
const counted = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => i + 1);

const JEFE = ascii("what do ya want for nothing?");
const LONG_KEY = ascii("Test Using Larger Than Block-Size Key - Hash Key First");
const LONG_KEY_AND_DATA = ascii("Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data");

/** The inputs of RFC 2202 §2 and §3 are the same but for the length of the keys in cases 1 and 3. */
function rfc2202(section: number, size: number, macs: readonly string[]): HmacVector[] {
  const inputs: readonly (readonly [Uint8Array, Uint8Array])[] = [
    [repeated(0x0b, size), ascii("Hi There")],
    [ascii("Jefe"), JEFE],
    [repeated(0xaa, size), repeated(0xdd, 50)],
    [counted(25), repeated(0xcd, 50)],
    [repeated(0x0c, size), ascii("Test With Truncation")],
    [repeated(0xaa, 80), LONG_KEY],
    [repeated(0xaa, 80), LONG_KEY_AND_DATA],
  ];
  return inputs.map(([key, data], i) => ({
    source: `RFC 2202 §${section} case ${i + 1}`,
    key,
    data,
    mac: macs[i],
  }));
}

/** RFC 2202; RFC 4231 §4.2 … §4.8 without the truncated case 5. */
export const HMAC_VECTORS: Readonly<Record<ChainAlgorithm, readonly HmacVector[]>> = {
  "MD5": rfc2202(2, 16, [
    "9294727a3638bb1c13f48ef8158bfc9d",
    "750c783e6ab0b503eaa86e310a5db738",
    "56be34521d144c88dbb8c733f0e8b3f6",
    "697eaf0aca3a3aea3a75164746ffaa79",
    "56461ef2342edc00f9bab995690efd4c",
    "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
    "6f630fad67cda0ee1fb1f562db3aa53e",
  ]),
  "SHA-1": rfc2202(3, 20, [
    "b617318655057264e28bc0b6fb378c8ef146be00",
    "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
    "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
    "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
    "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
    "aa4ae5e15272d00e95705637ce8a3b55ed402112",
    "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
  ]),
  "SHA-256": [
    {
      source: "RFC 4231 case 1",
      key: repeated(0x0b, 20),
      data: ascii("Hi There"),
      mac: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    },
    {
      source: "RFC 4231 case 2",
      key: ascii("Jefe"),
      data: JEFE,
      mac: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    },
    {
      source: "RFC 4231 case 3",
      key: repeated(0xaa, 20),
      data: repeated(0xdd, 50),
      mac: "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    },
    {
      source: "RFC 4231 case 4",
      key: counted(25),
      data: repeated(0xcd, 50),
      mac: "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    },
    {
      source: "RFC 4231 case 6",
      key: repeated(0xaa, 131),
      data: LONG_KEY,
      mac: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    },
    {
      source: "RFC 4231 case 7",
      key: repeated(0xaa, 131),
      data: ascii(
        "This is a test using a larger than block-size key and a larger than block-size data. " +
          "The key needs to be hashed before being used by the HMAC algorithm.",
      ),
      mac: "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    },
  ],
};
