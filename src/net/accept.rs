//! The accept loop of each listener, and the set of all that serve.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use rustix::net::sockopt::set_socket_reuseport;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::{Listener, ListenerId};

/// How long peers may take to hear that their request is given up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is done with the connections of one listener.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Serves one connection to its end. `closing` becomes true when the listener is removed: what is under way is
    /// finished, and no further request is taken.
    async fn serve(&self, stream: TcpStream, peer: SocketAddr, closing: watch::Receiver<bool>);

    /// The listener takes no more connections: idle ones should close.
    async fn close_idle(&self);
}

/// A listener that serves.
#[derive(Debug)]
struct Serving {
    id: ListenerId,
    wanted: SocketAddr,
    bound: SocketAddr,
    socket: Arc<TcpListener>,
    close: watch::Sender<bool>,
    /// Ends when its address is free.
    unbound: oneshot::Receiver<()>,
    task: JoinHandle<()>,
}

/// All listeners that serve.
#[derive(Debug, Default)]
pub struct Listeners {
    serving: Mutex<Vec<Serving>>,
}

impl Listeners {
    /// Has `listener` serve.
    ///
    /// # Errors
    /// When the OS does not tell its address.
    pub fn add(&self, listener: Listener, handler: Arc<dyn Handler>) -> std::io::Result<()> {
        let bound = listener.address()?;
        let Listener { id, wanted, socket } = listener;
        let socket = Arc::new(socket);
        let (close, closing) = watch::channel(false);
        let (bound_until, unbound) = oneshot::channel();
        let task = tokio::spawn(accept((socket.clone(), bound_until), handler, closing));
        self.lock().push(Serving { id, wanted, bound, socket, close, unbound, task });
        Ok(())
    }

    /// What serves: id, the address that was asked for, and the one that was bound.
    #[must_use]
    pub fn all(&self) -> Vec<(ListenerId, SocketAddr, SocketAddr)> {
        self.lock().iter().map(|one| (one.id, one.wanted, one.bound)).collect()
    }

    /// Binds `address` although the listeners `beside` cover it, which are about to be removed: so there is no moment at which
    /// nobody listens. Nobody else can have an address beside ours.
    ///
    /// # Errors
    /// What the OS says.
    pub fn bind_beside(&self, address: SocketAddr, beside: &[ListenerId]) -> std::io::Result<Listener> {
        let serving = self.lock();
        let shared = || serving.iter().filter(|one| beside.contains(&one.id));
        // Linux lets sockets of one user share an address when all of them say so while the last one is bound.
        let share = |value| shared().try_for_each(|one| set_socket_reuseport(&one.socket, value));
        let bound = share(true).map_err(Into::into).and_then(|()| Listener::bind_shared(address));
        share(false)?;
        bound
    }

    /// Stops accepting at `id`, and returns when its address is free. Requests under way are finished, idle connections
    /// close.
    pub async fn remove(&self, id: ListenerId) {
        let removed = {
            let mut serving = self.lock();
            serving.iter().position(|one| one.id == id).map(|at| serving.remove(at))
        };
        if let Some(Serving { close, unbound, socket, .. }) = removed {
            drop(socket);
            // Its task goes on until its last connection ends.
            close.send_replace(true);
            let _ = unbound.await;
        }
    }

