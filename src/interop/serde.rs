//! `Serialize` for counters and buffers, `Deserialize` for buffers.

use std::fmt;

use ::serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use ::serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::buffer::Buffer;
use crate::error::AllocError;
use crate::pool::Pool;
use crate::pool::usage::{MemoryUsage, PoolUsage};

/// The most bytes to allocate because of a sequence's length hint, which the input may have forged.
const TRUSTED_HINT: usize = 64 << 10;

/// Serializes the counters as a structure, in bytes, under the fields' names.
///
/// ```
/// let json = serde_json::to_value(slabuf::memory_usage())?;
/// assert!(json["external"].as_u64() >= json["array_buffers"].as_u64());
/// # Ok::<(), serde_json::Error>(())
/// ```
impl Serialize for MemoryUsage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Destructured by name, so that no field is forgotten.
        let Self {
            rss,
            heap_total,
            heap_used,
            external,
            array_buffers,
        } = self;
        let mut fields = serializer.serialize_struct("MemoryUsage", 5)?;
        fields.serialize_field("rss", rss)?;
        fields.serialize_field("heap_total", heap_total)?;
        fields.serialize_field("heap_used", heap_used)?;
        fields.serialize_field("external", external)?;
        fields.serialize_field("array_buffers", array_buffers)?;
        fields.end()
    }
}

/// Serializes the counters as a structure, under the fields' names.
///
/// ```
/// let pool = slabuf::Pool::builder().build()?;
/// let buffer = pool.alloc(1 << 20);
/// let json = serde_json::to_value(pool.usage()).unwrap();
/// assert_eq!(json["large_live"], 1 << 20);
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
impl Serialize for PoolUsage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            external,
            array_buffers,
            in_use,
            cached,
            slabs_empty,
            slabs_partial,
            slabs_full,
            large_live,
            large_cached,
            external_peak,
            waiters,
            refused,
            timed_out,
        } = self;
        let mut fields = serializer.serialize_struct("PoolUsage", 13)?;
        fields.serialize_field("external", external)?;
        fields.serialize_field("array_buffers", array_buffers)?;
        fields.serialize_field("in_use", in_use)?;
        fields.serialize_field("cached", cached)?;
        fields.serialize_field("slabs_empty", slabs_empty)?;
        fields.serialize_field("slabs_partial", slabs_partial)?;
        fields.serialize_field("slabs_full", slabs_full)?;
        fields.serialize_field("large_live", large_live)?;
        fields.serialize_field("large_cached", large_cached)?;
        fields.serialize_field("external_peak", external_peak)?;
        fields.serialize_field("waiters", waiters)?;
        fields.serialize_field("refused", refused)?;
        fields.serialize_field("timed_out", timed_out)?;
        fields.end()
    }
}

/// Serializes the contents as a byte string. Formats without byte strings write a sequence of
/// numbers.
impl Serialize for Buffer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

/// Deserializes into a buffer of the global pool, from a byte string, a sequence of numbers below
/// 256, or a text (its UTF-8). To bound how much memory an input can make the program allocate,
/// deserialize with a pool that has a limit: see
/// [the seed](Pool#impl-DeserializeSeed%3C'de%3E-for-%26Pool).
///
/// ```
/// use slabuf::Buffer;
///
/// let buffer: Buffer = serde_json::from_str("[104, 105]")?;
/// assert_eq!(buffer, "hi");
/// # Ok::<(), serde_json::Error>(())
/// ```
impl<'de> ::serde::Deserialize<'de> for Buffer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Pool::global().deserialize(deserializer)
    }
}

/// Deserializes into a buffer of this pool, from a byte string, a sequence of numbers below 256, or
/// a text (its UTF-8).
///
/// ```
/// use serde::de::DeserializeSeed;
/// use slabuf::Pool;
///
/// let pool = Pool::builder().limit(1 << 20).build()?;
/// let mut json = serde_json::Deserializer::from_str("[104, 105]");
/// let buffer = pool.deserialize(&mut json).unwrap();
/// assert_eq!(buffer, "hi");
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
///
/// # Errors
///
/// The format's error, with the message of the [`AllocError`], if the memory cannot be allocated.
/// For a length that the input announces, at most 64 KiB are allocated in advance; beyond that the
/// buffer grows with the bytes that arrive.
impl<'de> DeserializeSeed<'de> for &Pool {
    type Value = Buffer;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Buffer, D::Error> {
        deserializer.deserialize_byte_buf(Bytes(self))
    }
}

struct Bytes<'a>(&'a Pool);

impl Bytes<'_> {
    fn copy<E: ::serde::de::Error>(&self, bytes: &[u8]) -> Result<Buffer, E> {
        self.0.try_copy_from_slice(bytes).map_err(E::custom)
    }
}

impl<'de> Visitor<'de> for Bytes<'_> {
    type Value = Buffer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: ::serde::de::Error>(self, bytes: &[u8]) -> Result<Buffer, E> {
        self.copy(bytes)
    }

    fn visit_byte_buf<E: ::serde::de::Error>(self, bytes: Vec<u8>) -> Result<Buffer, E> {
        self.copy(&bytes)
    }

    fn visit_str<E: ::serde::de::Error>(self, text: &str) -> Result<Buffer, E> {
        self.copy(text.as_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Buffer, A::Error> {
        let refused = |error: AllocError| A::Error::custom(error);
        let hint = bytes.size_hint().unwrap_or(0).min(TRUSTED_HINT);
        let mut buffer = self.0.try_with_capacity(hint).map_err(refused)?;
        while let Some(byte) = bytes.next_element::<u8>()? {
            buffer.try_reserve(1).map_err(refused)?;
            buffer.extend_from_slice(&[byte]);
        }
        Ok(buffer)
    }
}
