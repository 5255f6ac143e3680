//! Which operating system this is.

/// An operating system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Its name: `linux`, `macos`, `windows`.
    pub name: String,
    /// Its version, where it can be told.
    pub version: Option<String>,
}

/// Tells the operating system of this machine.
pub fn system() -> System {
    let name = std::env::consts::OS.to_owned();
    #[cfg(target_os = "linux")]
    let version = Some(rustix::system::uname().release().to_string_lossy().into_owned());
    #[cfg(target_os = "macos")]
    let version = fs_err::read_to_string("/System/Library/CoreServices/SystemVersion.plist")
        .ok()
        .and_then(|text| product_version(&text));
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let version = None;
    System { name, version }
}

/// macOS keeps its version in a property list, as the string after its key.
#[cfg(any(test, target_os = "macos"))]
fn product_version(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("<key>ProductVersion</key>")?;
    let (_, rest) = rest.split_once("<string>")?;
    rest.split_once("</string>").map(|(version, _)| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_system_has_a_name() {
        assert!(!system().name.is_empty());
        let text = "<key>ProductVersion</key>\n\t<string>15.1</string>";
        assert_eq!(product_version(text).as_deref(), Some("15.1"));
    }
}
