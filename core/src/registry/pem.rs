//! As much of PEM as tells whether there is a certificate; who uses it reads it whole.

use alloc::string::String;

use super::base64;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// True when at least one block of `text` has the frame of a certificate and content in base64.
pub(super) fn has_certificate(text: &str) -> bool {
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim) {
        match (&mut open, line) {
            (_, BEGIN) => open = Some(String::new()),
            (Some(content), END) => {
                if base64::decode(content).is_some_and(|bytes| !bytes.is_empty()) {
                    return true;
                }
                open = None;
            }
            (Some(content), line) => content.push_str(line),
            (None, _) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_a_frame_around_base64() {
        let good = "-----BEGIN CERTIFICATE-----\nTUlJ\nQw==\n-----END CERTIFICATE-----\n";
        assert!(has_certificate(good));
        let behind_others = alloc::format!("# ours\n-----BEGIN X-----\n-----END X-----\r\n{good}");
        assert!(has_certificate(&behind_others));
        for bad in [
            "",
            "TUlJ",
            "/etc/ssl/ca.pem",
            "-----BEGIN CERTIFICATE-----\nTUlJ\n",
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE----- TUlJ -----END CERTIFICATE-----",
            "-----BEGIN PRIVATE KEY-----\nTUlJ\n-----END PRIVATE KEY-----",
        ] {
            assert!(!has_certificate(bad), "{bad}");
        }
    }
}
