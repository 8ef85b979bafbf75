//! `transfer-hyper PORT FILE`, with the paths of `transfer-hardstop`. Files are read and written on the
//! async threads: they are in the page cache, so blocking threads would only add cost.

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::{server::conn::http1, service::service_fn, Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::fs::File;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{env, hint::black_box};
use tokio::net::TcpListener;

const SIZE: usize = 256 << 20;
const PIECE: usize = 512 * 1024;

enum Source {
    Memory(Bytes),
    File(File),
}

struct Answer {
    source: Source,
    length: Option<u64>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let whole = self.length.is_some();
        let piece = match &mut self.source {
            Source::Memory(bytes) if whole => std::mem::take(bytes),
            Source::Memory(bytes) => bytes.split_to(PIECE.min(bytes.len())),
            Source::File(file) => {
                let mut piece = vec![0; PIECE];
                let n = file.read(&mut piece)?;
                piece.truncate(n);
                piece.into()
            }
        };
        Poll::Ready(if piece.is_empty() {
            None
        } else {
            Some(Ok(Frame::data(piece)))
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or_default();
    let path: &'static str = env::args().nth(2).unwrap_or_default().leak();
    let memory = Bytes::from(vec![b'x'; SIZE]);
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let memory = memory.clone();
        let service = service_fn(move |request| answer(request, path, memory.clone()));
        tokio::spawn(
            http1::Builder::new()
                .max_buf_size(PIECE)
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn answer(
    request: Request<Incoming>,
    path: &str,
    memory: Bytes,
) -> io::Result<Response<Answer>> {
    let (method, target) = (request.method().clone(), request.uri().path().to_owned());
    let mut length = if target.ends_with("chunked") {
        None
    } else {
        Some(SIZE as u64)
    };
    let source = if method == Method::POST {
        let mut file = if target == "/file" {
            Some(File::create(format!("{path}.up"))?)
        } else {
            None
        };
        let (mut body, mut total) = (request.into_body(), 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| io::ErrorKind::InvalidData)?;
            let piece = frame.data_ref().map_or(&[][..], |data| data);
            total += piece.len();
            match &mut file {
                Some(file) => file.write_all(piece)?,
                None => _ = black_box(piece),
            }
        }
        let count = total.to_string();
        length = Some(count.len() as u64);
        Source::Memory(count.into())
    } else if target.starts_with("/memory") {
        Source::Memory(memory)
    } else {
        Source::File(File::open(path)?)
    };
    Ok(Response::new(Answer { source, length }))
}
