//! Owners of pieces are foreign code: their destructors may panic, and may use the outbox.

use crate::scripted::{Answer, Scripted};
use bytes::Bytes;
use slabuf::{Outbox, OutboxError};
use std::io::{self, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Bytes whose destructor panics.
struct Panics(&'static [u8]);

impl AsRef<[u8]> for Panics {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        // Without the hook, whose message says nothing here.
        resume_unwind(Box::new("an owner's"));
    }
}

fn panics(bytes: &'static [u8]) -> Bytes {
    Bytes::from_owner(Panics(bytes))
}

#[test]
fn an_owner_that_panics_leaves_the_count_right() {
    // All at once, and the panicking piece in the middle of what one write takes.
    for first in [Answer::Take(9), Answer::Take(7)] {
        let writer = Scripted::new(&[first]);
        let outbox = Outbox::new(writer.clone());
        outbox.cork();
        outbox.write("abc").unwrap();
        outbox.write(panics(b"def")).unwrap();
        outbox.write("ghi").unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| outbox.uncork())).is_err());
        let left = if first == Answer::Take(9) { 0 } else { 2 };
        assert_eq!(outbox.queued(), left);
        assert_eq!(outbox.queued_pieces(), left.min(1));
        outbox.drain_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(outbox.queued(), 0);
        assert_eq!(writer.written(), b"abcdefghi");
        assert!(outbox.write("jkl").unwrap());
        assert_eq!(writer.written(), b"abcdefghijkl");
    }
}

#[test]
fn an_empty_piece_whose_owner_panics_changes_nothing() {
    let writer = Scripted::default();
    let outbox = Outbox::new(writer.clone());
    assert!(catch_unwind(AssertUnwindSafe(|| outbox.write(panics(b"")))).is_err());
    assert_eq!((outbox.queued(), outbox.queued_pieces()), (0, 0));
    assert!(outbox.write("abc").unwrap());
    assert_eq!(writer.written(), b"abc");
}

/// Looks at the outbox when it is dropped.
struct Looks(Arc<OnceLock<Outbox<Scripted>>>);

impl AsRef<[u8]> for Looks {
    fn as_ref(&self) -> &[u8] {
        b""
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.get().unwrap().write("from the owner").unwrap();
    }
}

#[test]
fn an_owner_may_use_the_outbox_that_drops_it() {
    let writer = Scripted::default();
    let outbox = Arc::new(OnceLock::new());
    assert!(outbox.set(Outbox::new(writer.clone())).is_ok());
    let empty = Bytes::from_owner(Looks(outbox.clone()));
    assert!(outbox.get().unwrap().write(empty).unwrap());
    assert_eq!(writer.written(), b"from the owner");
}

/// Would block at first, then panics once, then takes everything.
struct PanicsOnce(u32, Vec<u8>);

impl Write for PanicsOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += 1;
        match self.0 {
            1 => Err(ErrorKind::WouldBlock.into()),
            2 => resume_unwind(Box::new("a writer's")),
            _ => self.1.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As documented: what was queued stays, the piece that found no room is dropped.
#[test]
fn a_writer_that_panics_loses_nothing_that_is_queued() -> Result<(), OutboxError> {
    let outbox = Outbox::builder().limit(4).build(PanicsOnce(0, Vec::new()));
    outbox.write("abcd")?;
    let waits = || outbox.write_timeout("efgh", Duration::from_secs(60));
    assert!(catch_unwind(AssertUnwindSafe(waits)).is_err());
    assert_eq!((outbox.queued(), outbox.queued_pieces()), (4, 1));
    outbox.write_timeout("ijkl", Duration::from_secs(60))?;
    outbox.drain().unwrap();
    let (writer, unwritten) = outbox.into_parts();
    assert_eq!(writer.1, b"abcdijkl");
    assert!(unwritten.is_empty());
    Ok(())
}
