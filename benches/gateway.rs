//! The whole gateway against nginx as a plain pass-through, in one run on one machine: the same simulated engine behind
//! both, the same client in front, one core for the proxy. Prints requests per core-second and CPU per request.
//!
//! `cargo bench --bench gateway`; needs Debian's `nginx`, and `taskset` (util-linux).

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Length of one measurement.
const SPAN: Duration = Duration::from_secs(2);
/// Rounds per case; the sides take turns, so that a busy moment of the machine hits both.
const ROUNDS: usize = 6;
/// Client connections.
const CONNECTIONS: usize = 16;

/// A child process that is killed on drop.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // The gateway and nginx end their own children when asked.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(5) {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(core: &str, program: &str, args: &[&str]) -> Self {
        let child = Command::new("taskset")
            .args(["-c", core, program])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("taskset {program}: {error}"));
        Self(child)
    }

    /// Reads what it says until a line has an address after `mark`, and goes on reading in the background.
    fn address(&mut self, mark: &'static str) -> SocketAddr {
        let (send, receive) = std::sync::mpsc::channel();
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(self.0.stdout.take().expect("stdout")), Box::new(self.0.stderr.take().expect("stderr"))];
        for output in outputs {
            let send = send.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let Some(at) = line.find(mark) else { continue };
                    let rest = &line[at + mark.len()..];
                    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
                    let _ = send.send(rest[..end].parse().expect("an address"));
                }
            });
        }
        receive.recv_timeout(Duration::from_secs(20)).expect("a line with an address")
    }

    /// CPU time of the process and its children that are named, in seconds.
    fn cpu(&self) -> f64 {
        let own = self.0.id();
        let mut ticks = 0;
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
            let Some((head, tail)) = stat.rsplit_once(')') else { continue };
            let fields: Vec<u64> = tail.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0)).collect();
            let pid: u32 = head.split(' ').next().and_then(|pid| pid.parse().ok()).unwrap_or(0);
            let is_worker = head.ends_with("(nginx");
            if pid == own || (is_worker && fields[0] == u64::from(own)) {
                ticks += fields[10] + fields[11];
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand ticks")]
        let seconds = ticks as f64 / 100.0;
        seconds
    }
}

fn reachable(address: SocketAddr) {
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(since.elapsed() < Duration::from_secs(20), "{address} does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn nginx(folder: &Path, engine: SocketAddr) -> Option<(Process, SocketAddr)> {
    if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
        return None;
    }
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
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
    let process =
        Process::start("0", "nginx", &["-c", file.to_str().expect("UTF-8"), "-p", folder.to_str().expect("UTF-8")]);
    reachable(address);
    Some((process, address))
}

