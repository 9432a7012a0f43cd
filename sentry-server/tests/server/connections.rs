//! What a client can do to the server by the way it connects. Over real sockets, and in no time worth measuring.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;

/// A server on a free port; ends when the sender is used.
async fn start(world: &mut World) -> (std::net::SocketAddr, oneshot::Sender<()>) {
    start_with(world, Router::new()).await
}

/// The same with further routes.
async fn start_with(
    world: &mut World,
    routes: Router,
) -> (std::net::SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let mut services = world.services();
    services.routes = routes;
    let server = Server::new(services);
    world.tasks.spawn(server.serve(listener, async move { drop(stopped.await) }));
    (address, stop)
}

async fn exchange(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn a_head_without_end_is_refused_and_what_is_no_http_ends_the_connection() {
    let mut world = World::new();
    let (address, _stop) = start(&mut world).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let answer = exchange(&mut client, &head).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let mut client = TcpStream::connect(address).await.unwrap();
    let answer = exchange(&mut client, "\0\0\0\0 no http\r\n\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn more_silent_clients_than_places_do_not_keep_an_honest_one_out() {
    let _files = MANY_FILES.lock().await;
    let mut world = World::new();
    let (address, _stop) = start(&mut world).await;
    let mut silent = Vec::new();
    for _ in 0..sentry_server::MAX_CONNECTIONS + 50 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let mut client = TcpStream::connect(address).await.unwrap();
    let answer = exchange(&mut client, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut first = silent.remove(0);
    assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0, "the oldest silent client went");
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_the_port_is_free_again() {
    let mut world = World::new();
    let (address, stop) = start(&mut world).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let answer = exchange(&mut client, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stop.send(()).unwrap();
    world.tasks.join_next().await.unwrap().unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0);
    // Whoever is faster may have taken it for a connection of theirs, for a while.
    for _ in 0..600 {
        if TcpListener::bind(address).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{address} is not free again");
}

#[tokio::test]
async fn whoever_has_shown_no_token_holds_nothing_even_while_their_request_is_worked_on() {
    let _files = MANY_FILES.lock().await;
    let mut world = World::new();
    let never = axum::routing::get(std::future::pending::<String>);
    let (address, _stop) = start_with(&mut world, Router::new().route("/never", never)).await;
    let mut waiting = Vec::new();
    for _ in 0..sentry_server::MAX_CONNECTIONS + 50 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        waiting.push(stream);
    }
    let mut client = TcpStream::connect(address).await.unwrap();
    let answer = exchange(&mut client, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
