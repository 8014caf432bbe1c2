//! The ceiling: a server that receives a POST, forwards it, and answers when the other end has. It does no more.
//! Server, client, runtime and number of threads are those of the host.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

/// No fewer than there are producers: the host, with its 16 requests to an endpoint at once, never has to close one.
const IDLE_CONNECTIONS: usize = 64;

type Pool = Client<HttpConnector, Full<Bytes>>;

pub fn run(target: &str) -> anyhow::Result<()> {
    let target: Uri = format!("http://{target}/relayed").parse().context("the relay's target")?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(target))
}

async fn serve(target: Uri) -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    println!("The relay listens on http://{}", listener.local_addr()?);
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let pool: Pool =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(IDLE_CONNECTIONS).build(connector);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (pool, target) = (pool.clone(), target.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| forward(pool.clone(), target.clone(), request));
            // It ends when its producer does.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn forward(
    pool: Pool,
    target: Uri,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = match send(&pool, target, request).await {
        Ok(status) => status,
        Err(_) => StatusCode::BAD_GATEWAY,
    };
    Ok(answer)
}

async fn send(pool: &Pool, target: Uri, request: Request<Incoming>) -> anyhow::Result<StatusCode> {
    let body = request.into_body().collect().await?.to_bytes();
    let onward =
        Request::post(target).header(header::CONTENT_TYPE, "application/json").body(Full::new(body))?;
    let answer = pool.request(onward).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    Ok(if status.is_success() { StatusCode::ACCEPTED } else { status })
}
