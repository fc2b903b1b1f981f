//! What is compared: builds of the gateway, Pingora without any logic, nginx and HAProxy, each as a proxy on core 0.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::client::exchange;
use crate::process::{Process, reachable, wait};

/// The core of whatever is measured.
pub(crate) const CORE: &str = "0";

/// Names that the key for the model's name in answers has had, newest first.
const RESPONSE_MODEL: [&str; 2] = ["response_model", "echo"];

/// A proxy in front of the engine.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    /// Knows aliases; others are sent the model's own name.
    pub(crate) knows_aliases: bool,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// A build of the gateway, with its files in `folder`.
pub(crate) fn gateway(name: &'static str, binary: &OsStr, folder: &Path, engine: SocketAddr) -> Side {
    std::fs::create_dir(folder).expect("a folder");
    let file = folder.join("gateway.yaml");
    configure(binary, &file, engine);
    let state = folder.join("state");
    let args = ["serve", file.to_str().expect("UTF-8"), "--state-dir", state.to_str().expect("UTF-8")];
    let mut process = Process::start(CORE, binary, &args);
    let address = process.address("serving http://");
    wait(name, || {
        let mut stream = TcpStream::connect(address).expect("connected");
        exchange(&mut stream, b"GET /readyz HTTP/1.1\r\nhost: b\r\n\r\n", &mut Vec::new()) == 200
    });
    Side { name, knows_aliases: true, process, address }
}

/// Writes the configuration in the words that `binary` understands: another build may be older.
fn configure(binary: &OsStr, file: &Path, engine: SocketAddr) {
    let mut said = String::new();
    for key in RESPONSE_MODEL {
        let yaml = format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nthreads: 1\nmodels:\n  m: {{ urls: \
             [\"http://{engine}\"], served_name: m }}\naliases:\n  a: {{ model: m, overrides: {{ temperature: 0.5, \
             chat_template_kwargs: {{ enable_thinking: false }} }} }}\n  e: {{ model: a, {key}: engine }}\n"
        );
        std::fs::write(file, yaml).expect("written");
        let checked = Command::new(binary).arg("check").arg(file).output().expect("a build of the gateway");
        if checked.status.success() {
            return;
        }
        said.push_str(&String::from_utf8_lossy(&checked.stderr));
    }
    panic!("{} takes no configuration of this benchmark:\n{said}", binary.display());
}

/// Pingora alone: this executable in another mode.
pub(crate) fn pingora(engine: SocketAddr) -> Side {
    let address = free_port();
    let own = std::env::current_exe().expect("this executable");
    let args = [crate::passthrough::MODE, &address.to_string(), &engine.to_string()];
    let process = Process::start(CORE, own, &args);
    reachable(address);
    Side { name: "bare pingora", knows_aliases: false, process, address }
}

/// nginx; `None` where it is not installed.
pub(crate) fn nginx(folder: &Path, engine: SocketAddr) -> Option<Side> {
    if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
        return None;
    }
    let address = free_port();
    let conf = format!(
        "daemon off; worker_processes 1; pid {0}/nginx.pid; error_log {0}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; client_max_body_size 64m; client_body_buffer_size 8m; client_body_temp_path {0}/b;\n\
         proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
         keepalive_requests 1000000;\n\
         upstream engine {{ server {engine}; keepalive 64; keepalive_requests 1000000; }}\n\
         server {{ listen {address}; location / {{ proxy_pass http://engine; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_buffering off; }} }} }}\n",
        folder.display()
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, conf).expect("written");
    let args = ["-c", file.to_str().expect("UTF-8"), "-p", folder.to_str().expect("UTF-8")];
    let process = Process::start(CORE, "nginx", &args);
    reachable(address);
    Some(Side { name: "nginx", knows_aliases: false, process, address })
}

/// HAProxy; `None` where it is not installed.
pub(crate) fn haproxy(folder: &Path, engine: SocketAddr) -> Option<Side> {
    if Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().is_err() {
        return None;
    }
    let address = free_port();
    let conf = format!(
        "global\n nbthread 1\n maxconn 4096\ndefaults\n mode http\n timeout connect 5s\n timeout client 600s\n timeout server 600s\n \
         http-reuse always\nfrontend f\n bind {address}\n default_backend e\nbackend e\n server e {engine}\n"
    );
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, conf).expect("written");
    let process = Process::start(CORE, "haproxy", &["-db", "-f", file.to_str().expect("UTF-8")]);
    reachable(address);
    Some(Side { name: "haproxy", knows_aliases: false, process, address })
}

pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}
