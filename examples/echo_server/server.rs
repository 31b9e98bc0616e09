//! The server, with the pool or with `BytesMut`.

use crate::counters::{Counters, Report, Sampler};
use crate::options::Options;
use bytes::BytesMut;
use slabuf::{AllocError, Buffer, Pool};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::pin::{Pin, pin};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

/// Time after the end of the run at which the client is killed.
const CLIENT_GRACE: Duration = Duration::from_secs(90);
/// Time that the server waits for the last connections to close.
const CLOSING: Duration = Duration::from_secs(5);

/// The state that connections share.
struct Server {
    pool: Option<Pool>,
    read: usize,
    write_timeout: Duration,
    counters: Arc<Counters>,
}

/// Serves one client process, prints a line per second and a report. Returns whether the run was
/// correct.
pub(crate) async fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let pool = match options.bytes_mut {
        true => None,
        false => Some(Pool::builder().limit(options.limit).build()?),
    };
    if let Some(pool) = &pool {
        let Options { read, limit, .. } = options;
        pool.try_alloc_unsafe(*read)
            .map_err(|error| format!("--read {read} under --limit {limit}: {error}"))?;
    }
    let listener = listen(options)?;
    let port = listener.local_addr()?.port();
    let counters = Arc::new(Counters::new(options, pool.clone()));
    let server = Arc::new(Server {
        pool,
        read: options.read,
        write_timeout: options.write_timeout,
        counters: counters.clone(),
    });
    writeln!(
        io::stdout(),
        "{} connections on {}, {}",
        options.connections,
        listener.local_addr()?,
        match options.bytes_mut {
            true => format!("a BytesMut of {} bytes for each", options.read),
            false => format!(
                "buffers of {} bytes from a pool with a limit of {}",
                options.read, options.limit
            ),
        }
    )?;
    let sampler = Sampler::start(counters.clone());
    let accepting = tokio::spawn(server.clone().accept(listener));
    let client = tokio::select! {
        client = load(options, port) => client,
        () = output_closed(&counters) => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
    };
    accepting.abort();
    if counters.output_closed.load(Relaxed) {
        // `select!` has dropped the future that owns the client, which kills the client.
        return client.map(|_| true);
    }
    let end = Instant::now() + CLOSING;
    while counters.connections.load(Relaxed) > 0 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sampler.stop();
    Ok(Report::new(options, &counters, &client?).print()?)
}

/// Completes when the sampler could not print a line.
async fn output_closed(counters: &Counters) {
    while !counters.output_closed.load(Relaxed) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn listen(options: &Options) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    if options.socket_buffer > 0 {
        // Accepted sockets inherit the size.
        socket.set_send_buffer_size(options.socket_buffer)?;
    }
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(u32::try_from(options.connections).unwrap_or(u32::MAX))
}

/// Runs the load generator against the port. Returns its output.
async fn load(options: &Options, port: u16) -> Result<String, Box<dyn Error>> {
    let client = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .args(["--client", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let bound = options.duration + CLIENT_GRACE;
    let output = timeout(bound, client.wait_with_output())
        .await
        .map_err(|_| format!("the client did not end within {} s", bound.as_secs()))??;
    if !output.status.success() {
        return Err(format!("the client ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

impl Server {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    self.counters.connected();
                    tokio::spawn(self.clone().serve(stream));
                }
                Err(error) => {
                    eprintln!("accept: {error}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let result = match &self.pool {
            Some(pool) => self.echo_from_pool(stream, pool).await,
            None => self.echo_from_bytes_mut(stream).await,
        };
        match result {
            Ok(()) => (),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                self.counters.cut.fetch_add(1, Relaxed);
            }
            Err(error) => eprintln!("connection: {error}"),
        }
        self.counters.connections.fetch_sub(1, Relaxed);
    }

    /// Echoes with one buffer per turn. A turn allocates it when the socket is readable, so idle
    /// connections hold none. It never waits for a second buffer, so turns cannot deadlock. The
    /// write timeout frees the buffer if the client does not read.
    async fn echo_from_pool(&self, mut stream: TcpStream, pool: &Pool) -> io::Result<()> {
        stream.set_nodelay(true)?;
        loop {
            stream.readable().await?;
            let mut buffer = self.alloc(pool).await.map_err(io::Error::other)?;
            match read_now(&mut stream, &mut buffer).await? {
                Some(0) => return Ok(()),
                Some(read) => self.write(&mut stream, &buffer[..read]).await?,
                None => {
                    // A spurious wake-up.
                    drop(buffer);
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Echoes with one buffer that the connection holds until it is closed.
    async fn echo_from_bytes_mut(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = BytesMut::with_capacity(self.read);
        loop {
            buffer.clear();
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            self.write(&mut stream, &buffer).await?;
        }
    }

    /// Allocates a buffer from the pool. Counts the waits and their durations.
    async fn alloc(&self, pool: &Pool) -> Result<Buffer, AllocError> {
        let mut future = pin!(pool.alloc_unsafe_async(self.read));
        let first = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(result) = first {
            return result;
        }
        let start = Instant::now();
        self.counters.waiting.fetch_add(1, Relaxed);
        let result = future.await;
        self.counters.waiting.fetch_sub(1, Relaxed);
        self.counters.waited(start.elapsed());
        result
    }

    async fn write(&self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        timeout(self.write_timeout, stream.write_all(bytes)).await??;
        self.counters.echoed.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }
}

/// Reads without waiting. Returns `None` if there is nothing to read.
async fn read_now(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let mut into = ReadBuf::new(buffer);
    let read = poll_fn(|context| Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut into)));
    match read.await {
        Poll::Ready(result) => result.map(|()| Some(into.filled().len())),
        Poll::Pending => Ok(None),
    }
}
