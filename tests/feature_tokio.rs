//! `tokio` and `tokio-util`: a `Buffer` in place of a `BytesMut`, and alternatives where their
//! traits require one.

mod common;

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use common::{MIB, SLAB, address, assert_all_home, fresh_pool, holds_stamp, stamp};
use slabuf::{Buffer, Pool};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::bytes::buf::UninitSlice;
use tokio_util::codec::{Decoder, Encoder, FramedRead, FramedWrite, LengthDelimitedCodec};
use tokio_util::io::{ReaderStream, StreamReader};

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    runtime.unwrap().block_on(future)
}

/// Returns both ends of a loopback connection.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(connecting, listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn stamped(pool: &Pool, len: usize, seed: u64) -> Buffer {
    let mut buffer = pool.alloc(len);
    stamp(&mut buffer, seed);
    buffer
}

#[test]
fn read_buf_appends_from_a_socket_and_write_all_buf_drains_into_one() {
    for len in [1, 100, SLAB, SLAB + 1, MIB] {
        let pool = fresh_pool();
        run(async {
            let (mut near, mut far) = connection().await;
            let mut sent = stamped(&pool, len, 5);
            let sending = async {
                near.write_all_buf(&mut sent).await.unwrap();
                near.shutdown().await.unwrap();
            };
            let receiving = async {
                let mut received = pool.with_capacity(0);
                while far.read_buf(&mut received).await.unwrap() > 0 {}
                received
            };
            let ((), received) = tokio::join!(sending, receiving);
            assert!(sent.is_empty(), "write_all_buf takes all");
            assert_eq!(received.len(), len);
            assert!(holds_stamp(&received, 5), "{len}");
        });
        assert_all_home(&pool);
    }
}

#[test]
fn read_buf_fills_the_room_there_is_without_moving_the_buffer() {
    let pool = fresh_pool();
    run(async {
        let (mut near, mut far) = tokio::io::duplex(64);
        let mut buffer = pool.with_capacity(1000);
        let start = address(&buffer);
        near.write_all(b"hello, ").await.unwrap();
        assert_eq!(far.read_buf(&mut buffer).await.unwrap(), 7);
        near.write_all(b"world").await.unwrap();
        assert_eq!(far.read_buf(&mut buffer).await.unwrap(), 5);
        assert_eq!(buffer, "hello, world");
        assert_eq!(address(&buffer), start);
        let mut limited = (&mut buffer).limit(3);
        near.write_all(b"abcdef").await.unwrap();
        assert_eq!(far.read_buf(&mut limited).await.unwrap(), 3);
        assert_eq!(buffer, "hello, worldabc");
    });
    assert_all_home(&pool);
}

#[test]
fn write_buf_takes_what_the_peer_has_room_for() {
    run(async {
        let (mut near, mut far) = tokio::io::duplex(10);
        let mut buffer = Buffer::from(b"0123456789abcdef");
        assert_eq!(near.write_buf(&mut buffer).await.unwrap(), 10);
        assert_eq!(buffer, "abcdef");
        let mut got = Buffer::with_capacity(16);
        far.read_buf(&mut got).await.unwrap();
        near.write_all_buf(&mut buffer).await.unwrap();
        far.read_buf(&mut got).await.unwrap();
        assert_eq!(got, "0123456789abcdef");
    });
}

/// Frames with a length of two bytes. `Decoder` requires a `BytesMut`, so the bytes are already
/// read, and a frame is copied into a buffer. `Encoder` accepts any item and writes into a
/// `BytesMut`.
struct Frames(Pool);

impl Decoder for Frames {
    type Item = Buffer;
    type Error = io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> io::Result<Option<Buffer>> {
        let Some(head) = source.first_chunk::<2>() else {
            return Ok(None);
        };
        let len = usize::from(u16::from_be_bytes(*head));
        if source.len() < 2 + len {
            source.reserve(2 + len - source.len());
            return Ok(None);
        }
        source.advance(2);
        let frame = self.0.try_copy_from_slice(&source[..len])?;
        source.advance(len);
        Ok(Some(frame))
    }
}

impl Encoder<Buffer> for Frames {
    type Error = io::Error;

    fn encode(&mut self, item: Buffer, target: &mut BytesMut) -> io::Result<()> {
        let len = u16::try_from(item.len()).map_err(io::Error::other)?;
        target.put_u16(len);
        target.put(item);
        Ok(())
    }
}

/// Returns the next item of a stream.
async fn next<S: futures_core::Stream>(stream: &mut Pin<&mut S>) -> Option<S::Item> {
    std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await
}

/// Sends an item through a sink and flushes it.
async fn send<T, S: futures_sink::Sink<T, Error = io::Error>>(sink: &mut Pin<&mut S>, item: T) {
    std::future::poll_fn(|cx| sink.as_mut().poll_ready(cx))
        .await
        .unwrap();
    sink.as_mut().start_send(item).unwrap();
    std::future::poll_fn(|cx| sink.as_mut().poll_flush(cx))
        .await
        .unwrap();
}

#[test]
fn buffers_are_items_of_a_codec() {
    let pool = fresh_pool();
    run(async {
        let (near, far) = tokio::io::duplex(1 << 20);
        let mut writer = pin!(FramedWrite::new(near, Frames(pool.clone())));
        let lengths = [0, 1, 100, SLAB, SLAB + 1, 65_535];
        for len in lengths {
            send(&mut writer, stamped(&pool, len, len as u64)).await;
        }
        let mut reader = pin!(FramedRead::new(far, Frames(pool.clone())));
        for len in lengths {
            let frame = next(&mut reader).await.unwrap().unwrap();
            assert_eq!(frame.len(), len);
            assert!(holds_stamp(&frame, len as u64), "{len}");
        }
    });
    assert_all_home(&pool);
}