    /// Stops accepting everywhere and waits for what is under way until `patience` ends; then `give_up` is called, and
    /// what does not end then is ended.
    pub async fn drain(&self, patience: impl Future<Output = ()>, give_up: impl FnOnce()) {
        let mut tasks: JoinSet<()> = JoinSet::new();
        for Serving { close, task, .. } in std::mem::take(&mut *self.lock()) {
            close.send_replace(true);
            tasks.spawn(async move {
                let _ended = AbortOnDrop(task.abort_handle());
                let _ = task.await;
            });
        }
        tokio::select! {
            biased;
            () = finish(&mut tasks) => return,
            () = patience => {}
        }
        give_up();
        // Peers that do not listen are left behind: dropping their tasks ends them.
        let _ = tokio::time::timeout(LAST_WORDS, finish(&mut tasks)).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Serving>> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn finish(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept(
    (listener, bound_until): (Arc<TcpListener>, oneshot::Sender<()>),
    handler: Arc<dyn Handler>,
    closing: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let serve = |(stream, peer): (TcpStream, SocketAddr), connections: &mut JoinSet<()>| {
        let (handler, closing) = (handler.clone(), closing.clone());
        connections.spawn(async move { handler.serve(stream, peer, closing).await });
    };
    let mut closes = closing.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => serve(accepted, &mut connections),
                Err(error) => {
                    // Out of file descriptors, or the peer was gone already: the next accept may work.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = closes.changed() => break,
        }
    }
    // The kernel has said yes to those that wait to be accepted; closing would reset them.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        serve(accepted, &mut connections);
    }
    drop((listener, bound_until));
    handler.close_idle().await;
    while connections.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Answers each byte with the same; an idle connection ends when the listener closes.
    struct Echo;

    #[async_trait]
    impl Handler for Echo {
        async fn serve(&self, mut stream: TcpStream, _: SocketAddr, mut closing: watch::Receiver<bool>) {
            loop {
                let byte = tokio::select! {
                    Ok(byte) = stream.read_u8() => byte,
                    _ = closing.changed() => return,
                    else => return,
                };
                stream.write_u8(byte).await.expect("written");
            }
        }

        async fn close_idle(&self) {}
    }

    #[tokio::test]
    async fn an_address_passes_to_one_that_covers_it_without_a_moment_in_which_nobody_listens() {
        let listeners = Listeners::default();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.expect("bound");
        let port = listener.address().expect("an address").port();
        listeners.add(listener, Arc::new(Echo)).expect("served");
        let all: SocketAddr = ([0, 0, 0, 0], port).into();
        assert!(Listener::bind(all).await.is_err(), "the old one covers it");
        let old = listeners.all()[0].0;
        let new = listeners.bind_beside(all, &[old]).expect("bound beside it");
        assert!(Listener::bind(all).await.is_err(), "nobody else can have it");
        // Connections that wait to be accepted are served.
        let mut waiting = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        waiting.write_u8(9).await.expect("written");
        listeners.add(new, Arc::new(Echo)).expect("served");
        listeners.remove(old).await;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        stream.write_u8(7).await.expect("written");
        assert_eq!(stream.read_u8().await.expect("answered"), 7);
        drop((waiting, stream));
        listeners.drain(std::future::pending(), || unreachable!("nothing is under way")).await;
    }

    #[tokio::test]
    async fn a_listener_is_removed_while_another_one_serves() {
        let listeners = Listeners::default();
        for _ in 0..2 {
            let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.expect("bound");
            listeners.add(listener, Arc::new(Echo)).expect("served");
        }
        let all = listeners.all();
        let talk = async |at: SocketAddr| {
            let mut stream = TcpStream::connect(at).await?;
            stream.write_u8(7).await?;
            stream.read_u8().await
        };
        for (_, wanted, bound) in &all {
            assert_eq!((wanted.port(), talk(*bound).await.expect("answered")), (0, 7));
        }
        let mut idle = TcpStream::connect(all[0].2).await.expect("connected");
        listeners.remove(all[0].0).await;
        let again = Listener::bind(all[0].2).await.expect("the address is free at once");
        drop(again);
        assert!(idle.read_u8().await.is_err(), "an idle connection is closed");
        assert!(talk(all[0].2).await.is_err());
        assert_eq!(talk(all[1].2).await.expect("answered"), 7);
        listeners.drain(std::future::pending(), || unreachable!("nothing is under way")).await;
        assert!(listeners.all().is_empty() && talk(all[1].2).await.is_err());
    }
}
