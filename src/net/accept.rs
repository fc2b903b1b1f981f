//! The accept loop of each listener, and the set of all that serve.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use rustix::net::sockopt::set_socket_reuseport;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::timeout;

use super::handler::{Handler, NotServed};
use super::shortage::Shortage;
use super::{Listener, ListenerId};

/// How long peers may take to hear that their request is given up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long the request of a client that is turned away may take to come.
const REQUEST_WITHIN: Duration = Duration::from_millis(500);

/// A listener that serves.
#[derive(Debug)]
struct Serving {
    id: ListenerId,
    wanted: SocketAddr,
    bound: SocketAddr,
    socket: Arc<TcpListener>,
    close: watch::Sender<bool>,
    /// Has its address given up; a listener that closes before refuses connections until then.
    unbind: watch::Sender<bool>,
    /// Ends when all connections that it took before it closed have ended.
    finished: oneshot::Receiver<()>,
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
        let (unbind, unbinds) = watch::channel(false);
        let (bound_until, unbound) = oneshot::channel();
        let (finish, finished) = oneshot::channel();
        let port = Port { listener: socket.clone(), handler, closing, unbinds };
        let task = tokio::spawn(port.serve(bound_until, finish));
        self.lock().push(Serving { id, wanted, bound, socket, close, unbind, finished, unbound, task });
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
        if let Some(Serving { close, unbind, unbound, socket, .. }) = removed {
            drop(socket);
            // Its task goes on until its last connection ends.
            unbind.send_replace(true);
            close.send_replace(true);
            let _ = unbound.await;
        }
    }

    /// Refuses connections everywhere, and waits for what is under way until `patience` ends; then `give_up` is called, and
    /// what does not end then is ended. At the end nothing listens any more.
    pub async fn drain(&self, patience: impl Future<Output = ()>, give_up: impl FnOnce()) {
        let (mut tasks, mut under_way, mut bound) = (JoinSet::new(), JoinSet::new(), Vec::new());
        for Serving { close, unbind, finished, task, .. } in std::mem::take(&mut *self.lock()) {
            close.send_replace(true);
            under_way.spawn(async move { drop(finished.await) });
            tasks.spawn(async move {
                let _ended = AbortOnDrop(task.abort_handle());
                let _ = task.await;
            });
            bound.push((close, unbind));
        }
        let is_cut = tokio::select! {
            biased;
            () = finish(&mut under_way) => false,
            () = patience => true,
        };
        if is_cut {
            give_up();
        }
        for (_, unbind) in &bound {
            unbind.send_replace(true);
        }
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

/// One address, and what is done with its connections.
struct Port {
    listener: Arc<TcpListener>,
    handler: Arc<dyn Handler>,
    closing: watch::Receiver<bool>,
    unbinds: watch::Receiver<bool>,
}

impl Port {
    /// Serves connections until it closes, then refuses them until its address is given up; returns when all have ended.
    async fn serve(self, bound_until: oneshot::Sender<()>, finished: oneshot::Sender<()>) {
        let (mut connections, mut shortage) = (JoinSet::new(), Shortage::new());
        let mut closes = self.closing.clone();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => self.serve_one(accepted, &mut connections),
                    Err(error) => shortage.met(&self.listener, &*self.handler, &error).await,
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                _ = closes.changed() => break,
            }
        }
        // The kernel has said yes to those that wait to be accepted; closing would reset them.
        while let Some(Ok(accepted)) = self.listener.accept().now_or_never() {
            self.serve_one(accepted, &mut connections);
        }
        let mut refused = self.refuse(&mut connections, finished, shortage).await;
        drop((self.listener, bound_until));
        finish(&mut connections).await;
        finish(&mut refused).await;
    }

    fn serve_one(&self, (stream, peer): (TcpStream, SocketAddr), connections: &mut JoinSet<()>) {
        let (handler, closing) = (self.handler.clone(), self.closing.clone());
        connections.spawn(async move { handler.serve(stream, peer, closing).await });
    }

    /// Refuses connections until the address is to be given up, and tells when the last of `connections` has ended. Those
    /// that are being refused then.
    async fn refuse(
        &self,
        connections: &mut JoinSet<()>,
        finished: oneshot::Sender<()>,
        mut shortage: Shortage,
    ) -> JoinSet<()> {
        let (mut refused, mut unbinds, mut finished) = (JoinSet::new(), self.unbinds.clone(), Some(finished));
        let refuse = |stream, refused: &mut JoinSet<()>| {
            let said = self.handler.refusal(NotServed::Draining);
            refused.spawn(turn_away(stream, said));
        };
        loop {
            if connections.is_empty() {
                let _ = finished.take().map(|finished| finished.send(()));
            }
            tokio::select! {
                biased;
                () = async { drop(unbinds.wait_for(|unbind| *unbind).await) } => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                Some(_) = refused.join_next(), if !refused.is_empty() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => refuse(stream, &mut refused),
                    Err(error) => shortage.met(&self.listener, &*self.handler, &error).await,
                },
            }
        }
        while let Some(Ok((stream, _))) = self.listener.accept().now_or_never() {
            refuse(stream, &mut refused);
        }
        refused
    }
}

