//! Real proxies before a gateway: nginx and haproxy, as Debian packages them, each in a directory of its own.
//!
//! Their configuration is as short as it can be: everything that is not needed to run at all is left as it is, but for
//! the largest request that nginx lets through.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pem_rfc7468::{LineEnding, encode_string};

use super::{Between, Certificate, GUARD, Reserved, Wire};

/// A running proxy. Dropping it ends it.
pub(super) struct Front {
    process: Child,
    address: SocketAddr,
    directory: PathBuf,
}

impl Front {
    /// Starts what `between` names, before the gateway at `gateway`.
    ///
    /// # Panics
    /// If it is not installed, or does not start.
    pub(super) fn start(
        between: Between,
        wire: Wire,
        certificate: Option<&Certificate>,
        gateway: SocketAddr,
        largest: u32,
    ) -> Option<Self> {
        if between == Between::Nothing {
            return None;
        }
        let directory = directory();
        if let Some(certificate) = certificate {
            fs::write(directory.join("pem"), pem(certificate)).expect("written");
        }
        let reserved = Reserved::port();
        let address = reserved.address();
        let file = directory.join("configuration");
        let mut command = match between {
            Between::Nginx => {
                let text = nginx(&directory, wire, address, gateway, largest);
                fs::write(&file, text).expect("written");
                let mut command = Command::new("/usr/sbin/nginx");
                command.arg("-p").arg(&directory).arg("-e").arg("stderr");
                command.arg("-c").arg(&file);
                command
            }
            _ => {
                let text = haproxy(&directory, wire, address, gateway);
                fs::write(&file, text).expect("written");
                let mut command = Command::new("/usr/sbin/haproxy");
                command.arg("-db").arg("-f").arg(&file);
                command
            }
        };
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; is its package installed?"));
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let status = process.try_wait().expect("a child");
            assert!(status.is_none(), "{command:?} ended: {status:?}");
            assert!(begun.elapsed() < GUARD, "{command:?} does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        Some(Self {
            process,
            address,
            directory,
        })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Both run as one process, so nothing of them is left. What cannot be cleaned up is in a temporary directory.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Certificate and key, as proxies read them.
fn pem(certificate: &Certificate) -> String {
    let pem = |label, der| encode_string(label, LineEnding::LF, der).expect("short");
    let (own, key) = certificate.der();
    pem("CERTIFICATE", own) + &pem("PRIVATE KEY", key)
}

fn nginx(
    directory: &Path,
    wire: Wire,
    address: SocketAddr,
    gateway: SocketAddr,
    largest: u32,
) -> String {
    let directory = directory.display();
    let listen = match wire {
        Wire::H2 => "ssl http2",
        _ if wire.is_tls() => "ssl",
        _ => "",
    };
    let tls = match wire.is_tls() {
        true => format!("ssl_certificate {directory}/pem; ssl_certificate_key {directory}/pem;"),
        false => String::new(),
    };
    format!(
        "daemon off; master_process off; pid {directory}/pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {address} {listen};
        {tls}
        client_max_body_size {largest};
        location / {{ proxy_pass http://{gateway}; }}
    }}
}}
"
    )
}

fn haproxy(directory: &Path, wire: Wire, address: SocketAddr, gateway: SocketAddr) -> String {
    let directory = directory.display();
    let bind = match wire {
        Wire::H2 => format!("ssl crt {directory}/pem alpn h2"),
        _ if wire.is_tls() => format!("ssl crt {directory}/pem alpn http/1.1"),
        _ => String::new(),
    };
    // The timeouts are those of Debian's own file; without any, haproxy warns.
    format!(
        "defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
frontend before
    bind {address} {bind}
    default_backend gateway
backend gateway
    server gateway {gateway}
"
    )
}

/// A new directory, which a process that gives up root can read.
fn directory() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    let name = format!("sealwire-front-{}-{count}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    fs::create_dir(&directory).expect("a directory");
    directory
}
