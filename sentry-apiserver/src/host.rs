//! A listener on 127.0.0.1 that can be closed and opened again, on a thread of its own or on the caller's runtime.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc as answer;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// A running listener: every connection is given to the function it was started with. Stops on drop.
pub struct Host {
    port: u16,
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
    /// What runs it where it has no thread of its own.
    _task: JoinSet<()>,
}

enum Command {
    Pause(answer::Sender<()>),
    Resume(answer::Sender<()>),
}

impl Host {
    /// Listens on a free port; `name` names the thread.
    ///
    /// # Panics
    /// When this machine gives no thread or no port.
    pub fn start<F>(name: &str, on_connection: F) -> Self
    where
        F: Fn(TcpStream) -> BoxFuture<'static, ()> + Send + 'static,
    {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (say_port, port) = answer::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(async move {
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                        .await
                        .expect("a free port on 127.0.0.1");
                    let address = listener.local_addr().expect("the address just bound");
                    say_port.send(address.port()).expect("the starter waits for the port");
                    serve(address, listener, inbox, on_connection).await;
                });
            })
            .expect("a thread");
        let port = port.recv().expect("the server thread says its port");
        Self { port, commands: Some(commands), thread: Some(thread), _task: JoinSet::new() }
    }

    /// Listens on a free port, on the runtime of the caller: its clock, paused or not, holds here as well. It can't be
    /// paused as [`Host::pause`] does.
    ///
    /// # Errors
    /// When this machine gives no port.
    pub async fn here<F>(on_connection: F) -> io::Result<Self>
    where
        F: Fn(TcpStream) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            let (_nobody, inbox) = mpsc::unbounded_channel();
            serve(address, listener, inbox, on_connection).await;
        });
        Ok(Self { port: address.port(), commands: None, thread: None, _task: task })
    }

    /// The port on 127.0.0.1, the same for the server's whole life.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every connection and refuses new ones until [`Host::resume`]. Returns once that is so.
    ///
    /// # Panics
    /// If it has no thread of its own ([`Host::here`]).
    pub fn pause(&self) {
        self.tell(Command::Pause);
    }

    /// Listens again, on the same port. Returns once that is so.
    ///
    /// # Panics
    /// As [`Host::pause`].
    pub fn resume(&self) {
        self.tell(Command::Resume);
    }

    fn tell(&self, command: fn(answer::Sender<()>) -> Command) {
        let (done, wait) = answer::channel();
        let commands = self.commands.as_ref().expect("a host with a thread of its own");
        commands.send(command(done)).expect("the server thread runs");
        wait.recv().expect("the server thread answers");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic on the server's thread has been printed there; a second one here would abort the test run.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("port", &self.port).finish_non_exhaustive()
    }
}

/// Shut, the port stays bound without listening: connections are refused and nobody else can take it.
enum Door {
    Open(TcpListener),
    Shut(TcpSocket),
}

impl Door {
    fn shut(self, address: SocketAddr) -> Self {
        let Self::Open(listener) = self else { return self };
        drop(listener);
        // A child that is just being started holds a copy of the listener until its exec closes it.
        for _ in 0..6000 {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_reuseaddr(true).expect("SO_REUSEADDR");
            if socket.bind(address).is_ok() {
                return Self::Shut(socket);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("port {} is not free again after a minute", address.port());
    }

    fn open(self) -> Self {
        match self {
            Self::Shut(socket) => Self::Open(socket.listen(1024).expect("a bound socket listens")),
            open @ Self::Open(_) => open,
        }
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        match self {
            Self::Open(listener) => listener.accept().await.map(|(stream, _)| stream),
            Self::Shut(_) => std::future::pending().await,
        }
    }
}

async fn serve<F>(
    address: SocketAddr,
    listener: TcpListener,
    mut commands: mpsc::UnboundedReceiver<Command>,
    on_connection: F,
) where
    F: Fn(TcpStream) -> BoxFuture<'static, ()>,
{
    let mut door = Door::Open(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Pause(done)) => {
                    door = door.shut(address);
                    connections.shutdown().await;
                    let _ = done.send(());
                }
                Some(Command::Resume(done)) => {
                    door = door.open();
                    let _ = done.send(());
                }
                None => return,
            },
            accepted = door.accept() => if let Ok(stream) = accepted {
                let _ = stream.set_nodelay(true);
                connections.spawn(on_connection(stream));
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}