fn gateway(folder: &Path, engine: SocketAddr) -> (Process, SocketAddr) {
    let file = folder.join("house.yaml");
    let yaml = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nthreads: 1\nlog: {{ access: false }}\nmodels:\n  m: {{ urls: \
         [\"http://{engine}\"], served_name: m }}\naliases:\n  a: {{ model: m, overrides: {{ temperature: 0.5, \
         chat_template_kwargs: {{ enable_thinking: false }} }} }}\n  e: {{ model: a, response_model: engine }}\n"
    );
    std::fs::write(&file, yaml).expect("written");
    let state = folder.join("state");
    let args = ["serve", file.to_str().expect("UTF-8"), "--state-dir", state.to_str().expect("UTF-8")];
    let mut process = Process::start("0", env!("CARGO_BIN_EXE_enginehouse"), &args);
    let address = process.address("serving http://");
    let since = Instant::now();
    while exchange(
        &mut TcpStream::connect(address).expect("connected"),
        b"GET /readyz HTTP/1.1\r\nhost: b\r\n\r\n",
        &mut Vec::new(),
    ) != 200
    {
        assert!(since.elapsed() < Duration::from_secs(20), "the gateway is not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    (process, address)
}

/// Sends a request and reads its whole answer; the status.
fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> u16 {
    stream.write_all(request).expect("written");
    buffer.clear();
    let mut piece = [0; 64 * 1024];
    let mut whole = None;
    loop {
        let read = stream.read(&mut piece).expect("read");
        assert!(read > 0, "closed early: {}", String::from_utf8_lossy(buffer));
        buffer.extend_from_slice(&piece[..read]);
        if whole.is_none()
            && let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.trim().parse::<usize>().ok());
            whole = Some(length.map(|length| end + 4 + length));
        }
        match whole {
            Some(Some(length)) if buffer.len() >= length => break,
            Some(None) if buffer.ends_with(b"0\r\n\r\n") => break,
            _ => {}
        }
    }
    String::from_utf8_lossy(&buffer[9..12]).parse().expect("status")
}

/// `more`: further header lines, which the simulated engine understands.
fn request(model: &str, size: usize, stream: bool, more: &str) -> Vec<u8> {
    let mut body =
        format!("{{\"model\":\"{model}\",\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"");
    while body.len() < size {
        body.push_str("All work and no play makes a dull day. ");
    }
    body.push_str("\"}]}");
    let mut head = String::new();
    let _ = write!(
        head,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Requests answered and CPU seconds used by `process` within [`SPAN`].
fn measure(process: &Process, address: SocketAddr, request: &[u8]) -> (u64, f64) {
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let before = process.cpu();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(address).expect("connected");
                let _ = stream.set_nodelay(true);
                let mut buffer = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let status = exchange(&mut stream, request, &mut buffer);
                    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&buffer));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(SPAN);
        stop.store(true, Ordering::Relaxed);
    });
    (done.load(Ordering::Relaxed), process.cpu() - before)
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    // `cargo test --benches` runs this too, with an argument that says so.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engine_args = ["sim", "m", "--port", "0", "--ttft", "0ms", "--gap", "0ms", "--max-model-len", "4000000"];
    let mut engine = Process::start("1", env!("CARGO_BIN_EXE_enginehouse"), &engine_args);
    let engine_address = engine.address("server on http://");
    reachable(engine_address);
    let ours = gateway(folder.path(), engine_address);
    let theirs = nginx(folder.path(), engine_address);
    if theirs.is_none() {
        println!("nginx is not installed: only the gateway is measured");
    }
    // What stands in one group takes turns, too, and has one plain pass-through to be compared with.
    let groups = [
        vec![("chat 1 KiB, by model name", request("m", 1 << 10, false, ""))],
        vec![("chat 1 KiB, by alias (2 overrides)", request("a", 1 << 10, false, ""))],
        vec![("chat 100 KiB, by alias", request("a", 100 << 10, false, ""))],
        vec![
            ("32 tokens 2 ms apart, by alias", request("a", 1 << 10, true, "x-sim-gap: 2ms\r\n")),
            ("  the same, response_model: engine", request("e", 1 << 10, true, "x-sim-gap: 2ms\r\n")),
        ],
        vec![
            ("32 tokens at once, by alias", request("a", 1 << 10, true, "")),
            ("  the same, response_model: engine", request("e", 1 << 10, true, "")),
        ],
    ];
    println!("{:<36} {:>9} {:>12} {:>12} {:>8}", "case", "req/s", "req/core-s", "us CPU/req", "ratio");
    for group in groups {
        let mut totals = vec![Total::default(); group.len()];
        let mut plain = Total::default();
        for _ in 0..ROUNDS {
            for ((_, request), total) in group.iter().zip(&mut totals) {
                total.add(measure(&ours.0, ours.1, request));
            }
            if let Some((process, address)) = &theirs {
                plain.add(measure(process, *address, &by_model_name(&group[0].1)));
            }
        }
        for ((name, _), total) in group.iter().zip(&totals) {
            total.print(name, &plain);
        }
        if plain.requests > 0 {
            plain.print("  nginx", &plain);
        }
    }
}

/// The same request for whoever knows no aliases.
fn by_model_name(request: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(request).replacen("\"model\":\"a\"", "\"model\":\"m\"", 1).into_bytes()
}

/// Requests answered and CPU seconds used in all rounds.
#[derive(Clone, Default)]
struct Total {
    requests: u64,
    cpu: f64,
}

#[expect(clippy::cast_precision_loss, clippy::print_stdout, reason = "a benchmark prints its figures")]
impl Total {
    fn add(&mut self, (requests, cpu): (u64, f64)) {
        self.requests += requests;
        self.cpu += cpu;
    }

    /// Microseconds of CPU for each request.
    fn cost(&self) -> f64 {
        self.cpu / self.requests as f64 * 1e6
    }

    fn print(&self, name: &str, plain: &Self) {
        let span = SPAN.as_secs_f64() * ROUNDS as f64;
        let (rate, per_core) = (self.requests as f64 / span, self.requests as f64 / self.cpu);
        let ratio = if plain.requests > 0 { format!("{:.2}", self.cost() / plain.cost()) } else { "-".into() };
        println!("{name:<36} {rate:>9.0} {per_core:>12.0} {:>12.1} {ratio:>8}", self.cost());
    }
}
