//! `serde`: JSON (without byte strings), CBOR (with them), and deserializers that return wrong
//! length hints.

mod common;

use ciborium::Value;
use common::{MIB, SLAB, assert_all_home, fresh_pool, stamp};
use serde::de::value::{
    BytesDeserializer, Error as ValueError, SeqDeserializer, StrDeserializer, StringDeserializer,
};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Visitor};
use slabuf::{Buffer, Pool, memory_usage};

fn of_stamp(len: usize) -> Buffer {
    let mut buffer = Buffer::alloc(len);
    stamp(&mut buffer, len as u64);
    buffer
}

#[test]
fn buffers_go_through_json_as_numbers() {
    for len in [0, 1, 100, SLAB, SLAB + 1] {
        let buffer = of_stamp(len);
        let json = serde_json::to_string(&buffer).unwrap();
        assert_eq!(json, serde_json::to_string(&buffer.to_vec()).unwrap());
        assert_eq!(serde_json::from_str::<Buffer>(&json).unwrap(), buffer);
    }
    assert_eq!(serde_json::from_str::<Buffer>("\"hé\"").unwrap(), "hé");
    for bad in ["[256]", "[-1]", "[1.5]", "{}", "null", "[1,", "7"] {
        assert!(serde_json::from_str::<Buffer>(bad).is_err(), "{bad}");
    }
}

#[test]
fn buffers_go_through_cbor_as_a_byte_string() {
    for len in [0, 1, 23, 24, 100, SLAB, SLAB + 1, MIB] {
        let buffer = of_stamp(len);
        let mut cbor = Vec::new();
        ciborium::into_writer(&buffer, &mut cbor).unwrap();
        let value: Value = ciborium::from_reader(&cbor[..]).unwrap();
        assert_eq!(value, Value::Bytes(buffer.to_vec()));
        let back: Buffer = ciborium::from_reader(&cbor[..]).unwrap();
        assert_eq!(back, buffer);
    }
}

#[test]
fn every_kind_of_input_is_visited() {
    let bytes = BytesDeserializer::<ValueError>::new(b"hi");
    assert_eq!(Buffer::deserialize(bytes).unwrap(), "hi");
    let text = StrDeserializer::<ValueError>::new("hi");
    assert_eq!(Buffer::deserialize(text).unwrap(), "hi");
    let text = StringDeserializer::<ValueError>::new("hi".into());
    assert_eq!(Buffer::deserialize(text).unwrap(), "hi");
    let seq = SeqDeserializer::<_, ValueError>::new([104_u8, 105].into_iter());
    assert_eq!(Buffer::deserialize(seq).unwrap(), "hi");
    assert_eq!(Buffer::deserialize(Owned(b"hi".to_vec())).unwrap(), "hi");
}

/// Passes an owned vector, like formats that assemble the bytes.
struct Owned(Vec<u8>);

impl<'de> Deserializer<'de> for Owned {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_byte_buf(self.0)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Claims this number of bytes, and has three.
struct Boasting(usize, std::vec::IntoIter<u8>);

impl Iterator for Boasting {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        self.1.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0, Some(self.0))
    }
}

#[test]
fn a_boast_of_many_bytes_allocates_few() {
    for boast in [65_536, 1 << 30, usize::MAX] {
        let pool = fresh_pool();
        let source = Boasting(boast, vec![1, 2, 3].into_iter());
        let mut seq = SeqDeserializer::<_, ValueError>::new(source);
        let buffer = pool.deserialize(AnySeq(&mut seq)).unwrap();
        assert_eq!(buffer, [1, 2, 3]);
        assert!(buffer.capacity() <= 65_536, "{}", buffer.capacity());
        drop(buffer);
        assert_all_home(&pool);
    }
}

/// Visits the sequence without checking the length hint afterwards.
struct AnySeq<'a>(&'a mut SeqDeserializer<Boasting, ValueError>);

impl<'de> Deserializer<'de> for AnySeq<'_> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_seq(self.0)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[test]
fn a_pool_s_limit_stops_an_input_and_loses_nothing() {
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let endless = || std::iter::repeat_n(7_u8, 4 * MIB);
    let seq = SeqDeserializer::<_, ValueError>::new(endless());
    let error = pool.deserialize(seq).unwrap_err();
    assert!(error.to_string().contains("limit"), "{error}");
    let bytes: Vec<u8> = endless().collect();
    let error = pool
        .deserialize(BytesDeserializer::<ValueError>::new(&bytes))
        .unwrap_err();
    assert!(error.to_string().contains("1048576"), "{error}");
    assert_all_home(&pool);
    let small = pool.deserialize(BytesDeserializer::<ValueError>::new(b"hi"));
    assert_eq!(small.unwrap(), "hi");
}

#[test]
fn a_cbor_length_that_is_a_lie_is_an_error() {
    // A byte string that claims 2^62 bytes and contains three.
    let mut lie = vec![0x5B];
    lie.extend((1_u64 << 62).to_be_bytes());
    lie.extend([1, 2, 3]);
    assert!(ciborium::from_reader::<Buffer, _>(&lie[..]).is_err());
    // An array that claims 2^62 numbers.
    lie[0] = 0x9B;
    assert!(ciborium::from_reader::<Buffer, _>(&lie[..]).is_err());
}

#[test]
fn the_counters_have_their_names() {
    let pool = fresh_pool();
    let _held = (pool.alloc(100), pool.alloc(MIB));
    let usage = pool.usage();
    let json = serde_json::to_value(usage).unwrap();
    let expected = serde_json::json!({
        "external": usage.external,
        "array_buffers": usage.array_buffers,
        "in_use": usage.in_use,
        "cached": usage.cached,
        "slabs_empty": usage.slabs_empty,
        "slabs_partial": usage.slabs_partial,
        "slabs_full": usage.slabs_full,
        "large_live": usage.large_live,
        "large_cached": usage.large_cached,
        "external_peak": usage.external_peak,
        "waiters": usage.waiters,
        "refused": usage.refused,
        "timed_out": usage.timed_out,
    });
    assert_eq!(json, expected);
    assert!(usage.large_live == MIB as u64 && usage.array_buffers > MIB as u64);

    let usage = memory_usage();
    let json = serde_json::to_value(usage).unwrap();
    let expected = serde_json::json!({
        "rss": usage.rss,
        "heap_total": usage.heap_total,
        "heap_used": usage.heap_used,
        "external": usage.external,
        "array_buffers": usage.array_buffers,
    });
    assert_eq!(json, expected);
}
