//! Tasks that wait for room, time-outs, and tasks that share a socket.

use crate::scripted::{Answer, Scripted, rest};
use slabuf::{Buffer, Outbox, OutboxError};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(start_paused = true)]
async fn a_waiter_is_woken_when_there_is_room() {
    let writer = Scripted::new(&[Answer::Wait, Answer::Wait]);
    let outbox = Arc::new(Outbox::builder().limit(4).build_async(writer.clone()));
    outbox.write("abc").unwrap();
    let spawn = |piece: &'static str| {
        let outbox = outbox.clone();
        tokio::spawn(async move { outbox.write_timeout(piece, Duration::from_secs(60)).await })
    };
    let tasks = [spawn("def"), spawn("ghi"), spawn("jkl")];
    tokio::task::yield_now().await;
    assert_eq!(outbox.queued(), 3);
    writer.wake();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    outbox.drain().await.unwrap();
    let mut written = writer.written();
    assert_eq!(written.drain(..3).as_slice(), b"abc");
    let mut pieces: Vec<_> = written.chunks(3).collect();
    pieces.sort();
    assert_eq!(pieces, [b"def", b"ghi", b"jkl"]);
}

#[tokio::test(start_paused = true)]
async fn time_outs_hand_the_piece_back() {
    let never = Scripted::new(&[Answer::Wait; 10]);
    let outbox = Outbox::builder().limit(4).build_async(never);
    outbox.write("abc").unwrap();
    let error = outbox.write_timeout("de", Duration::from_secs(1)).await;
    let error = error.unwrap_err();
    assert!(matches!(
        error,
        OutboxError::TimedOut {
            queued: 3,
            limit: 4,
            pieces: 1,
            ..
        }
    ));
    assert!(error.to_string().contains("after 1s"), "{error}");
    assert_eq!(error.into_piece()[..], b"de"[..]);
    let error = outbox.drain_timeout(Duration::from_secs(2)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "3 bytes are still queued after 2s");
    let error = outbox.write_timeout("above", Duration::MAX).await;
    assert!(matches!(error, Err(OutboxError::TooManyBytes { .. })));
    assert_eq!(rest(outbox), b"abc");
}

#[tokio::test]
async fn a_writer_error_reaches_the_waiter_for_room() {
    let writer = Scripted::new(&[Answer::Wait, Answer::Fail(ErrorKind::ConnectionReset)]);
    let outbox = Outbox::builder().max_pieces(1).build_async(writer);
    outbox.write("ab").unwrap();
    match outbox.write_timeout("cd", Duration::MAX).await {
        Err(OutboxError::Io { error, piece }) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert_eq!(piece[..], b"cd"[..]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tasks_share_a_socket_and_each_keeps_its_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let near = TcpStream::connect(address).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    let outbox = Outbox::builder()
        .limit(100_000)
        .max_pieces(50)
        .build_async(near);
    let outbox = Arc::new(outbox);
    let mut tasks = Vec::new();
    for task in 0..5_u8 {
        let outbox = outbox.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0..200_u8 {
                let mut piece = Buffer::alloc_filled(20_000, [number]);
                piece[0] = task;
                outbox.write_timeout(piece, Duration::MAX).await.unwrap();
            }
            outbox.drain().await.unwrap();
        }));
    }
    let mut next = [0_u8; 5];
    let mut piece = vec![0; 20_000];
    for _ in 0..5 * 200 {
        far.read_exact(&mut piece).await.unwrap();
        let next = &mut next[usize::from(piece[0])];
        assert!(piece[1..].iter().all(|byte| *byte == *next));
        *next += 1;
    }
    for task in tasks {
        task.await.unwrap();
    }
    outbox.shutdown().await.unwrap();
    assert_eq!(far.read(&mut piece).await.unwrap(), 0);
    assert_eq!((next, outbox.queued()), ([200; 5], 0));
}
