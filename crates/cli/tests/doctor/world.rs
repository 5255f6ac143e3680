//! A small outside world for one test: two network namespaces with a cable between them, a resolver, pages, TLS (`world.py`).

use lifeboat_testkit::stranger::stranger;
use lifeboat_testkit::{Home, Invocation, Running};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;

/// Hosts that the doctor is told to look at.
const HOSTS: [&str; 4] =
    ["one.world.test", "two.world.test", "three.world.test", "four.world.test"];
/// Who signs in this world.
pub(crate) const ISSUER: &str = "Harbour Inspection CA";

/// What is wrong with a world; the default is nothing.
#[derive(Debug, Clone)]
pub(crate) struct Wrong {
    /// Each how manieth connection is lost; 0 for none.
    pub(crate) lose: u32,
    /// Milliseconds that each packet takes.
    pub(crate) delay: u32,
    /// Milliseconds that the packets of every second connection take longer.
    pub(crate) jitter: u32,
    /// Nobody knows any names.
    pub(crate) nameless: bool,
    /// A sign-in page stands before the network, and begins its answer so; empty for none.
    pub(crate) captive: &'static str,
    /// Every handshake is broken off.
    pub(crate) breaks: bool,
    /// Nobody trusts who signs.
    pub(crate) foreign: bool,
}

/// A world in which nothing is wrong.
pub(crate) const WELL: Wrong = Wrong {
    lose: 0,
    delay: 0,
    jitter: 0,
    nameless: false,
    captive: "",
    breaks: false,
    foreign: false,
};

/// A world; it ends with this value.
#[derive(Debug)]
pub(crate) struct World {
    /// Keeps the namespaces; killed at the end, and what runs in them with it.
    _holder: Running,
    inner: String,
}

impl World {
    /// Makes a world, and tells the doctor where its services are.
    pub(crate) fn make(home: &Home, wrong: &Wrong) -> Self {
        sign(home);
        configure(home, wrong);
        let write = |name: &str, text: &str| {
            fs_err::write(home.path().join(name), text).expect("a file of the world");
        };
        write("resolv.conf", "nameserver 10.9.0.1\noptions timeout:1 attempts:1\n");
        write("nsswitch.conf", "hosts: files dns\n");
        write("world.py", include_str!("world.py"));
        let settings = json!({
            "lose": wrong.lose, "delay": wrong.delay, "jitter": wrong.jitter, "names": !wrong.nameless, "captive": wrong.captive, "breaks": wrong.breaks,
            "certificate": home.path().join("host.pem"), "key": home.path().join("host.key"),
        });
        let script = "set -e
            mount --bind resolv.conf /etc/resolv.conf
            [ ! -e /etc/nsswitch.conf ] || mount --bind nsswitch.conf /etc/nsswitch.conf
            ip link set lo up
            mkfifo inner
            # It ends with the world.
            unshare --net /bin/sh -c 'echo $$ > inner; exec tail --pid=$0 -f /dev/null' \"$$\" >/dev/null &
            read -r inner < inner
            echo \"$inner\"
            exec \"$0\" world.py \"$inner\" \"$1\"";
        let python = stranger("pymobiledevice3").with_file_name("python");
        let holder = home
            .command("unshare")
            .args(["--user", "--map-root-user", "--mount", "--net"])
            .args(["/bin/sh", "-c", script, python.as_str(), &settings.to_string()])
            .limit(std::time::Duration::from_mins(5))
            .start();
        let (inner, ready) = (holder.next_line(), holder.next_line());
        let told = || holder_told(&holder);
        assert!(
            ready.as_deref() == Some("ready"),
            "no network namespace with a TAP device can be made for this test: run it as root, or let everybody make user namespaces \
             (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns) and open /dev/net/tun; `ip` of \
             iproute2 is needed\n{}",
            told()
        );
        Self { _holder: holder, inner: inner.unwrap_or_default() }
    }

    /// Starts to put together a run of the program under test on the computer of this world.
    pub(crate) fn lifeboat<'a>(
        &self,
        home: &Home,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Invocation {
        home.command("nsenter")
            .args(["--preserve-credentials", "--user", "--mount", "--net", "--target", &self.inner])
            .args(["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", home.path().as_str()])
            .arg(home.program())
            .args(arguments)
    }
}

/// What the world said before it ended.
fn holder_told(holder: &Running) -> String {
    std::iter::from_fn(|| holder.next_error_line()).collect::<Vec<_>>().join("\n")
}

/// Makes who signs in this world, and the certificate of its hosts.
fn sign(home: &Home) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, ISSUER);
    let key = || KeyPair::generate().expect("a key");
    let root = CertifiedIssuer::self_signed(params, key()).expect("a certificate");
    let names = HOSTS.iter().chain(&["push.world.test", "pages.world.test"]);
    let names = names.map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let params = CertificateParams::new(names).expect("names");
    let key = key();
    let host = params.signed_by(&key, &root).expect("a certificate");
    for (name, text) in
        [("root.pem", root.pem()), ("host.pem", host.pem()), ("host.key", key.serialize_pem())]
    {
        fs_err::write(home.path().join(name), text).expect("a file of the world");
    }
}

fn configure(home: &Home, wrong: &Wrong) {
    let root = home.path().join("root.pem");
    let trusted =
        if wrong.foreign { String::new() } else { format!("trusted-certificates = \"{root}\"\n") };
    let text = format!(
        "[doctor.outside]\nresolvers = [\"10.9.0.1:5300\"]\nhosts = {HOSTS:?}\npush-hosts = [\"push.world.test\"]\n\
         portal-page = \"http://pages.world.test/hotspot-detect.html\"\nstatus-page = \"https://pages.world.test/status\"\n\
         version-page = \"https://pages.world.test/versions\"\ntime-servers = [\"10.9.0.1:123\"]\n{trusted}"
    );
    let folder = home.path().join("config/lifeboat");
    fs_err::create_dir_all(&folder).expect("a folder");
    fs_err::write(folder.join("config.toml"), text).expect("a configuration");
}
