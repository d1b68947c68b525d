//! The line that every driver prints for a call; see ../README.md.

use sha2::{Digest as _, Sha256};

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Tells of one call; ends the program with an error where it was not answered with 2xx.
pub fn report(
    method: &str,
    path: &str,
    status: u16,
    sent: &[u8],
    got: &[u8],
    unpacked: Option<&[u8]>,
) {
    let mut line = serde_json::json!({
        "method": method,
        "path": path,
        "status": status,
        "sha256_request": digest(sent),
        "sha256_response": digest(got),
    });
    if let Some(unpacked) = unpacked {
        line["sha256_unpacked"] = digest(unpacked).into();
    }
    println!("{line}");
    if !(200..300).contains(&status) {
        eprintln!("{method} {path} was answered with {status}");
        std::process::exit(1);
    }
}
