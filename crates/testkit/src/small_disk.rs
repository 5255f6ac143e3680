//! A disk that is small enough to be filled.

use camino::{Utf8Path, Utf8PathBuf};

use crate::home::Home;
use crate::run::{Invocation, Running};

/// A disk of its own in memory, mounted in a folder of a home; only programs run through [`SmallDisk::command`] see it, and it is gone
/// with this value.
///
/// It is mounted in a private mount namespace, which root has, and everybody where the system allows user namespaces. Where
/// neither is so the test fails and says it: what a full disk does must not go untested in silence.
#[derive(Debug)]
pub struct SmallDisk {
    /// Keeps the namespace; killed at the end.
    _holder: Running,
    pid: String,
    folder: Utf8PathBuf,
}

impl SmallDisk {
    /// Mounts a disk of so many kilobytes in a folder below the home, which is made.
    pub fn mount(home: &Home, folder: &str, kilobytes: u32) -> Self {
        let folder = home.path().join(folder);
        fs_err::create_dir_all(&folder).expect("a folder to mount at");
        let script = format!(
            "mount -t tmpfs -o size={kilobytes}k,mode=0700 tmpfs '{folder}' && echo $$ && exec tail -f /dev/null"
        );
        let holder = home
            .command("unshare")
            .args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c", &script])
            .limit(std::time::Duration::from_mins(10))
            .start();
        let Some(pid) = holder.next_line() else {
            panic!(
                "no disk can be mounted for this test: run it as root, or let everybody make user namespaces \
                 (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, user.max_user_namespaces)\n{}",
                holder.wait()
            )
        };
        Self { _holder: holder, pid, folder }
    }

    /// Starts to put together a run of a program that sees the disk.
    pub fn command(&self, home: &Home, program: impl AsRef<str>) -> Invocation {
        home.command("nsenter")
            .args(["--preserve-credentials", "--user", "--mount", "--target", &self.pid])
            // Who enters starts at the root folder.
            .args(["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", home.path().as_str()])
            .arg(program)
    }

    /// Starts to put together a run of the program under test that sees the disk.
    pub fn lifeboat<'a>(
        &self,
        home: &Home,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Invocation {
        self.command(home, home.program()).args(arguments)
    }

    /// Makes the disk full: it becomes as small as what lies on it, for whoever is writing there too.
    pub fn fill(&self, home: &Home) {
        // What is written between the commands makes the size too small, and the system refuses it; whoever finds the disk full may
        // give up a file that is not whole, and it is full no more.
        let shrink = "until mount -o remount,size=\"$(df --output=used --block-size=1 \"$0\" | tail -n 1)\" \"$0\" 2>&1 && df \"$0\" | grep 100%; do :; done";
        let run = self.command(home, "/bin/sh").args(["-c", shrink, self.folder.as_str()]).ok();
        assert!(run.out().contains("100%"), "the disk is not full\n{run}");
    }

    /// Gives a full disk so many kilobytes.
    pub fn grow(&self, home: &Home, kilobytes: u32) {
        let size = format!("remount,size={kilobytes}k");
        self.command(home, "mount").args(["-o", &size, self.folder.as_str()]).ok();
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Utf8Path {
        &self.folder
    }
}