/// Tells the client of a connection that it is not served, without reading its request to the end.
pub async fn turn_away(stream: TcpStream, said: Bytes) {
    // A client would not know what to do with an answer before it has asked.
    let _ = timeout(REQUEST_WITHIN, stream.peek(&mut [0])).await;
    close(stream, said).await;
}

/// Closes a connection with these last words, perhaps none. The client may still be sending, and gets the time to read them: closing
/// on unread bytes would reset the connection.
pub async fn close(mut stream: TcpStream, said: Bytes) {
    let polite = async {
        stream.write_all(&said).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    let _ = timeout(LAST_WORDS, polite).await;
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::io::AsyncReadExt;

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

        fn refusal(&self, _: NotServed) -> Bytes {
            Bytes::from_static(b"!")
        }
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

    #[tokio::test]
    async fn connections_that_come_while_others_are_finished_are_refused_and_hold_nothing_up() {
        let listeners = Arc::new(Listeners::default());
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.expect("bound");
        listeners.add(listener, Arc::new(Busy)).expect("served");
        let at = listeners.all()[0].2;
        let mut under_way = TcpStream::connect(at).await.expect("connected");
        under_way.write_u8(7).await.expect("written");
        assert_eq!(under_way.read_u8().await.expect("begun"), 7);
        let draining = tokio::spawn({
            let listeners = listeners.clone();
            async move { listeners.drain(std::future::pending(), || unreachable!("it finishes")).await }
        });
        loop {
            let mut late = TcpStream::connect(at).await.expect("connected");
            late.write_u8(8).await.expect("written");
            match late.read_u8().await.expect("answered") {
                // It was before the drain.
                8 => late.write_u8(0).await.expect("written"),
                other => break assert_eq!(other, b'!'),
            }
        }
        assert!(!draining.is_finished());
        let mut silent = TcpStream::connect(at).await.expect("connected");
        let early = timeout(REQUEST_WITHIN / 5, silent.read_u8()).await;
        assert!(early.is_err(), "it has not asked yet: {early:?}");
        under_way.write_u8(0).await.expect("written");
        timeout(LAST_WORDS * 10, draining).await.expect("the last one ended").expect("no panic");
        assert!(TcpStream::connect(at).await.is_err(), "nobody listens");
    }

    /// Answers the first byte with the same, and ends at the second.
    struct Busy;

    #[async_trait]
    impl Handler for Busy {
        async fn serve(&self, mut stream: TcpStream, _: SocketAddr, _: watch::Receiver<bool>) {
            let byte = stream.read_u8().await.expect("a byte");
            stream.write_u8(byte).await.expect("written");
            let _ = stream.read_u8().await;
        }

        fn refusal(&self, _: NotServed) -> Bytes {
            Bytes::from_static(b"!")
        }
    }
}
