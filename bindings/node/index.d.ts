/// <reference types="node" />

/** Settings of a pool. Numbers are bytes; an absent setting has its default. */
export interface PoolOptions {
  /**
   * Most bytes that the pool may map, including its caches; at least four slabs. Default: no limit.
   */
  limit?: number;
  /**
   * Bytes in a slab: a power of two from 4096 to 1 MiB. Default: 8192. `allocUnsafe` shares up to
   * half of it.
   */
  slabSize?: number;
  /** Whether memory is wiped when it is freed. Default: false. */
  zeroOnFree?: boolean;
  /** Whether `allocUnsafe` and `allocUnsafeSlow` zero too. Default: false. */
  zeroFill?: boolean;
  /**
   * Bytes of freed memory that are kept for reuse, at most `limit` or `budget`. Default: 64 MiB, or the limit
   * if it is less.
   */
  cacheLimit?: number;
  /**
   * The budget that the pool shares with others: at least four slabs, and at least `limit`.
   * Default: no budget.
   */
  budget?: Budget;
}

/** Settings of a request that waits for memory. */
export interface WaitOptions {
  /**
   * Rejects with `ERR_SLABUF_TIMEOUT` after this many milliseconds. Default: waits without a bound.
   */
  timeout?: number;
  /** Rejects with the signal's reason when it aborts. */
  signal?: AbortSignal;
}

/** Counters of one pool: bytes, and numbers of slabs. */
export interface PoolUsage {
  /** Bytes mapped, including caches and the pool's own headers. */
  external: number;
  /** Bytes of slabs that are not empty, plus the lengths of live large buffers. */
  arrayBuffers: number;
  /** Bytes of slots in live buffers and shared slabs, plus the lengths of live large buffers. */
  inUse: number;
  /** Resident bytes kept for reuse. */
  cached: number;
  /** Slabs with no slot in use. */
  slabsEmpty: number;
  /** Slabs with some slots in use. */
  slabsPartial: number;
  /** Slabs with all slots in use. */
  slabsFull: number;
  /** Lengths of live large buffers. */
  largeLive: number;
  /** Resident bytes of freed mappings kept for reuse. */
  largeCached: number;
  /** The most bytes that were mapped at a time. */
  externalPeak: number;
  /** Requests that wait for memory now. */
  waiters: number;
  /** Requests that the limit, the budget or the system refused. */
  refused: number;
  /** Requests that waited until their time ended. */
  timedOut: number;
}

/** Counters of one budget: bytes, and numbers of pools and requests. */
export interface BudgetUsage {
  /** The budget in bytes. */
  limit: number;
  /** Bytes that its pools have mapped: the sum of their `external`. */
  mapped: number;
  /** The most bytes that its pools had mapped at a time. */
  peak: number;
  /** Its pools, including closed ones that still have buffers. */
  pools: number;
  /** Requests that wait for memory of its pools now. */
  waiters: number;
  /** Requests that it refused. */
  refused: number;
  /** Requests of its pools that waited until their time ended. */
  timedOut: number;
}

/** Counters of the process, over all pools and all workers, in bytes. */
export interface MemoryUsage {
  /** Resident memory of the process. */
  rss: number;
  /** Bytes that the `malloc` heap has from the system; not V8's heap. */
  heapTotal: number;
  /** Bytes in use in that heap. */
  heapUsed: number;
  /** Bytes mapped by all pools. */
  external: number;
  /** The part of `external` that buffers hold. */
  arrayBuffers: number;
  /**
   * The part of `arrayBuffers` whose workers ended before it could be freed safely. 0 where backing
   * stores own the memory.
   */
  leaked: number;
}

