//! Volumes made for a test: small ones that fill up, and ones whose disk can be told to fail. They need
//! root, loop devices and, for the latter, nbdkit and nbdfuse.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::rig::until;

/// A mounted ext4 file system in a file. It is unmounted when this is dropped.
pub(crate) struct Volume {
    point: PathBuf,
    disk: Option<Disk>,
    directory: TempDir,
}

/// A disk that fails where a file says so.
struct Disk {
    loop_device: String,
    file: PathBuf,
    servers: Vec<Child>,
}

impl Volume {
    /// A volume of so many MiB. `None` where this machine has none to give and `FAULTS_WITHOUT_MOUNTS` says
    /// that this is known.
    pub(crate) fn small(mebibytes: u64, format: &[&str]) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let point = directory.path().join("volume");
        Self::mount(directory, point, mebibytes, format)
    }

    /// The same, mounted at a place that somebody else made or is to find made.
    pub(crate) fn small_at(point: &Path, mebibytes: u64) -> Option<Self> {
        Self::mount(TempDir::new().unwrap(), point.to_owned(), mebibytes, &[])
    }

    fn mount(directory: TempDir, point: PathBuf, mebibytes: u64, format: &[&str]) -> Option<Self> {
        let image = directory.path().join("image");
        File::create(&image)
            .unwrap()
            .set_len(mebibytes << 20)
            .unwrap();
        fs::create_dir_all(&point).unwrap();
        let made = run(Command::new("mkfs.ext4")
            .args(["-q", "-F"])
            .args(format)
            .arg(&image))
        .and_then(|()| {
            run(Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(&point))
        });
        let volume = Self {
            point,
            disk: None,
            directory,
        };
        match made {
            Ok(()) => Some(volume),
            Err(why) => volume.missing(&why),
        }
    }

    /// A volume whose disk answers writes with EIO while [`Self::break_writes`] says so, and reads while
    /// [`Self::break_reads`] does.
    pub(crate) fn breakable() -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let point = directory.path().join("volume");
        fs::create_dir(&point).unwrap();
        let mut volume = Self {
            point,
            disk: None,
            directory,
        };
        match volume.make_breakable() {
            Ok(()) => Some(volume),
            Err(why) => volume.missing(&why),
        }
    }

    fn make_breakable(&mut self) -> Result<(), String> {
        let at = |name: &str| self.directory.path().join(name);
        let (socket, file) = (at("socket"), at("disk"));
        File::create(&file).unwrap();
        let kit = spawn(
            Command::new("nbdkit")
                .args(["-f", "-U"])
                .arg(&socket)
                .args([
                    "--filter=error",
                    "memory",
                    "64M",
                    "error-pwrite=EIO",
                    "error-pwrite-rate=100%",
                ])
                .arg(format!("error-pwrite-file={}", at("writes").display()))
                .args(["error-pread=EIO", "error-pread-rate=100%"])
                .arg(format!("error-pread-file={}", at("reads").display())),
        )?;
        // From here on it is ours to end.
        let disk = self.disk.insert(Disk {
            loop_device: String::new(),
            file,
            servers: vec![kit],
        });
        until("nbdkit listening", || socket.exists());
        let fuse = spawn(
            Command::new("nbdfuse")
                .arg(&disk.file)
                .arg("--unix")
                .arg(&socket),
        )?;
        disk.servers.push(fuse);
        until("nbdfuse serving", || {
            fs::metadata(&disk.file).is_ok_and(|found| found.len() > 0)
        });
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.file))?;
        let device = Command::new("losetup")
            .args(["-f", "--show"])
            .arg(&disk.file)
            .output();
        let device = device.map_err(|error| error.to_string())?;
        disk.loop_device = String::from_utf8_lossy(&device.stdout).trim().to_owned();
        run(Command::new("mount")
            .arg(&disk.loop_device)
            .arg(&self.point))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.point
    }

    /// Mounts it anew with these options.
    pub(crate) fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        run(Command::new("mount")
            .args(["-o", &options])
            .arg(&self.point))
        .unwrap();
    }

    pub(crate) fn break_writes(&self, broken: bool) {
        self.set("writes", broken);
    }

    pub(crate) fn break_reads(&self, broken: bool) {
        self.set("reads", broken);
    }

    /// Writes everything out and forgets what was read.
    pub(crate) fn forget(&self) {
        run(Command::new("sync").arg("-f").arg(&self.point)).unwrap();
        fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
    }

    fn set(&self, name: &str, broken: bool) {
        let flag = self.directory.path().join(name);
        if broken {
            File::create(flag).unwrap();
        } else {
            fs::remove_file(flag).unwrap();
        }
    }

    fn missing(self, why: &str) -> Option<Self> {
        eprintln!("NOT TESTED: this machine has no volumes to give: {why}");
        let is_known = std::env::var_os("FAULTS_WITHOUT_MOUNTS").is_some();
        assert!(
            is_known,
            "root and loop devices are needed, or FAULTS_WITHOUT_MOUNTS=1: {why}"
        );
        None
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(&self.point)
            .stderr(Stdio::null())
            .status();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if !self.loop_device.is_empty() {
            let _ = Command::new("losetup")
                .args(["-d", &self.loop_device])
                .status();
        }
        let unmount = || {
            Command::new("fusermount3")
                .arg("-uz")
                .arg(&self.file)
                .stderr(Stdio::null())
                .status()
        };
        let _ = unmount();
        std::thread::sleep(Duration::from_millis(200));
        for server in self.servers.iter_mut().rev() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn spawn(command: &mut Command) -> Result<Child, String> {
    let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    child.map_err(|error| format!("{command:?}: {error}"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}
