//! `hyper` over an in-memory connection: bodies from [`Buffer::freeze`], and buffers as a body's
//! data.

mod common;

use std::convert::Infallible;

use bytes::{Buf, Bytes};
use common::{MIB, SLAB, assert_all_home, fresh_pool, holds_stamp, stamp};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use slabuf::{Buffer, Pool};

/// Sends one request to a server that responds with `answer`. Returns the body in a buffer of
/// `pool`.
async fn fetch<B>(
    pool: &Pool,
    request: impl Body<Data: Send, Error = Infallible> + Send + Unpin + 'static,
    answer: fn(Vec<Buffer>) -> B,
) -> Buffer
where
    B: Body<Data: Send, Error = Infallible> + Send + 'static,
{
    let (client, server) = tokio::io::duplex(4096);
    let on_server = pool.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let pool = on_server.clone();
        async move {
            let parts = collect(&pool, request.into_body()).await;
            Ok::<_, Infallible>(Response::new(answer(parts)))
        }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(server), service);
    let talking = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client))
            .await
            .unwrap();
        let asking = async {
            let request = Request::post("/")
                .header("host", "test")
                .body(request)
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            let parts = collect(pool, response.into_body()).await;
            pool.concat(&parts)
        };
        let (buffer, _) = tokio::join!(asking, connection);
        buffer
    };
    let (served, buffer) = tokio::join!(serving, talking);
    served.unwrap();
    buffer
}

/// The frames of a body, one buffer each.
async fn collect(pool: &Pool, mut body: Incoming) -> Vec<Buffer> {
    let mut parts = Vec::new();
    while let Some(frame) = body.frame().await {
        parts.push(pool.copy_from_slice(frame.unwrap().data_ref().unwrap()));
    }
    parts
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

#[test]
fn a_frozen_buffer_is_served_and_fetched() {
    for len in [1, 100, SLAB, SLAB + 1, MIB] {
        let pool = fresh_pool();
        let mut sent = pool.alloc(len);
        stamp(&mut sent, 7);
        let body = Full::new(sent.freeze());
        let echoed = run(fetch(&pool, body, |parts| {
            Full::new(Buffer::concat(&parts).freeze())
        }));
        assert_eq!(echoed.len(), len);
        assert!(holds_stamp(&echoed, 7), "{len}");
        drop(echoed);
        assert_all_home(&pool);
    }
}

#[test]
fn a_buffer_is_a_body_s_data_as_it_is() {
    let pool = fresh_pool();
    let request = Full::new(pool.copy_from_slice(b"GET me"));
    let answer = run(fetch(&pool, request, |parts| {
        let mut answer = Buffer::concat(&parts);
        answer.extend_from_slice(b" back");
        Full::new(answer)
    }));
    assert_eq!(answer, "GET me back");
    drop(answer);
    assert_all_home(&pool);
}

#[test]
fn slices_of_one_frozen_buffer_serve_many_requests() {
    let pool = fresh_pool();
    let mut file = pool.alloc(MIB);
    stamp(&mut file, 3);
    let file = file.freeze();
    for part in 0..8 {
        let range = part * MIB / 8..(part + 1) * MIB / 8;
        let slice = file.slice(range.clone());
        assert_eq!(slice.as_ptr(), file[range.clone()].as_ptr(), "no copy");
        let got = run(fetch(&pool, Full::new(slice), |parts| {
            Full::new(Bytes::from(Buffer::concat(&parts)))
        }));
        assert_eq!(got, file[range]);
    }
    assert_eq!(pool.usage().large_live, MIB as u64, "one owner");
    drop(file);
    assert_all_home(&pool);
}

#[test]
fn aggregated_bodies_are_read_as_one() {
    let pool = fresh_pool();
    let body = Full::new(pool.alloc_filled(3 * SLAB, "ab"));
    let collected = run(body.collect()).unwrap();
    let mut all = collected.aggregate();
    assert_eq!(all.remaining(), 3 * SLAB);
    assert_eq!(all.copy_to_bytes(4), "abab");
    drop(all);
    assert_all_home(&pool);
    let empty = run(fetch(&pool, Empty::<Buffer>::new(), |_| {
        Empty::<Bytes>::new()
    }));
    assert!(empty.is_empty());
}