#[test]
fn a_codec_of_bytes_takes_frozen_buffers() {
    let pool = fresh_pool();
    run(async {
        let (near, far) = tokio::io::duplex(1 << 20);
        let mut writer = pin!(FramedWrite::new(near, LengthDelimitedCodec::new()));
        send(&mut writer, stamped(&pool, 3 * SLAB, 1).freeze()).await;
        let mut reader = pin!(FramedRead::new(far, LengthDelimitedCodec::new()));
        let frame: BytesMut = next(&mut reader).await.unwrap().unwrap();
        assert!(frame.len() == 3 * SLAB && holds_stamp(&frame, 1));
    });
    assert_all_home(&pool);
}

/// Does with a `Buffer` what a decoder does with `BytesMut::split_to`: returns frames as slices of
/// one memory without a copy, and copies only an incomplete frame at the end into the next buffer.
fn take_frames(read: &mut Buffer, pool: &Pool) -> Vec<Bytes> {
    let mut end = 0;
    let mut ranges = Vec::new();
    while let Some((head, rest)) = read[end..].split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*head));
        if rest.len() < len {
            break;
        }
        ranges.push(end + 2..end + 2 + len);
        end += 2 + len;
    }
    let mut next = pool.with_capacity(read.capacity());
    next.extend_from_slice(&read[end..]);
    read.truncate(end);
    let whole = std::mem::replace(read, next).freeze();
    ranges.into_iter().map(|range| whole.slice(range)).collect()
}

#[test]
fn frames_leave_a_read_buffer_without_a_copy() {
    let pool = fresh_pool();
    run(async {
        let (mut near, mut far) = tokio::io::duplex(1000);
        let sending = async {
            for number in 0..200_u16 {
                let len = number * 37 % 500;
                near.write_u16(len).await.unwrap();
                let mut frame = stamped(&pool, usize::from(len), u64::from(number));
                near.write_all_buf(&mut frame).await.unwrap();
            }
            drop(near);
        };
        let receiving = async {
            let mut read = pool.with_capacity(4 * SLAB);
            let mut frames = Vec::new();
            while far.read_buf(&mut read).await.unwrap() > 0 {
                let (start, end) = (address(&read), address(&read) + read.len());
                let new = take_frames(&mut read, &pool);
                let within = |frame: &Bytes| address(frame) >= start && address(frame) <= end;
                assert!(new.iter().filter(|frame| !frame.is_empty()).all(within));
                frames.extend(new);
            }
            assert!(read.is_empty());
            frames
        };
        let ((), frames) = tokio::join!(sending, receiving);
        assert_eq!(frames.len(), 200);
        for (number, frame) in frames.iter().enumerate() {
            assert_eq!(frame.len(), number * 37 % 500);
            assert!(holds_stamp(frame, number as u64), "{number}");
        }
    });
    assert_all_home(&pool);
}

#[test]
fn a_stream_of_buffers_is_read_as_one() {
    struct Buffers(Vec<Buffer>);
    impl futures_core::Stream for Buffers {
        type Item = io::Result<Buffer>;
        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.pop().map(Ok))
        }
    }
    let pool = fresh_pool();
    run(async {
        let parts = ["world", ", ", "", "hello"].map(|part| pool.copy_from_slice(part.as_bytes()));
        let mut reader = StreamReader::new(Buffers(parts.into()));
        let mut all = pool.with_capacity(0);
        while reader.read_buf(&mut all).await.unwrap() > 0 {}
        assert_eq!(all, "hello, world");
    });
    assert_all_home(&pool);
}

/// A `Buffer` as an asynchronous reader: its [`std::io::Read`] never waits.
struct Reader(Buffer);

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        target: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = target.remaining().min(self.0.len());
        target.put_slice(&self.0[..len]);
        self.0.advance(len);
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_buffer_becomes_a_stream_of_chunks() {
    let pool = fresh_pool();
    run(async {
        let reader = Reader(stamped(&pool, 3 * SLAB, 9));
        let mut stream = pin!(ReaderStream::with_capacity(reader, 1000));
        let mut all = pool.with_capacity(0);
        while let Some(chunk) = next(&mut stream).await {
            let chunk = chunk.unwrap();
            assert!(chunk.len() <= 1000);
            all.extend_from_slice(&chunk);
        }
        assert!(all.len() == 3 * SLAB && holds_stamp(&all, 9));
    });
    assert_all_home(&pool);
}

#[test]
fn poll_read_buf_reads_past_a_full_buffer() {
    let pool = fresh_pool();
    run(async {
        let mut source = pin!(Reader(stamped(&pool, 2 * SLAB, 2)));
        let mut buffer = pool.alloc(SLAB);
        buffer.clear();
        loop {
            let read = std::future::poll_fn(|cx| {
                tokio_util::io::poll_read_buf(source.as_mut(), cx, &mut buffer)
            });
            if read.await.unwrap() == 0 {
                break;
            }
        }
        assert!(buffer.len() == 2 * SLAB && holds_stamp(&buffer, 2));
        let chunk: &mut UninitSlice = buffer.chunk_mut();
        assert!(chunk.len() >= 64, "and there is room again");
    });
    assert_all_home(&pool);
}

#[test]
fn a_limit_that_is_reached_while_reading_is_an_error_if_room_is_made_first() {
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let error = run(async {
        let mut source = tokio::io::repeat(7);
        let mut buffer = pool.with_capacity(0);
        loop {
            // `read_buf` cannot report a failed allocation; it would panic.
            buffer.try_reserve(SLAB)?;
            source.read_buf(&mut buffer).await?;
        }
        #[allow(unreachable_code, reason = "it names the type of the block")]
        Ok::<(), io::Error>(())
    })
    .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    assert_all_home(&pool);
}