/** The functions that a pool has in common with the module, which has the global pool. */
export interface Allocator {
  /**
   * Allocates a Buffer of zeros, or filled with `fill`, with an ArrayBuffer of its own.
   *
   * Errors have a `code`: `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_SLABUF_LIMIT`,
   * `ERR_SLABUF_BUDGET`, `ERR_SLABUF_OUT_OF_MEMORY`.
   */
  alloc(length: number, fill?: string | Uint8Array | number, encoding?: BufferEncoding): Buffer;
  /**
   * Allocates a Buffer whose bytes may be left over from earlier buffers. Small ones share an
   * ArrayBuffer.
   */
  allocUnsafe(length: number): Buffer;
  /** Allocates like `allocUnsafe`, with an ArrayBuffer of its own, for buffers that live long. */
  allocUnsafeSlow(length: number): Buffer;
  /** Encodes a string. */
  from(string: string, encoding?: BufferEncoding): Buffer;
  /** Returns a view of an ArrayBuffer's memory, which is not the pool's. */
  from(arrayBuffer: ArrayBuffer | SharedArrayBuffer, byteOffset?: number, length?: number): Buffer;
  /** Copies bytes. */
  from(bytes: Uint8Array | readonly number[] | ArrayLike<number>): Buffer;
  /** Copies what an object converts to, as `Buffer.from` does. */
  from(
    object: { valueOf(): string | object } | { [Symbol.toPrimitive](hint: 'string'): string },
    encodingOrOffset?: BufferEncoding | number,
    length?: number,
  ): Buffer;
  /** Copies the parts into one Buffer of `totalLength`: cut, or with zeros at the end. */
  concat(list: readonly Uint8Array[], totalLength?: number): Buffer;
  /** Returns the pool's counters. */
  usage(): PoolUsage;
  /** Returns unused memory to the system, and the number of bytes that this was. */
  trim(): number;
}

/** An allocator with memory, counters and a limit of its own. */
export interface Pool extends Allocator {
  /** The limit in bytes; Infinity without a limit. */
  readonly limit: number;
  /**
   * Bytes that could still be allocated if all caches were released: the smaller of what the limit
   * and what the budget leaves, Infinity without both. A request for all of them may fail.
   */
  readonly available: number;
  /**
   * Allocates a Buffer of zeros, and waits while the limit or the budget leaves no room. Requests
   * are served in their order, those of all pools of a budget too.
   *
   * Rejects at once with `ERR_SLABUF_LIMIT` or `ERR_SLABUF_BUDGET` if the length can never fit.
   */
  allocAsync(length: number, options?: WaitOptions): Promise<Buffer>;
  /** Allocates like `allocUnsafeSlow`, and waits like `allocAsync`. */
  allocUnsafeAsync(length: number, options?: WaitOptions): Promise<Buffer>;
  /** Waits for at most `timeout` milliseconds: `allocAsync(length, { timeout })`. */
  allocTimeout(length: number, timeout: number): Promise<Buffer>;
  /** Waits for at most `timeout` milliseconds: `allocUnsafeAsync(length, { timeout })`. */
  allocUnsafeTimeout(length: number, timeout: number): Promise<Buffer>;
  /**
   * Closes the pool: later calls throw `ERR_SLABUF_CLOSED`, and waiting requests reject with it.
   *
   * Its buffers stay valid. Also `Symbol.dispose`, where Node has it.
   */
  close(): void;
}

/**
 * A limit that several pools share, in addition to the `limit` that each may have. It belongs to
 * the thread that created it.
 *
 * Before the budget refuses, it releases the caches of all its pools. The error has the code
 * `ERR_SLABUF_BUDGET`.
 */
export class Budget implements Disposable {
  /** Creates a budget. Its least size depends on the slabs of each pool, so `pool` checks it. */
  constructor(bytes: number);
  /** Returns the budget's counters. */
  usage(): BudgetUsage;
  /** Returns unused memory of all its pools to the system, and the number of bytes that this was. */
  trim(): number;
  /**
   * Closes the budget: later calls, and `pool`, throw `ERR_SLABUF_CLOSED`. It still holds for its
   * pools. Also `Symbol.dispose`, where Node has it.
   */
  close(): void;
  [Symbol.dispose](): void;
}

/** Creates a pool. A bad setting is a RangeError with the code `ERR_SLABUF_CONFIG`. */
export function pool(options?: PoolOptions): Pool & Disposable;

/** `Allocator.alloc` of the global pool, which has no limit. */
export const alloc: Allocator['alloc'];
/** `Allocator.allocUnsafe` of the global pool. */
export const allocUnsafe: Allocator['allocUnsafe'];
/** `Allocator.allocUnsafeSlow` of the global pool. */
export const allocUnsafeSlow: Allocator['allocUnsafeSlow'];
/** `Allocator.from` of the global pool. */
export const from: Allocator['from'];
/** `Allocator.concat` of the global pool. */
export const concat: Allocator['concat'];
/** `Allocator.usage` of the global pool. */
export const usage: Allocator['usage'];
/** `Allocator.trim` of the global pool. */
export const trim: Allocator['trim'];
/** Returns unused memory of all pools to the system, and the number of bytes that this was. */
export function trimAll(): number;
/** Returns the counters of the process. */
export function memoryUsage(): MemoryUsage;
