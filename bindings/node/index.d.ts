/// <reference types="node" />

/** Settings of a pool. Numbers are bytes; what is absent has its default. */
export interface PoolOptions {
  /** The most that the pool may map, caches included; at least four slabs. Default: none. */
  limit?: number;
  /** A slab: a power of two from 4096 to 1 MiB. Default: 8192. Buffers up to half of it share slabs. */
  slabSize?: number;
  /** Whether memory is wiped when it is given back. Default: false. */
  zeroOnFree?: boolean;
  /** Whether `allocUnsafe` and `allocUnsafeSlow` zero too. Default: false. */
  zeroFill?: boolean;
  /** How much freed memory is kept for reuse, at most `limit`. Default: 64 MiB, or the limit if that is less. */
  cacheLimit?: number;
}

/** What one pool holds. Bytes, but for the slabs, which are counted. */
export interface PoolUsage {
  /** Mapped, caches and the pool's own headers included. */
  external: number;
  /** Slabs that are not empty, plus the lengths of live large buffers. */
  arrayBuffers: number;
  /** Slots that are with live buffers or shared slabs, plus the lengths of live large buffers. */
  inUse: number;
  /** Kept for reuse. */
  cached: number;
  slabsEmpty: number;
  slabsPartial: number;
  slabsFull: number;
  /** Lengths of live large buffers. */
  largeLive: number;
  /** Freed mappings kept for reuse. */
  largeCached: number;
}

/** What the process holds, all pools and all workers together, in bytes. */
export interface MemoryUsage {
  /** Resident memory of the process. */
  rss: number;
  /** What the process' `malloc` heap has from the system; not V8's heap. */
  heapTotal: number;
  /** In use in that heap. */
  heapUsed: number;
  /** Mapped by all pools. */
  external: number;
  /** Of it, what buffers hold. */
  arrayBuffers: number;
}

/** An allocator with memory, counters and a limit of its own. */
export interface Pool {
  /**
   * A Buffer of `length` zeros.
   *
   * Errors have a `code`: `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_SLABUF_LIMIT`, `ERR_SLABUF_OUT_OF_MEMORY`.
   */
  alloc(length: number): Buffer;
  /** A Buffer of `length` bytes that may be left over from earlier buffers: write them all. */
  allocUnsafe(length: number): Buffer;
  /** The same, with an ArrayBuffer of its own however small: for what lives long. */
  allocUnsafeSlow(length: number): Buffer;
  /** The pool's figures. */
  usage(): PoolUsage;
  /** Gives what no buffer uses back to the system, and returns how many bytes that was. */
  trim(): number;
}

/** A pool of its own. A bad setting is a RangeError with the code `ERR_SLABUF_CONFIG`. */
export function pool(options?: PoolOptions): Pool;
/** `Pool.alloc` on the global pool, which has no limit. */
export function alloc(length: number): Buffer;
/** `Pool.allocUnsafe` on the global pool. */
export function allocUnsafe(length: number): Buffer;
/** `Pool.allocUnsafeSlow` on the global pool. */
export function allocUnsafeSlow(length: number): Buffer;
/** `Pool.usage` of the global pool. */
export function usage(): PoolUsage;
/** `Pool.trim` on the global pool. */
export function trim(): number;
/** What the process holds. */
export function memoryUsage(): MemoryUsage;
